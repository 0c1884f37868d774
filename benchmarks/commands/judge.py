"""`python -m benchmarks judge`: verdicts on saved sessions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from benchmarks.commands.arguments import (
    OF_A_JUDGEMENT,
    THRESHOLDS,
    epilog,
    given_path,
    own_thresholds,
)
from benchmarks.common.errors import InputError
from benchmarks.common.files import as_json, check, whole
from benchmarks.config import settings
from benchmarks.duet import saved_duets
from benchmarks.report import conclusion, github, verdict_lines
from benchmarks.sessions import comparable
from benchmarks.sessions.session import Session, read_session
from benchmarks.verdicts import judgement, thresholds

VERDICTS = "the verdicts"
EXAMPLES = """
judge --base old-1.json old-2.json old-3.json --head new.json
judge --paired --base duet/*-base.json --head duet/*-head.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = epilog(EXAMPLES, OF_A_JUDGEMENT)
    for side, what in (
        ("base", "saved sessions to compare with; three or more tell how much sessions vary"),
        ("head", "saved sessions to judge"),
    ):
        parser.add_argument(
            f"--{side}", nargs="+", required=True, type=given_path, metavar="FILE", help=what
        )
    parser.add_argument(
        "--paired",
        action="store_true",
        help="the files are those of a duet: the first of each side ran side by side, and so on "
        "(default: each session ran at a time of its own)",
    )
    parser.add_argument(
        "--gate",
        choices=settings.GATES,
        default=settings.GATES[0],
        help="screen: a wall time that is slower than sessions vary is suspicious; strict: it is "
        "REGRESSED; work: no wall time is judged, only counters, calls, device time, memory and "
        "agreement with 16 bits (default: %(default)s)",
    )
    parser.add_argument("--thresholds", type=given_path, metavar="FILE", help=THRESHOLDS)
    parser.add_argument(
        "--json",
        type=given_path,
        metavar="OUT",
        help="also write the verdicts into this file (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge, print the table, write the verdicts, and return the exit status."""
    limits = own_thresholds(arguments.thresholds)
    if arguments.json:
        check(arguments.json, VERDICTS)
    base, head = (
        [read_session(file) for file in side] for side in (arguments.base, arguments.head)
    )
    _check_different([*base, *head])
    notes = comparable.notes(base, head, by_work=arguments.gate == "work")
    alpha = judgement.ALPHA
    if arguments.paired and head and head[-1].duet:
        alpha = saved_duets.alpha_after(head)
        notes = [*notes, f"alpha: {alpha:g}, as this duet planned it for so many restarts"]
    verdicts = judgement.judge(
        base, head, paired=arguments.paired, gate=arguments.gate, alpha=alpha, limits=limits
    )
    notes = [*notes, *thresholds.notes(limits, verdicts)]
    shown = [*verdict_lines.lines(verdicts, notes), *conclusion.lines(verdicts)]
    for line in (*shown, *github.lines(verdicts, os.environ)):
        print(line)
    status = judgement.exit_status(verdicts)
    if arguments.json:
        record = {"exit_status": status, "verdicts": [each.as_record() for each in verdicts]}
        with whole(arguments.json, VERDICTS) as file:
            file.write(as_json(record, indent=1) + "\n")
    return status


def _check_different(given: Sequence[Session]) -> None:
    """Raise InputError if one session is given twice: a copy of it would look like agreement."""
    known: dict[Any, str] = {}
    for each in given:
        rounds = {name: measured.rounds_s for name, measured in each.measured.items()}
        session = (each.when, *sorted(rounds.items()))
        if session in known:
            raise InputError(
                f"{each.name}: expected each session once, got that of {known[session]} again; "
                "leave one of them out"
            )
        known[session] = each.name
