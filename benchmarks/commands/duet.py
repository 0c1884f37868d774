"""`python -m benchmarks duet`: two environments on this machine, one verdict."""

from __future__ import annotations

import argparse
import shlex
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import workload
from benchmarks.harness import (
    acknowledged,
    overlay,
    storing,
    unchecked,
    verdict,
    verdict_table,
)
from benchmarks.harness.duet import Duet
from benchmarks.harness.errors import HarnessError, InputError
from benchmarks.harness.estimate import ENOUGH
from benchmarks.harness.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.harness.outcome import Acknowledgement
    from benchmarks.harness.overlay import Environment
    from benchmarks.harness.restart import Conditions

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
        "--acknowledged",
        type=Path,
        metavar="FILE",
        help="regressions that pass, as benchmarks/acknowledged.toml has them for the gate "
        "(default: none)",
    )
    workload.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare the two sides, print the table, and return the exit status."""
    conditions = workload.conditions(arguments)
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
    budget = workload.budget(arguments, conditions.settings.rounds)
    out = workload.out_folder(arguments, "duets")
    duet = None
    with workload.interruptible():
        try:
            with ExitStack() as stack:
                found = environments(specs, conditions, stack)
                duet = Duet(conditions, found, budget, out, workload.say, acknowledged=known)
                workload.say(cost(duet))
                duet.run()
        except KeyboardInterrupt:
            workload.complain(f"interrupted: {keep(duet)}")
            return ExitStatus.INTERRUPTED
        except Exception as error:
            if duet and duet.restarts:
                workload.complain(keep(duet))
            if isinstance(error, InputError) or not isinstance(error, HarnessError):
                raise
            workload.complain(f"{type(error).__name__}: {error}")
            return ExitStatus.FAILED
        return report(duet)


def _accepted(arguments: argparse.Namespace) -> tuple[Acknowledgement, ...]:
    file: Path | None = arguments.acknowledged
    if file is None:
        return ()
    if arguments.selftest:
        raise InputError("--acknowledged: expected --base as well; a selftest has no verdicts")
    if not file.exists():
        raise InputError(f"--acknowledged: expected a file, got {file}; correct its name")
    return acknowledged.read(file)


def environments(
    specs: Mapping[str, str], conditions: Conditions, stack: ExitStack
) -> dict[str, Environment]:
    """Return the environment of each side, built if need be; equal SPECs are one environment."""
    opened = {
        spec: stack.enter_context(
            overlay.opened(spec, conditions.settings.cache_dir, conditions.variables, workload.say)
        )
        for spec in dict.fromkeys(specs.values())
    }
    return {side: opened[spec] for side, spec in specs.items()}


def cost(duet: Duet) -> str:
    """Return about what a duet may cost where all of it is needed, before it starts."""
    settings, budget = duet.conditions.settings, duet.budget
    benchmarks = len(settings.quantizations) * len(settings.batch_sizes)
    rounds = budget.restarts * budget.pairs * len(duet.conditions.takes) * benchmarks
    first = min(duet.looks)
    early = f", {first} where they decide" if budget.restarts > first else ""
    if budget.restarts < ENOUGH:
        early = f" (no verdict on times comes of fewer than {ENOUGH})"
    restarts = f"{budget.restarts} restart{'s' * (budget.restarts > 1)}{early}"
    return (
        f"at most {restarts}, {rounds} rounds of {settings.new_tokens} new tokens in all, and "
        f"about {budget.minutes:g} minutes; seed {budget.seed}; results in {duet.out}"
    )


def report(duet: Duet) -> int:
    """Print the verdicts, write them, say what was lost and where it all is."""
    if len(duet.lost):
        workload.say(f"restarts lost: {len(duet.lost)}; complete: {duet.restarts}")
    status = verdict.exit_status(duet.verdicts)
    verdicts = [each.as_record() for each in duet.verdicts]
    record = {**duet.facts, "exit_status": status, "verdicts": verdicts}
    try:
        storing.write(duet.out / "verdicts.json", record)
    finally:
        base, head = duet.sides
        notes = [*duet.notes, *unchecked.note([*base, *head])]
        for line in verdict_table.lines(duet.verdicts, notes):
            workload.say(line)
    workload.say(f"sessions, logs and verdicts: {duet.out}")
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
