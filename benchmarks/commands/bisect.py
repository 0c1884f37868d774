"""`python -m benchmarks bisect`: the release in which the verdict turned."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log2
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.commands.duet import only_work
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.duet import bisection
from benchmarks.duet.bisection import Tried, Turn
from benchmarks.duet.duet import Duet
from benchmarks.environments import candidates
from benchmarks.report import verdict_table
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.duet.restart import Conditions
    from benchmarks.duet.schedule import Budget
    from benchmarks.environments.overlay import Environment, Overlays
    from benchmarks.sessions.outcome import Verdict

NOT_JUDGED = (Outcome.INVALID, Outcome.MISSING, Outcome.NOT_COMPARABLE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "--package", required=True, metavar="NAME", help="search the releases of this package"
    )
    parser.add_argument("--good", required=True, metavar="VERSION", help="fast: the base of all")
    parser.add_argument("--bad", required=True, metavar="VERSION", help="slow, and later")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="follow this one, such as tpot_s (default: the time that regressed most at the bad "
        "end, or whatever else regressed most); work, such as decode_device_s or "
        "decode.python_calls, is followed without any timed round",
    )
    measuring.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search, print what was tried and where it turned, and return 0 if that was found."""
    arguments.work = is_work(arguments.metric or "")
    if arguments.work:
        only_work(arguments)
    conditions = measuring.conditions(arguments)
    budget = measuring.budget(arguments, conditions.settings.rounds)
    out = measuring.out_folder(arguments, "bisects")
    tried: list[Tried] = []
    try:
        with interrupts.interruptible():
            package, ends = arguments.package, (arguments.good, arguments.bad)
            overlays = measuring.overlays(conditions)
            names = candidates.releases(package, *ends, conditions.variables, measuring.say)
            environment = partial(_release, package, overlays)
            good = environment(names[0])
            search = Search(
                conditions, budget, out, good, environment, tried, metric=arguments.metric
            )
            measuring.say(f"{len(names)} candidates: {', '.join(names)}")
            measuring.say(
                f"about {1 + ceil(log2(len(names) - 1))} duets, and one more for each that can't "
                f"be tried; about {budget.minutes:g} minutes each at most"
            )
            found = bisection.search(names, search.turn)
    except KeyboardInterrupt:
        measuring.complain(f"interrupted; tried so far: {_table(tried)}")
        return ExitStatus.INTERRUPTED
    finally:
        if tried:
            record = [{"name": e.name, "turn": e.turn.value, "why": e.why} for e in tried]
            write_json(out / "tried.json", record)
    measuring.say(f"tried: {_table(tried)}")
    if found is None:
        says = "can't be tried" if tried[0].turn is Turn.SKIPPED else "is not found to be slower"
        measuring.say(f"--bad {names[-1]} {says}, so nothing turned: {tried[0].why}")
        return ExitStatus.NOTHING_COMPARED  # there is no turn to act on
    gap = f", or one of those that can't run: {', '.join(found.between)}" if found.between else ""
    measuring.say(f"it turned in {found.bad}{gap}; the last good one is {found.good}")
    measuring.say(f"sessions and logs: {out}")
    return ExitStatus.FINE


def is_work(metric: str) -> bool:
    """Whether a metric is counted, or measured on the device: no round has to be timed for it."""
    return metric.endswith("_device_s") or metric.startswith(("prefill.", "decode."))


@dataclass
class Search:
    """Asks one candidate after the other, by a duet against the good side."""

    conditions: Conditions
    budget: Budget
    out: Path
    good: Environment
    environment: Callable[[str], Environment]
    tried: list[Tried]
    metric: str | None = None  # the only one that may be asked for
    asked: tuple[str, str] | None = None  # the benchmark and metric that regressed most at the end
    change: float = 0.0  # of that, to compare what isn't conclusive with

    def turn(self, name: str) -> Turn:
        """Return what a duet says of a candidate, and keep why."""
        found = self._try(name)
        self.tried.append(found)
        measuring.say(f"{name}: {found.turn.value}: {found.why}")
        return found.turn

    def _try(self, name: str) -> Tried:
        duet = None
        try:
            sides = {"base": self.good, "head": self.environment(name)}
            folder = self.out / name
            budget = replace(self.budget, seed=self.budget.seed + len(self.tried))
            duet = Duet(self.conditions, sides, budget, folder, measuring.say, asked=self.asked)
            measuring.say(f"{name}: {duet.cost()}")
            duet.run()
        except HarnessError as error:
            if duet is None or duet.restarts < ENOUGH:
                return Tried(name, Turn.SKIPPED, str(error))
            measuring.complain(f"{name}: judged by what is complete; {error}")
            duet.conclude()
        for line in verdict_table.lines(duet.verdicts, duet.notes):
            measuring.say(line)
        if not duet.restarts:
            return Tried(name, Turn.SKIPPED, "no restart was complete")
        if self.asked is None:
            return self._bad_end(name, duet.verdicts)
        return self._judged(name, duet.verdicts)

    def _bad_end(self, name: str, verdicts: list[Verdict]) -> Tried:
        """Choose what is asked of all other candidates: the worst that has regressed here."""
        asked = [each for each in verdicts if self.metric in (None, each.metric)]
        regressed = [each for each in asked if each.outcome is Outcome.REGRESSED]
        if regressed:
            worst = max(regressed, key=lambda each: (each.kind == "time", each.change or 0.0))
            self.asked, self.change = (worst.benchmark, worst.metric), worst.change or 0.0
            measuring.say(f"from here on: {worst.metric} of {worst.benchmark}")
            return Tried(name, Turn.BAD, _says(worst))
        if not asked:
            what = f"no {self.metric}" if self.metric else "nothing"
            return Tried(name, Turn.SKIPPED, f"{what} could be judged")
        for each in asked:
            if each.kind == "time" and each.outcome in NOT_JUDGED:
                return Tried(name, Turn.SKIPPED, f"{_says(each)}: {each.detail}")
        worst = max(asked, key=lambda each: each.change or 0.0)
        return Tried(name, Turn.GOOD, _says(worst))

    def _judged(self, name: str, verdicts: list[Verdict]) -> Tried:
        """Return what the one verdict says; an open one is decided by half of the whole change."""
        found = [each for each in verdicts if (each.benchmark, each.metric) == self.asked]
        if not found or found[0].outcome in NOT_JUDGED:
            why = f": {found[0].detail}" if found else ""
            return Tried(name, Turn.SKIPPED, f"what regressed at the bad end can't be judged{why}")
        each = found[0]
        if each.outcome is Outcome.REGRESSED:
            return Tried(name, Turn.BAD, _says(each))
        if each.outcome is Outcome.INCONCLUSIVE:
            turn = Turn.BAD if (each.change or 0.0) > self.change / 2 else Turn.GOOD
            return Tried(name, turn, f"{_says(each)}: only its estimate says so")
        return Tried(name, Turn.GOOD, _says(each))


def _says(each: Verdict) -> str:
    by = "" if each.change is None else f" by {each.change:+.1%}"
    return f"{each.metric} {each.outcome.value}{by}"


def _release(package: str, overlays: Overlays, name: str) -> Environment:
    spec = f"{package}=={name}"
    return overlays.cached(spec, [spec])


def _table(tried: list[Tried]) -> str:
    return ", ".join(f"{each.name} {each.turn.value}" for each in tried) or "none"
