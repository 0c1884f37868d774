"""`python -m benchmarks baselines`: list them, record new ones, share them by a git branch."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import ci, ci_options, measuring
from benchmarks.commands.arguments import epilog, given_storage
from benchmarks.common import interrupts
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus, first
from benchmarks.common.text import wrapped
from benchmarks.config.values import bounds, count
from benchmarks.machine.bounds import Bounds
from benchmarks.report import stored_table
from benchmarks.report.stored_table import Row
from benchmarks.sessions import baseline
from benchmarks.sessions.session import read_session
from benchmarks.sessions.storage import STORAGE
from benchmarks.sharing.branch import Branch
from benchmarks.verdicts import promotion

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator, Sequence

    from benchmarks.sessions.session import Session

BRANCH = "benchmark-baselines"
BUSY = (
    "the machine couldn't be trusted twice in a row, so nothing more is measured; use an idle one, "
    'or measure the work alone: --options "--work-only"'
)
NEWEST = 10  # sessions of a folder that a list judges: each takes a tenth of a second
SESSIONS = 5  # fewer don't tell how much they vary: see docs/gate.md


EXAMPLES = """
baselines list
baselines record --sessions 5 --options "--batch-size 1,8"
baselines pull
"""
STATUSES = {
    ExitStatus.FINE: "done; record: every session was promoted",
    ExitStatus.FAILED: "record: a benchmark failed, or a session was refused; the line says why",
    ExitStatus.WRONG_INPUT: "wrong input, or git failed",
    ExitStatus.NOTHING_SELECTED: "record: --options select no benchmark",
    ExitStatus.INVALID: "record: the machine was too busy or too unsteady during a session",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and with which branch."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    parser.add_argument(
        "action",
        choices=("list", "record", "pull", "push"),
        help="list: show the saved sessions; record: measure new baselines, one session after "
        "the other; pull, push: share baselines through a git branch",
    )
    parser.add_argument(
        "--sessions",
        default=str(SESSIONS),
        metavar="N",
        help=f"record: how many sessions (default: {SESSIONS}; fewer than three don't tell how "
        "much sessions vary)",
    )
    parser.add_argument(
        "--options",
        default="",
        metavar="TEXT",
        help='record: pytest options of each session, as in "--batch-size 1,8" (default: none)',
    )
    parser.add_argument(
        "--storage",
        type=given_storage,
        nargs="+",
        default=[STORAGE],
        metavar="DIR",
        help=f"folder of the sessions; list and push take several (default: {STORAGE})",
    )
    parser.add_argument(
        "--remote",
        default="origin",
        metavar="NAME",
        help="pull, push: the git remote (default: %(default)s)",
    )
    parser.add_argument(
        "--branch",
        default=BRANCH,
        metavar="NAME",
        help="pull, push: the branch of the baselines (default: %(default)s)",
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="pull: old baselines as well, of which push keeps what a history shows (default: what "
        "judging needs)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done with which file.

    Raises InputError if git can't, for several folders to pull into, and for none to look into.
    """
    folders: list[Path] = arguments.storage
    _check(folders, arguments.action)
    if arguments.action == "record":
        with interrupts.interruptible():
            return _record(folders, arguments)
    if arguments.action == "list":
        for line in (line for folder in folders for line in _listing(folder)):
            print(line)
        return ExitStatus.FINE
    branch = Branch(arguments.remote, arguments.branch, os.environ)
    pull = partial(branch.pull, history=arguments.history)
    move = pull if arguments.action == "pull" else branch.push
    moved = [path for folder in folders for path in move(folder)]
    for path in moved:
        print(f"{arguments.action}ed: {path.name}")
    print(f"{arguments.action} {arguments.remote}/{arguments.branch}: {len(moved)} new or changed")
    return ExitStatus.FINE


def _check(folders: Sequence[Path], action: str) -> None:
    """Refuse a folder that isn't there.

    To push, a folder that isn't there is an empty one: if no job measured, there is nothing to add.
    """
    if action == "pull" and len(folders) > 1:
        raise InputError(f"--storage: expected one folder to pull into, got {len(folders)}")
    missing = [each for each in folders if not each.is_dir()]
    if action == "list" and missing:
        raise InputError(
            f"--storage: expected a folder of saved sessions, got none at {missing[0]}; "
            "measure one with pytest benchmarks --benchmark-save=NAME, or correct the path"
        )


