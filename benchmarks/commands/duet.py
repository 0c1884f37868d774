"""`python -m benchmarks duet`: two environments on this machine, one verdict."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.commands.arguments import (
    OF_A_JUDGEMENT,
    THRESHOLDS,
    epilog,
    given_path,
    own_thresholds,
)
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.duet.duet import Duet
from benchmarks.report import conclusion, github, verdict_lines
from benchmarks.sessions import comparable, session
from benchmarks.verdicts import acknowledged, judgement, thresholds

if TYPE_CHECKING:
    from benchmarks.verdicts.acknowledged import Acknowledgement

SPEC = (
    "current, which is this environment; requirements such as bitsandbytes==0.49.2 or A==1,B==2; "
    "a path to a Python interpreter; a path to a source checkout"
)


EXAMPLES = """
duet --base bitsandbytes==0.49.2
duet --base ../other-checkout --quantization int8-decomp,int8 --work
duet --base current --model synthetic:tiny --max-restarts 3
duet --selftest
"""
STATUSES = {
    **OF_A_JUDGEMENT,
    ExitStatus.FAILED: "head got worse (REGRESSED), or a side failed",
    ExitStatus.WRONG_INPUT: "wrong input, such as two versions that turn out to be the same",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    parser.add_argument(
        "--base",
        metavar="SPEC",
        help=f"what to compare with (required but for --selftest): {SPEC}",
    )
    parser.add_argument(
        "--head",
        default="current",
        metavar="SPEC",
        help="the new side, in the same words (default: %(default)s)",
    )
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="find out which slowdowns a duet sees on this machine: both sides are the same code, "
        "and either is slowed down by 1, 2 and 5 %%",
    )
    parser.add_argument(
        "--work",
        action="store_true",
        help="compare counters, calls, device time and memory alone: no round is timed, so a busy "
        f"host doesn't matter, and {measuring.WORK_RESTARTS} restarts are enough",
    )
    parser.add_argument(
        "--gate",
        choices=("screen", "work"),
        default="screen",
        help="screen: judge work and wall times; work: the same as --work (default: %(default)s)",
    )
    parser.add_argument(
        "--acknowledged",
        type=given_path,
        metavar="FILE",
        help="a file of regressions that are accepted, as benchmarks/acknowledged.toml is for "
        "--gate (default: none)",
    )
    parser.add_argument("--thresholds", type=given_path, metavar="FILE", help=THRESHOLDS)
    measuring.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the two sides, print the table, and return the exit status."""
    arguments.work |= arguments.gate == "work"
    if arguments.work:
        refuse_times(arguments)
    conditions = measuring.conditions(arguments)
    known, limits = _accepted(arguments), own_thresholds(arguments.thresholds)
    if arguments.selftest:
        from benchmarks.commands import selftest

        return selftest.run(arguments, conditions)
    if arguments.base is None:
        raise InputError(f"expected --base SPEC or --selftest; SPEC is {SPEC}")
    specs = {"base": arguments.base, "head": arguments.head}
    for side, spec in specs.items():
        if not spec.strip():
            raise InputError(f"--{side}: expected {SPEC}; got an empty text")
    budget = measuring.budget(arguments, conditions.settings.rounds)
    out = measuring.out_folder(arguments, "duets")
    duet = None
    with interrupts.interruptible():
        try:
            with ExitStack() as stack:
                sides = measuring.overlays(conditions).sides(specs, stack)
                voice = measuring.say_folded, measuring.pulse
                duet = Duet(
                    conditions, sides, budget, out, *voice, acknowledged=known, limits=limits
                )
                duet.command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
                measuring.say(duet.cost())
                duet.run()
        except KeyboardInterrupt:
            measuring.complain(f"interrupted: {keep(duet)}")
            return ExitStatus.INTERRUPTED
        except Exception as error:
            if duet and duet.restarts:
                measuring.complain(keep(duet))
            if isinstance(error, InputError) or not isinstance(error, HarnessError):
                raise
            measuring.complain(f"{type(error).__name__}: {error}")
            return ExitStatus.FAILED
        return report(duet)


def refuse_times(arguments: argparse.Namespace) -> None:
    """Raise InputError for what only times need."""
    for name in ("selftest", "times_only"):
        if getattr(arguments, name, False):
            raise InputError(f"--work and --{name.replace('_', '-')}: expected one of them")


def _accepted(arguments: argparse.Namespace) -> tuple[Acknowledgement, ...]:
    file: Path | None = arguments.acknowledged
    if arguments.selftest and arguments.thresholds:
        raise InputError("--thresholds: expected --base as well; a selftest has no verdicts")
    if file is None:
        return ()
    if arguments.selftest:
        raise InputError("--acknowledged: expected --base as well; a self-test has no verdicts")
    if not file.exists():
        raise InputError(f"--acknowledged: expected a file, got {file}; correct its name")
    return acknowledged.read(file)


def report(duet: Duet) -> int:
    """Print the verdicts, write them, say what was lost and where it all is."""
    if len(duet.lost):
        measuring.say(f"restarts lost: {len(duet.lost)}; complete: {duet.restarts}")
    status = judgement.exit_status(duet.verdicts)
    verdicts = [each.as_record() for each in duet.verdicts]
    record = {**duet.facts, "exit_status": status, "verdicts": verdicts}
    try:
        write_json(duet.out / "verdicts.json", record)
    finally:
        base, head = duet.sides
        notes = [*duet.notes, *session.unchecked_note([*base, *head])]
        notes += thresholds.notes(duet.limits, duet.verdicts)
        notes += comparable.no_kernels(head) if duet.conditions.work else []
        shown = [*verdict_lines.lines(duet.verdicts, notes), *conclusion.lines(duet.verdicts)]
        for line in (*shown, *github.lines(duet.verdicts, os.environ)):
            measuring.say(line)
    measuring.say(f"sessions, logs and verdicts: {duet.out}")
    return status


def keep(duet: Duet | None) -> str:
    """Judge and report a duet that was cut short; return the sentence that says what is kept."""
    if duet is None or not duet.restarts:
        return "no restart was complete, so no times are kept"
    duet.conclude()
    with suppress(InputError):  # a full disk: what ended the duet is said all the same
        report(duet)
    files = f"{shlex.quote(str(duet.out))}/restart-*"
    kept = (
        "1 complete restart is" if duet.restarts == 1 else f"{duet.restarts} complete restarts are"
    )
    return (
        f"{kept} kept; python -m benchmarks judge "
        f"--paired --base {files}-base.json --head {files}-head.json"
    )
