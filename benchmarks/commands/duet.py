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
from benchmarks.commands.arguments import given_path
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.duet.duet import Duet
from benchmarks.report import github, verdict_table
from benchmarks.sessions import session
from benchmarks.verdicts import acknowledged, judgement
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from benchmarks.verdicts.acknowledged import Acknowledgement

WORK_RESTARTS = ENOUGH  # of work, whose noise is small
SPEC = (
    "current; requirements such as bitsandbytes==0.49.2 or A==1,B==2; a path to a Python "
    "interpreter; a path to a source checkout"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--base", metavar="SPEC", help=f"what to compare with: {SPEC}")
    parser.add_argument(
        "--head", default="current", metavar="SPEC", help="what is new (default: current)"
    )
    parser.add_argument(
        "--selftest",
        action="store_true",
        help="find out what a duet can see on this machine: identical sides, and real slowdowns "
        "of 1, 2 and 5 %%",
    )
    parser.add_argument(
        "--work",
        action="store_true",
        help="compare the work alone, what is counted and the device time: no round is timed, and "
        f"{WORK_RESTARTS} restarts decide, whatever else the machine does",
    )
    parser.add_argument(
        "--gate",
        choices=("screen", "work"),
        default="screen",
        help="work: judge the work alone, which is --work (default: screen, times as well)",
    )
    parser.add_argument(
        "--acknowledged",
        type=given_path,
        metavar="FILE",
        help="regressions that pass, as benchmarks/acknowledged.toml has them for the gate "
        "(default: none)",
    )
    measuring.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the two sides, print the table, and return the exit status."""
    arguments.work |= arguments.gate == "work"
    if arguments.work:
        only_work(arguments)
    conditions = measuring.conditions(arguments)
    known = _accepted(arguments)
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
                voice = measuring.say, measuring.pulse
                duet = Duet(conditions, sides, budget, out, *voice, acknowledged=known)
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


def only_work(arguments: argparse.Namespace) -> None:
    """Take what work needs for the defaults: few restarts, and no long generation."""
    for name in ("selftest", "times_only"):
        if getattr(arguments, name, False):
            raise InputError(f"--work and --{name.replace('_', '-')}: expected one of them")
    if arguments.max_restarts == str(measuring.RESTARTS):
        arguments.max_restarts = str(WORK_RESTARTS)


def _accepted(arguments: argparse.Namespace) -> tuple[Acknowledgement, ...]:
    file: Path | None = arguments.acknowledged
    if file is None:
        return ()
    if arguments.selftest:
        raise InputError("--acknowledged: expected --base as well; a selftest has no verdicts")
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
        shown = verdict_table.lines(duet.verdicts, notes)
        for line in shown + github.lines(duet.verdicts, os.environ):
            measuring.say(line)
    measuring.say(f"sessions, logs and verdicts: {duet.out}")
    return status


def keep(duet: Duet | None) -> str:
    """Judge and report what a duet that was cut short has, and return in words what is kept."""
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