def _record(folders: Sequence[Path], arguments: argparse.Namespace) -> int:
    """Run sessions one after the other, promote each that passed, and say which weren't.

    They are judged by older baselines and not by each other: one by one, those that are slower by
    chance would be refused, and the rest would seem to vary less than they do. Returns 12 if the
    machine couldn't be trusted during one that was refused, 1 if there is another reason. A session
    that fails ends it, with its own status: the next one would fail as well; so do two in a row
    that can't be trusted.
    """
    options, total = _options(folders, arguments), count("--sessions", arguments.sessions)
    recorded: list[Path] = []
    refused: dict[Path, int] = {}
    for number in range(1, total + 1):
        measuring.say(f"session {number} of {total}")
        try:
            status, saved = ci.measure("benchmarks", "--benchmark-save=baseline", *options)
        except KeyboardInterrupt:
            measuring.complain(f"interrupted; {_recorded(recorded, refused, arguments)}")
            return ExitStatus.INTERRUPTED
        if status or saved is None:
            says = f"exited with {status}" if status else "saved nothing; see --options"
            measuring.say(f"session {number} {says}, and none is measured after it")
            measuring.say(_recorded(recorded, refused, arguments))
            return status or ExitStatus.WRONG_INPUT
        recorded.append(saved)
        if refusal := _promote(saved, beside=recorded):
            refused[saved] = refusal
        if [refused.get(each) for each in recorded[-2:]] == [ExitStatus.INVALID] * 2:
            measuring.say(BUSY)
            break
    measuring.say(_recorded(recorded, refused, arguments))
    return first(ExitStatus.FINE, *refused.values())


def _options(folders: Sequence[Path], arguments: argparse.Namespace) -> list[str]:
    """Return the options of each session. Raises InputError for some that can't be used."""
    if len(folders) > 1:
        raise InputError(f"--storage: expected one folder to record into, got {len(folders)}")
    options = ci_options.words(arguments.options)
    known = ci_options.shared(options)
    if any(each.partition("=")[0] == "--gate" for each in options):
        raise InputError("--options: expected none that judges, got --gate; promotion judges")
    usual, asked = asdict(Bounds()), asdict(bounds(given := known.get("--bounds")))
    if any(asked[name] > usual[name] for name in usual):
        raise InputError(
            f"--options: expected no bound above the usual one, got --bounds={given}: no session "
            "that wasn't checked in full is promoted but by `promote --force`; measure it with "
            "pytest"
        )
    own = [] if folders == [STORAGE] else [f"--benchmark-storage={folders[0]}"]
    return [*own, *options]


def _promote(path: Path, beside: Sequence[Path]) -> int:
    """Promote a session and say so; return the status of a refusal, or 0."""
    try:
        promotion.promote(path, beside=beside)
    except InputError as error:
        measuring.say(f"refused: {error}")
        trusted = baseline.is_trusted(read_session(path))
        return ExitStatus.FAILED if trusted else ExitStatus.INVALID
    measuring.say(f"promoted: {path}")
    return ExitStatus.FINE


def _recorded(
    recorded: Sequence[Path], refused: Collection[Path], arguments: argparse.Namespace
) -> str:
    """Return how many sessions became baselines, and what to do about the others."""
    promoted, total = len(recorded) - len(refused), int(arguments.sessions)
    says = f"baselines: {promoted} of {total} sessions promoted"
    if promoted == total:
        return says
    if refused:
        says = f"{says}, {len(refused)} refused ({', '.join(each.name for each in refused)})"
    again = ["python", "-m", "benchmarks", "baselines", "record", f"--sessions={total - promoted}"]
    again += [f"--storage={each}" for each in arguments.storage if each != STORAGE]
    again += [f"--options={arguments.options}"] if arguments.options else []
    return f"{says}; for the rest: {shlex.join(again)}"


def _listing(storage: Path) -> Iterator[str]:
    """Yield what is stored below a folder: a table for each folder in it, and what isn't listed."""
    found = baseline.stored(storage)
    for line in (*found.damaged, *found.ahead):
        yield from wrapped(line)
    listed = [each for each in found.sessions if not each.duet or baseline.is_baseline(each)]
    if not found.sessions:
        yield f"no session is stored below {storage}"
    for folder in dict.fromkeys(Path(each.name).parent for each in listed):
        inside = [each for each in listed if Path(each.name).parent == folder]
        yield f"{folder}:"
        yield from _table(inside)
    if sides := len(found.sessions) - len(listed):
        yield f"not listed: {sides} of duets"


def _table(sessions: Sequence[Session]) -> Iterator[str]:
    """Yield the table of a folder. Judging takes longer than reading, so the newest are judged."""
    loose = [
        each
        for each in sessions
        if not baseline.is_baseline(each) and not baseline.objections(each)
    ]
    older = {each.name for each in loose[:-NEWEST]}
    yield from stored_table.lines(
        [_row(each, sessions, judged=each.name not in older) for each in sessions]
    )
    if older:
        yield (
            f"not judged, since {NEWEST} newer ones are no baselines yet: {len(older)}; "
            "promote judges what it is given"
        )


def _row(session: Session, known: Sequence[Session], *, judged: bool) -> Row:
    """Return a session with what decides whether later ones are compared with it."""
    name = Path(session.name).name
    if baseline.is_baseline(session):
        forced = session.promoted["forced"]
        return Row(name, session, "baseline", f"forced: {forced}" if forced else "")
    found: Sequence[str] = baseline.objections(session)
    if not found and judged:
        found = promotion.judge(session, known).objections
    if found:
        return Row(name, session, "refused", "; ".join(found))
    return Row(name, session, "demoted" if session.saved.get("demoted") else "not promoted")
