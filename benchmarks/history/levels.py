"""Where the level of a series of values changes, and how sure that is: numbers in and out. Pure.

What has noise is split by PELT (Killick, Fearnhead and Eckley, 2012), which `ruptures` has. It has
no test of significance, so each split must then pass a t test of the values beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from math import exp, log, log1p, sqrt
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.verdicts import estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of one split. There are many places for one, and every session is another look: `make history`
# counts the false ones.
ALPHA = 1e-4
SHORTEST = 3  # values of a level: one or two may be outliers
BESIDE = 50  # values on either side that are tested: the machine drifts, and a step doesn't
PENALTY = 2.0  # of PELT, times the logarithm of the number of values; in variances
OUTLIER = 3.0  # deviations from the running median, from which on a value counts no more
AROUND = 3  # values on either side of a running median
SMALLEST = 0.001  # as a share: a smaller change isn't reported
CERTAIN = 0.95  # of an interval
NO_NOISE = 1e-9


@dataclass(frozen=True)
class Change:
    """A change of the level: the first value of the new one, and both levels.

    `low` and `high` are the interval of after / before - 1; they and `p` are None if the series
    has no noise.
    """

    at: int
    before: float
    after: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def share(self) -> float | None:
        """After / before - 1; None of a level of 0."""
        return self.after / self.before - 1 if self.before else None


def can_split() -> bool:
    """Whether the package that splits series is there."""
    return find_spec("ruptures") is not None


def check() -> None:
    """Raise InputError if the package that splits series is missing."""
    if not can_split():
        raise InputError(
            "a history needs ruptures; can't import it; pip install -e '.[report]' (with Python "
            "3.11 to 3.13: ruptures has no release for newer ones)"
        )


def noisy(values: Sequence[float], smallest: float = SMALLEST) -> list[Change]:
    """Return the changes of a series with noise, oldest first; none if a value isn't above 0.

    From all splits the least sure is taken out until each is sure, and then the smallest until
    none is too small: a split is judged by the levels beside it as they are then.
    """
    if len(values) < 2 * SHORTEST or min(values) <= 0:
        return []
    logs = [log(each) for each in values]
    noise = _noise(logs)
    kept = _without_outliers(logs, noise)
    splits = _split(kept, noise)
    while splits:
        found = [_tested(kept, noise, *ends) for ends in _levels(splits, len(kept))]
        worst = max(range(len(splits)), key=lambda n: _p(found[n]))
        if _p(found[worst]) <= ALPHA:
            worst = min(range(len(splits)), key=lambda n: abs(found[n].shift))
            if abs(found[worst].shift) >= log1p(smallest):
                return [_change(logs, *each) for each in zip(splits, found, strict=True)]
        del splits[worst]
    return []


def exact(values: Sequence[float], share: float = 0.0, room: float = 0.0) -> list[Change]:
    """Return the changes of a series without noise, oldest first.

    A value beyond all of its level, by more than a share of it and by more than `room`, begins a
    new one. A level of fewer than SHORTEST values between two that are alike is no level: sessions
    of the same code may disagree.
    """
    levels: list[_Level] = []
    for value in values:
        if levels and levels[-1].holds(value, share, room):
            levels[-1].values.append(value)  # and no wider, so that small steps add up
        elif len(levels) > 1 and _returns(value, levels, share, room):
            for each in (*levels.pop().values, value):
                levels[-1].add(each)
        else:
            levels.append(_Level([value], value, value))
    found, at = [], 0
    for before, after in pairwise(levels):
        at += len(before.values)
        found.append(Change(at, median(before.values), median(after.values)))
    return found


@dataclass
class _Level:
    """Values of one level, and the least and the largest of them."""

    values: list[float]
    low: float
    high: float

    def holds(self, value: float, share: float, room: float) -> bool:
        """Whether a value lies within the level, or is beyond it by no more than is given."""
        return self.low * (1 - share) - room <= value <= self.high * (1 + share) + room

    def add(self, value: float) -> None:
        """Take in a value, from now on one of the level's own."""
        self.values.append(value)
        self.low, self.high = min(self.low, value), max(self.high, value)


def _returns(value: float, levels: Sequence[_Level], share: float, room: float) -> bool:
    """Whether a value is back at the level before a short one."""
    return len(levels[-1].values) < SHORTEST and levels[-2].holds(value, share, room)


def _noise(logs: Sequence[float]) -> float:
    """Return the deviation of neighbours from each other: neither steps nor outliers touch it."""
    steps = [abs(after - before) for before, after in pairwise(logs)]
    return max(1.4826 * median(steps) / sqrt(2), NO_NOISE)


def _without_outliers(logs: Sequence[float], noise: float) -> list[float]:
    """Return values that are drawn to the running median if they are far from it."""
    middles = [median(logs[max(0, n - AROUND) : n + AROUND + 1]) for n in range(len(logs))]
    reach = OUTLIER * noise
    return [
        min(max(each, middle - reach), middle + reach)
        for each, middle in zip(logs, middles, strict=True)
    ]


def _split(logs: Sequence[float], noise: float) -> list[int]:
    """Return where PELT splits a series."""
    import numpy as np
    import ruptures  # with scipy.stats, which takes its time

    signal = np.asarray(logs).reshape(-1, 1) / noise
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit(signal - signal.mean())
    return [int(each) for each in search.predict(pen=PENALTY * log(len(logs)))[:-1]]


def _levels(splits: Sequence[int], length: int) -> list[tuple[int, int, int]]:
    """Return of each split where the level before it begins, the split, and where the next is."""
    ends = [0, *splits, length]
    return list(zip(ends, ends[1:], ends[2:], strict=False))


def _tested(
    logs: Sequence[float], noise: float, start: int, at: int, stop: int
) -> estimate.Estimate:
    """Return how far the values on both sides of a split are apart.

    They never vary less than neighbours do, however well a few of them agree.
    """
    before, after = logs[max(start, at - BESIDE) : at], logs[at : min(stop, at + BESIDE)]
    found = estimate.unpaired([exp(each) for each in before], [exp(each) for each in after])
    least = noise * sqrt(1 / len(before) + 1 / len(after))
    return replace(found, error=max(found.error or 0.0, least))


def _p(found: estimate.Estimate) -> float:
    p = found.p()
    return 1.0 if p is None else p


def _change(logs: Sequence[float], at: int, found: estimate.Estimate) -> Change:
    """Return a split as a change.

    Of a step that has come after all but two values PELT takes one more, of the old level.
    """
    middle = (log(found.base_s) + log(found.head_s)) / 2
    if at == len(logs) - SHORTEST and (logs[at] < middle) is (found.shift > 0):
        at += 1
    low, high = found.interval(1 - CERTAIN) or (None, None)
    return Change(at, found.base_s, found.head_s, low, high, found.p())
