"""What a duet can see: duets drawn from restarts that were recorded, each judged as a real one.

A drawn duet takes restarts at random, with replacement, and in each either process is the slow
one: what a process was lucky with in the recording counts in both directions. It is looked at as
`duet` looks at a real one. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.duet import decisions, schedule
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import judge

if TYPE_CHECKING:
    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session

DRAWN = 200  # duets for each slowdown: a share of 5 % is known within 3 points, at 95 %
ENOUGH = 0.8  # of them that must find a change for it to count as one that can be seen
Pair = tuple["Session", "Session"]
CALLS = frozenset({Outcome.REGRESSED, Outcome.IMPROVED})


@dataclass(frozen=True)
class Power:
    """What drawn duets said of one slowdown; shares of all of them.

    `found`: some time changed in the right direction. `false_alarms`: some time changed that
    didn't, or in the wrong direction. `restarts`: how many it took on average.
    """

    slowdown: float
    measured: float | None  # the change of the round time over all recorded restarts
    found: float
    false_alarms: float
    inconclusive: float
    restarts: float


def estimate(
    restarts: Sequence[tuple[Pair, Pair]],
    slowdown: float,
    *,
    most: int,
    alpha: float,
    seed: int,
    first: int = schedule.FIRST_LOOK,
    drawn: int = DRAWN,
) -> Power:
    """Return what duets of at most so many restarts find, if one side is slower by `slowdown`.

    `restarts` are recorded, each as two pairs of a fast and a slow session: both processes of a
    restart were each of them. `first`: after how many restarts verdicts are tried first.
    """
    random = Random(seed)  # noqa: S311 (drawing restarts is no secret)
    looks = schedule.looks(most, alpha, first)
    found = alarms = open_ = total = 0
    for _ in range(drawn):
        chosen = [random.choice(ways) for ways in random.choices(restarts, k=most)]
        swapped = random.random() < 0.5
        if swapped:
            chosen = [(slow, fast) for fast, slow in chosen]
        outcomes, used = _look(chosen, looks)
        right = Outcome.IMPROVED if swapped else Outcome.REGRESSED
        wrong = CALLS - {right} if slowdown else CALLS
        found += slowdown > 0 and right in outcomes
        alarms += bool(outcomes & wrong)
        open_ += not outcomes & CALLS and Outcome.INCONCLUSIVE in outcomes
        total += used
    return Power(
        slowdown=slowdown,
        measured=_measured(restarts, alpha),
        found=found / drawn,
        false_alarms=alarms / drawn,
        inconclusive=open_ / drawn,
        restarts=total / drawn,
    )


def _measured(restarts: Sequence[tuple[Pair, Pair]], alpha: float) -> float | None:
    """Return the change of the round time over all recorded restarts; None if it isn't known."""
    base, head = zip(*[pair for ways in restarts for pair in ways], strict=True)
    rounds = [
        each for each in judge(base, head, paired=True, alpha=alpha) if each.metric == "round_s"
    ]
    changes = [each.change for each in rounds if each.change is not None]
    return fmean(changes) if changes else None


def smallest(found: Sequence[Power]) -> Power | None:
    """Return the smallest slowdown that can be seen, and every larger one as well."""
    seen = None
    for each in sorted(found, key=lambda power: -power.slowdown):
        if not each.slowdown or each.found < ENOUGH:
            break
        seen = each
    return seen


def _look(pairs: Sequence[Pair], looks: dict[int, float]) -> tuple[set[Outcome], int]:
    """Return what the planned looks decide of the times, and after how many restarts."""
    verdicts: list[Verdict] = []
    count = 0
    for count, alpha in looks.items():
        base, head = zip(*pairs[:count], strict=True)
        verdicts = decisions.look(base, head, alpha, verdicts)
        if decisions.is_enough(verdicts):
            break
    return {verdict.outcome for verdict in _times(verdicts)}, count


def _times(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [each for each in verdicts if each.kind == "time"]
