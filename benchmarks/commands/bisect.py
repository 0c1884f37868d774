"""`python -m benchmarks bisect`: the release or the commit in which the verdict turned."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import workload
from benchmarks.commands.duet import cost
from benchmarks.harness import bisect, overlay, storing, verdict_table
from benchmarks.harness.bisect import Tried, Turn
from benchmarks.harness.duet import Duet
from benchmarks.harness.errors import HarnessError
from benchmarks.harness.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.duet import Budget
    from benchmarks.harness.overlay import Environment
    from benchmarks.harness.restart import Conditions
    from benchmarks.harness.verdict import Verdict

NOTHING_FOUND = 10  # as where nothing was compared: there is no turn to act on


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
    workload.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search, print what was tried and where it turned, and return 0 where that was found."""
    conditions = workload.conditions(arguments)
    budget = workload.budget(arguments, conditions.settings.rounds)
    out = workload.out_folder(arguments, "bisects")
    tried: list[Tried] = []
    try:
        with workload.interruptible(), ExitStack() as stack:
            names, environment = _candidates(arguments, conditions, stack)
            good = environment(names[0])
            search = Search(conditions, budget, out, good, environment, tried)
            workload.say(f"{len(names)} candidates: {', '.join(map(_short, names))}")
            found = bisect.search(names, search.turn)
    except KeyboardInterrupt:
        workload.complain(f"interrupted; tried so far: {_table(tried)}")
        return workload.INTERRUPTED
    workload.say(f"tried: {_table(tried)}")
    storing.write(
        out / "tried.json",
        [{"name": each.name, "turn": each.turn.value, "why": each.why} for each in tried],
    )
    if found is None:
        says = "can't be tried" if tried[0].turn is Turn.SKIPPED else "is not found to be slower"
        workload.say(f"--bad {_short(names[-1])} {says}, so nothing turned: {tried[0].why}")
        return NOTHING_FOUND
    gap = f", or one of those that can't run: {', '.join(found.between)}" if found.between else ""
    workload.say(f"it turned in {found.bad}{gap}; the last good one is {found.good}")
    workload.say(f"sessions and logs: {out}")
    return 0


@dataclass
class Search:
    """Asks one candidate after the other, by a duet against the good side."""

    conditions: Conditions
    budget: Budget
    out: Path
    good: Environment
    environment: Callable[[str], Environment]
    tried: list[Tried]
    change: float = field(default=0.0)  # of the bad end, to compare what isn't conclusive with

    def turn(self, name: str) -> Turn:
        """Return what a duet says of a candidate, and keep why."""
        found = self._try(name)
        self.tried.append(found)
        workload.say(f"{_short(name)}: {found.turn.value}: {found.why}")
        return found.turn

    def _try(self, name: str) -> Tried:
        try:
            sides = {"base": self.good, "head": self.environment(name)}
            folder = self.out / _short(name)
            budget = replace(self.budget, seed=self.budget.seed + len(self.tried))
            duet = Duet(self.conditions, sides, budget, folder, workload.say)
            workload.say(f"{_short(name)}: {cost(duet)}")
            duet.run()
        except HarnessError as error:
            return Tried(name, Turn.SKIPPED, str(error))
        for line in verdict_table.lines(duet.verdicts, duet.notes):
            workload.say(line)
        if not duet.restarts:
            return Tried(name, Turn.SKIPPED, "no restart was complete")
        return self._judged(name, duet.verdicts)

    def _judged(self, name: str, verdicts: list[Verdict]) -> Tried:
        """Return what the verdicts say; an open one is decided by the half of the whole change."""
        times = [each for each in verdicts if each.kind == "time" and each.change is not None]
        worst = max((each.change or 0.0 for each in times), default=0.0)
        regressed = [each for each in verdicts if each.outcome is Outcome.REGRESSED]
        if not self.tried:
            self.change = worst
        if regressed:
            first = regressed[0]
            by = "" if first.change is None else f" by {first.change:+.1%}"
            return Tried(name, Turn.BAD, f"{first.metric} REGRESSED{by}")
        if not times:
            return Tried(name, Turn.SKIPPED, "no time could be judged")
        if any(each.outcome is Outcome.INCONCLUSIVE for each in times) and self.tried:
            turn = Turn.BAD if worst > self.change / 2 else Turn.GOOD
            return Tried(
                name, turn, f"INCONCLUSIVE, {worst:+.1%} at most: only its estimate says so"
            )
        return Tried(name, Turn.GOOD, f"{worst:+.1%} at most")


def _candidates(
    arguments: argparse.Namespace, conditions: Conditions, stack: ExitStack
) -> tuple[list[str], Callable[[str], Environment]]:
    """Return the candidates in order, and a function that gives the environment of one."""
    variables, cache_dir = conditions.variables, conditions.settings.cache_dir
    good, bad = arguments.good, arguments.bad
    if arguments.package:
        names = bisect.releases(arguments.package, good, bad, variables)

        def release(name: str) -> Environment:
            spec = f"{arguments.package}=={name}"
            return overlay.cached(spec, [spec], cache_dir, variables, workload.say)

        return names, release
    names = bisect.commits(arguments.checkout, good, bad, variables)
    tree = stack.enter_context(bisect.worktree(arguments.checkout, variables))

    def commit(name: str) -> Environment:
        return bisect.commit_environment(name, tree, cache_dir, variables, workload.say)

    return names, commit


def _short(name: str) -> str:
    """Return a commit's hash as people write it; a version as it is."""
    return name[:12]


def _table(tried: list[Tried]) -> str:
    return ", ".join(f"{_short(each.name)} {each.turn.value}" for each in tried) or "none"
