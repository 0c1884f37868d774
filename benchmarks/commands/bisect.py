"""`python -m benchmarks bisect`: the release in which the verdict turned."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log2
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.commands.arguments import epilog
from benchmarks.commands.duet import refuse_times
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.duet import bisection, progress
from benchmarks.duet.bisection import Found, Tried, Turn
from benchmarks.duet.duet import Duet
from benchmarks.environments import candidates
from benchmarks.report import verdict_lines
from benchmarks.sessions.outcome import Outcome, moved
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.duet.restart import Conditions
    from benchmarks.duet.schedule import Budget
    from benchmarks.environments.overlay import Environment, Overlays
    from benchmarks.sessions.outcome import Verdict

TURNS = {
    Outcome.REGRESSED: Turn.BAD,
    Outcome.NO_CHANGE: Turn.GOOD,
    Outcome.IMPROVED: Turn.GOOD,
    Outcome.INCONCLUSIVE: Turn.UNDECIDED,
    Outcome.INVALID: Turn.UNDECIDED,  # by the machine, which says nothing of the candidate
    Outcome.MISSING: Turn.SKIPPED,
    Outcome.NOT_COMPARABLE: Turn.SKIPPED,
}
FIRST = (Turn.BAD, Turn.UNDECIDED, Turn.SKIPPED, Turn.GOOD)  # of an end of several verdicts


EXAMPLES = """
bisect --package bitsandbytes --good 0.50.2 --bad NEWER
bisect --package bitsandbytes --good 0.50.2 --bad NEWER --metric tpot_s
"""
STATUSES = {
    ExitStatus.FINE: "found; a line at the end names the release",
    ExitStatus.WRONG_INPUT: "wrong input; nothing was measured",
    ExitStatus.NOTHING_COMPARED: "the bad release is not slower, or can't be tried",
    ExitStatus.UNDECIDED: "the duets could not decide: times vary too much, or are INVALID",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    parser.add_argument(
        "--package",
        required=True,
        metavar="NAME",
        help="package whose releases are searched (required)",
    )
    parser.add_argument(
        "--good",
        required=True,
        metavar="VERSION",
        help="a fast release, which is the base of every duet (required)",
    )
    parser.add_argument(
        "--bad", required=True, metavar="VERSION", help="a later and slow release (required)"
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="metric to follow, such as tpot_s; for work, such as decode_device_s or "
        "decode.python_calls, no round is timed (default: what got worst in --bad, a time if any "
        "did)",
    )
    measuring.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search, print what was tried and where it turned, and return 0 if that was found.

    11 if nothing can tell, and what it would take.
    """
    arguments.work = is_work(arguments.metric or "")
    if arguments.work:
        refuse_times(arguments)
    conditions = measuring.conditions(arguments)
    budget = measuring.budget(arguments, conditions.settings.rounds)
    out = measuring.out_folder(arguments, "bisects")
    tried: list[Tried] = []
    try:
        with interrupts.interruptible():
            found = _search(arguments, conditions, budget, out, tried)
    except KeyboardInterrupt:
        measuring.complain(f"interrupted; tried so far: {_table(tried)}")
        return ExitStatus.INTERRUPTED
    finally:
        if tried:
            record = [{"name": e.name, "turn": e.turn.value, "why": e.why} for e in tried]
            write_json(out / "tried.json", record)
    measuring.say(f"tried: {_table(tried)}")
    for line in _ending(found, tried, _budget(arguments, budget)):
        measuring.say(line)
    measuring.say(f"sessions and logs: {out}")
    if found is None:
        end = tried[0].turn is Turn.UNDECIDED
        return ExitStatus.UNDECIDED if end else ExitStatus.NOTHING_COMPARED
    return ExitStatus.UNDECIDED if found.undecided else ExitStatus.FINE


def _search(
    arguments: argparse.Namespace,
    conditions: Conditions,
    budget: Budget,
    out: Path,
    tried: list[Tried],
) -> Found | None:
    """Try candidates until it is found where they turn, and keep what came of each in `tried`."""
    package, ends = arguments.package, (arguments.good, arguments.bad)
    overlays = measuring.overlays(conditions)
    names = candidates.releases(package, *ends, conditions.variables, measuring.say)
    environment = partial(_release, package, overlays)
    good = environment(names[0])
    search = Search(conditions, budget, out, good, environment, tried, metric=arguments.metric)
    measuring.say(f"{len(names)} candidates: {', '.join(names)}")
    measuring.say(
        f"about {1 + ceil(log2(len(names) - 1))} duets, and one more for each that can't be tried "
        f"or decided; at most {progress.minutes(budget.minutes)} each"
    )
    return bisection.search(names, search.turn)


