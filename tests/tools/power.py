"""How often the verdicts cry wolf, and what they find: on recorded noise, and on simulated noise.

`make power` prints the tables; tests/duet/test_sensitivity.py holds the bounds. What is recorded
is identical code, so that every change that is found in it is a false alarm; one side is then
multiplied by 1.01, 1.02, 1.05, 1.10 to see what is found.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from scipy.stats import binomtest, mannwhitneyu

from benchmarks.common.text import align
from benchmarks.sessions.outcome import Outcome
from benchmarks.sessions.session import Measured, Session
from benchmarks.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rounds = Sequence[float]
    Rule = Callable[[Sequence[Rounds], Sequence[Rounds]], bool]  # whether head is called slower

DATA = Path(__file__).parents[1] / "data"
CHANGES = (0.0, 0.01, 0.02, 0.05, 0.10)
SEED = 20261124
BETWEEN, WITHIN = 0.007, 0.005  # standard deviations of log times: of processes, of rounds
BENCHMARKS = 12
DRAWS = 2000
SUITES: dict[str, Any] = {
    "duet of 5 restarts": {"base": 5, "head": 5, "paired": True},
    "strict, 5 baselines": {"base": 5, "head": 1, "gate": "strict"},
    "strict, 10 baselines": {"base": 10, "head": 1, "gate": "strict"},
    "screen, 5 baselines": {"base": 5, "head": 1},
}


@dataclass(frozen=True)
class Share:
    """How often something happened."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.trials

    def __str__(self) -> str:
        """Return it as a percentage with its exact interval (Clopper and Pearson, 1934)."""
        low, high = binomtest(self.hits, self.trials).proportion_ci()
        return f"{100 * self.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def recorded(name: str) -> list[dict[str, list[float]]]:
    """Return the runs of a recording."""
    runs: list[dict[str, list[float]]] = json.loads((DATA / f"{name}.json").read_text())["runs"]
    return runs


def sessions(rounds: Sequence[dict[str, Rounds]], *, second: bool = False) -> list[Session]:
    """Return a session for each of these, which hold rounds by benchmark.

    `second`: whether their side came second in the first pair; then the sides took turns.
    """
    return [
        Session(
            str(index),
            {
                name: Measured(
                    name,
                    tuple(each[name]),
                    positions=tuple((k + second) % 2 for k in range(len(each[name]))),
                )
                for name in each
            },
        )
        for index, each in enumerate(rounds)
    ]


def suite(*outcomes: Outcome, paired: bool = False, gate: str = "screen") -> Rule:
    """Return the rule that the suite's verdict is one of these."""

    def rule(base: Sequence[Rounds], head: Sequence[Rounds]) -> bool:
        sides = (
            sessions([{"a": rounds} for rounds in side], second=side is head)
            for side in (base, head)
        )
        (found,) = judgement.judge(*sides, paired=paired, gate=gate)
        return found.outcome in outcomes

    return rule


def mean_5(base: Sequence[Rounds], head: Sequence[Rounds]) -> bool:
    """pytest-benchmark's `--benchmark-compare-fail=mean:5%`, against the last baseline."""
    return fmean(head[-1]) > 1.05 * fmean(base[-1])


def min_5(base: Sequence[Rounds], head: Sequence[Rounds]) -> bool:
    """pytest-benchmark's `--benchmark-compare-fail=min:5%`, against the last baseline."""
    return min(head[-1]) > 1.05 * min(base[-1])


def mann_whitney(base: Sequence[Rounds], head: Sequence[Rounds]) -> bool:
    """Mann and Whitney's test on the rounds of two sessions, p < 0.05, and head is slower."""
    test = mannwhitneyu(head[-1], base[-1])
    return bool(test.pvalue < 0.05 and test.statistic > len(head[-1]) * len(base[-1]) / 2)


REGRESSED, NOTICED = (Outcome.REGRESSED,), (Outcome.REGRESSED, Outcome.INCONCLUSIVE)
DUET = suite(*REGRESSED, paired=True)
UNPAIRED: dict[str, Rule] = {
    "screen: REGRESSED": suite(*REGRESSED),
    "screen: doesn't pass": suite(*NOTICED),  # REGRESSED, or a duet has to decide
    "strict: REGRESSED": suite(*REGRESSED, gate="strict"),
}
OTHERS: dict[str, Rule] = {"mean:5%": mean_5, "min:5%": min_5, "Mann-Whitney": mann_whitney}


def slower(rounds: Rounds, change: float) -> list[float]:
    """Return rounds that take so much longer."""
    return [each * (1 + change) for each in rounds]


