"""`python -m benchmarks bisect`: the release or the commit in which the verdict turned."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import ceil, log2
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.commands.duet import only_work
from benchmarks.common import git, interrupts
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

    from benchmarks.duet.restart import Conditions
    from benchmarks.duet.schedule import Budget
    from benchmarks.environments.overlay import Environment
    from benchmarks.sessions.outcome import Verdict

NOT_JUDGED = (Outcome.INVALID, Outcome.MISSING, Outcome.NOT_COMPARABLE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--package", metavar="NAME", help="search the releases of this package")
    what.add_argument(
        "--checkout",
        type=Path,
        metavar="PATH",
        help="search the commits of this checkout, which pip can install",
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
        with interrupts.interruptible(), ExitStack() as stack:
            names, environment = _candidates(arguments, conditions, stack)
            good = environment(names[0])
            search = Search(
                conditions, budget, out, good, environment, tried, metric=arguments.metric
            )
            measuring.say(f"{len(names)} candidates: {', '.join(map(_short, names))}")
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
        measuring.say(f"--bad {_short(names[-1])} {says}, so nothing turned: {tried[0].why}")
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
        measuring.say(f"{_short(name)}: {found.turn.value}: {found.why}")
        return found.turn

    def _try(self, name: str) -> Tried:
        duet = None
        try:
            sides = {"base": self.good, "head": self.environment(name)}
            if sides["head"].same_files(self.good):
                return Tried(name, Turn.GOOD, "the same files as those of the good end")
            folder = self.out / _short(name)
            budget = replace(self.budget, seed=self.budget.seed + len(self.tried))
            duet = Duet(self.conditions, sides, budget, folder, measuring.say, asked=self.asked)
            measuring.say(f"{_short(name)}: {duet.cost()}")
            duet.run()
        except HarnessError as error:
            if duet is None or duet.restarts < ENOUGH:
                return Tried(name, Turn.SKIPPED, str(error))
            measuring.complain(f"{_short(name)}: judged by what is complete; {error}")
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


def _candidates(
    arguments: argparse.Namespace, conditions: Conditions, stack: ExitStack
) -> tuple[list[str], Callable[[str], Environment]]:
    """Return the candidates in order, and a function that gives the environment of one."""
    overlays, variables = measuring.overlays(conditions), conditions.variables
    good, bad = arguments.good, arguments.bad
    if arguments.package:
        names = candidates.releases(arguments.package, good, bad, variables, measuring.say)

        def release(name: str) -> Environment:
            spec = f"{arguments.package}=={name}"
            return overlays.cached(spec, [spec])

        return names, release
    names = candidates.commits(arguments.checkout, good, bad, variables)
    tree = stack.enter_context(git.worktree(arguments.checkout, variables))
    return names, lambda name: candidates.commit_environment(name, tree, overlays)


def _short(name: str) -> str:
    """Return a commit's hash as people write it; a version as it is."""
    return name[:12]


def _table(tried: list[Tried]) -> str:
    return ", ".join(f"{_short(each.name)} {each.turn.value}" for each in tried) or "none"