def _ending(found: Found | None, tried: list[Tried], budget: str) -> Iterator[str]:
    """Yield what came of the search, and what it would take to tell what it doesn't."""
    end = tried[0]
    if found is None and end.turn is Turn.UNDECIDED:
        yield f"can't tell whether --bad {end.name} is slower: {end.why} ({budget})"
    elif found is None:
        says = "can't be tried" if end.turn is Turn.SKIPPED else "is not found to be slower"
        yield f"--bad {end.name} {says}, so there is no turn to look for: {end.why}"
    elif found.undecided:
        these = ", ".join((*found.between, found.bad))
        yield f"can't tell in which of {these} it turned; the last good one is {found.good}"
        for each in tried:
            if each.name in found.undecided:
                yield f"undecided: {each.name}: {each.why} ({budget})"
    else:
        between = ", ".join(found.between)
        gap = f", or one of those that can't run: {between}" if between else ""
        yield f"it turned in {found.bad}{gap}; the last good one is {found.good}"


def _budget(arguments: argparse.Namespace, budget: Budget) -> str:
    """Return what each duet had, by the options that give it more."""
    more = "--device-repeats" if arguments.work else "--rounds"
    value = arguments.device_repeats if arguments.work else arguments.rounds
    return f"now --max-restarts {budget.restarts}, --max-minutes {budget.minutes:g}, {more} {value}"


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
            voice = measuring.say, measuring.pulse
            duet = Duet(self.conditions, sides, budget, folder, *voice, asked=self.asked)
            measuring.say(f"{name}: {duet.cost()}")
            duet.run()
        except HarnessError as error:
            if duet is None or duet.restarts < ENOUGH:
                return Tried(name, Turn.SKIPPED, str(error))
            measuring.complain(f"{name}: judged by what is complete; {error}")
            duet.conclude()
        for line in verdict_lines.lines(duet.verdicts, duet.notes):
            measuring.say(line)
        if not duet.restarts:
            turn = Turn.UNDECIDED if duet.is_over else Turn.SKIPPED  # too slow isn't broken
            return Tried(name, turn, "; ".join(["no restart was complete", *duet.lost[-1:]]))
        if self.asked is None:
            return self._bad_end(name, duet.verdicts)
        return self._judged(name, duet.verdicts)

    def _bad_end(self, name: str, verdicts: list[Verdict]) -> Tried:
        """Choose what is asked of all other candidates: the worst that has regressed here."""
        asked = [each for each in verdicts if self.metric in (None, each.metric)]
        if not asked:
            what = f"no {self.metric}" if self.metric else "nothing"
            return Tried(name, Turn.SKIPPED, f"{what} could be judged")
        turn = min((TURNS[each.outcome] for each in asked), key=FIRST.index)
        worst = max(
            (each for each in asked if TURNS[each.outcome] is turn),
            key=lambda each: (each.kind == "time", each.change or 0.0),
        )
        if turn is Turn.BAD:
            self.asked = worst.benchmark, worst.metric
            measuring.say(f"from here on: {worst.metric} of {worst.benchmark}")
        return Tried(name, turn, _says(worst))

    def _judged(self, name: str, verdicts: list[Verdict]) -> Tried:
        """Return what the one verdict says. One that is open is never decided by its estimate."""
        for each in verdicts:
            if (each.benchmark, each.metric) == self.asked:
                return Tried(name, TURNS[each.outcome], _says(each))
        return Tried(name, Turn.SKIPPED, "what regressed at the bad end is not measured there")


def _says(each: Verdict) -> str:
    """Return a verdict in a few words; with its detail, which says what it would take, if open."""
    by = "" if each.change is None else f" by {moved(each.change, each.low, each.high)}"
    is_open = TURNS[each.outcome] in (Turn.UNDECIDED, Turn.SKIPPED) and each.detail
    return f"{each.metric} {each.outcome.value}{by}" + (f": {each.detail}" if is_open else "")


def _release(package: str, overlays: Overlays, name: str) -> Environment:
    spec = f"{package}=={name}"
    return overlays.cached(spec, [spec])


def _table(tried: list[Tried]) -> str:
    return ", ".join(f"{each.name} {each.turn.value}" for each in tried) or "none"