def finds(
    rule: Rule,
    trials: Sequence[tuple[Sequence[Rounds], Sequence[Rounds]]],
    changes: Sequence[float] = CHANGES,
) -> list[Share]:
    """Return how often a rule calls head slower, for each change that is injected into it."""
    return [
        Share(
            sum(rule(base, [slower(each, change) for each in head]) for base, head in trials),
            len(trials),
        )
        for change in changes
    ]


def neighbours(count: int) -> list[tuple[list[Rounds], list[Rounds]]]:
    """Return every recorded process against `count` before it, and against as many after it.

    Neighbours overlap, so that the trials are not independent, and the intervals too narrow.
    """
    runs = [run["rounds_s"] for run in recorded("restarts")]
    trials = []
    for order in (runs, runs[::-1]):
        trials += [(order[end - count : end], [order[end]]) for end in range(count, len(order))]
    return trials


def duets(
    name: str, restarts: int, pairs: int, draws: int, seed: int = SEED
) -> list[tuple[list[Rounds], list[Rounds]]]:
    """Return duets drawn from a recording: restarts with replacement, each its first pairs.

    Which process of a restart is base is drawn as well: the code is identical, and who started
    first is slower in one of the recordings.
    """
    rng = random.Random(seed)
    runs = recorded(name)
    trials = []
    for _ in range(draws):
        base, head = [], []
        for run in rng.choices(runs, k=restarts):
            sides = [run["a_rounds_s"][:pairs], run["b_rounds_s"][:pairs]]
            rng.shuffle(sides)
            base.append(sides[0])
            head.append(sides[1])
        trials.append((base, head))
    return trials


def simulated(rng: random.Random, count: int) -> list[dict[str, Rounds]]:
    """Return 10 rounds of each benchmark of `count` sessions, each process with its own luck."""
    found = []
    for _ in range(count):
        session = {}
        for index in range(BENCHMARKS):
            luck = rng.gauss(0, BETWEEN)
            session[f"b{index}"] = [math.exp(luck + rng.gauss(0, WITHIN)) for _ in range(10)]
        found.append(session)
    return found


@dataclass(frozen=True)
class Suites:
    """What came of judging many whole suites in which nothing changed."""

    regressed: Share  # suites with any REGRESSED
    improved: Share
    inconclusive: Share
    covered: Share  # intervals that hold the truth


def suites(
    count: int, base: int, head: int, *, paired: bool = False, gate: str = "screen"
) -> Suites:
    """Simulate suites without a change, and judge them."""
    rng = random.Random(SEED)
    seen: Counter[str] = Counter()
    for _ in range(count):
        sides = (sessions(simulated(rng, number)) for number in (base, head))
        found = judgement.judge(*sides, paired=paired, gate=gate)
        seen.update({each.outcome.value for each in found})
        seen["covered"] += sum(each.low <= 0 <= each.high for each in found)
    regressed, improved, open_ = (
        Share(seen[outcome.value], count)
        for outcome in (Outcome.REGRESSED, Outcome.IMPROVED, Outcome.INCONCLUSIVE)
    )
    return Suites(regressed, improved, open_, Share(seen["covered"], count * BENCHMARKS))


def main() -> None:
    """Print all tables."""
    head = ("rule", "false alarms", *(f"finds {change:+.0%}" for change in CHANGES[1:]))
    print("Percent, with exact binomial intervals (95 %). What is recorded is identical code.\n")
    print("restarts.json: a process against its neighbours in time, in both directions")
    rows = [head]
    rows += [(name, *map(str, finds(rule, neighbours(1)))) for name, rule in OTHERS.items()]
    for count in (1, 5, 10):
        trials = neighbours(count)
        rows += [
            (f"{name}, {count} baseline{'s' if count > 1 else ''}", *map(str, finds(rule, trials)))
            for name, rule in UNPAIRED.items()
        ]
    print("\n".join(align(rows)))
    print("\nrestarts of two resident processes, resampled, 10 pairs of each")
    rows = [head]
    for name, restarts in (("duet", 5), ("duet_busy", 5), ("duet_busy", 8)):
        shares = finds(DUET, duets(name, restarts, 10, DRAWS))
        rows.append((f"{name}.json, {restarts} restarts: REGRESSED", *map(str, shares)))
    print("\n".join(align(rows)))
    print(
        f"\nsimulated suites: {BENCHMARKS} benchmarks, no change, {BETWEEN:.1%} between processes "
        f"and {WITHIN:.1%} within"
    )
    rows = [("", "any REGRESSED", "any IMPROVED", "any INCONCLUSIVE", "intervals hold")]
    for name, arguments in SUITES.items():
        found = suites(500, **arguments)
        shares = (found.regressed, found.improved, found.inconclusive, found.covered)
        rows.append((name, *map(str, shares)))
    print("\n".join(align(rows)))


if __name__ == "__main__":
    main()
