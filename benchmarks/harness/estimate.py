"""How far two sides are apart, and how sure that is: sessions' log times in, estimates out. Pure.

A session is one observation, however many rounds it has: its rounds share its luck. Everything is
done on logarithms, so that a change is a ratio, and base and head may swap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import exp, expm1, fsum, inf, log, sqrt
from operator import mul
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 3  # observations that are needed to know how much they vary
POWER = 0.8  # "would have found" means: four times out of five
MOST_RESTARTS = 100  # more are no advice


@dataclass(frozen=True)
class Estimate:
    """A change on the log scale, and the t distribution that tells how sure it is.

    `error` is None where there are too few observations to know how much they vary.
    """

    base_s: float
    head_s: float
    shift: float  # log(head / base)
    error: float | None  # standard error of the shift
    freedom: int  # degrees of freedom of that error
    count: int  # sessions, or restarts

    @property
    def change(self) -> float:
        """Head / base - 1."""
        return expm1(self.shift)

    def half_width(self, alpha: float) -> float:
        """Return half of the interval of the shift that holds with probability 1 - alpha."""
        if self.error is None:
            return inf
        return _t_quantile(1 - alpha / 2, self.freedom) * self.error

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """Return the interval of the change; None where it can't be known."""
        if self.error is None:
            return None
        half = self.half_width(alpha)
        return expm1(self.shift - half), expm1(self.shift + half)

    def p(self) -> float | None:
        """Return how likely so large a shift is without a change, in either direction."""
        if self.error is None:
            return None
        if self.error == 0:
            return float(self.shift == 0)
        from scipy.special import (
            stdtr,
        )  # the t distribution; scipy.stats takes twice as long to load

        return float(2 * stdtr(self.freedom, -abs(self.shift) / self.error))

    def equivalent(self, margin: float, alpha: float) -> bool:
        """Whether a change beyond the margin is ruled out, in both directions.

        Two one-sided t tests at alpha (Schuirmann, 1987); the margin is a share, such as 0.02.
        """
        if self.error is None:
            return False
        half = _t_quantile(1 - alpha, self.freedom) * self.error
        return abs(self.shift) + half < log(1 + margin)

    def detectable(self, alpha: float) -> float | None:
        """Return the smallest slowdown that as much data finds four times out of five.

        The usual approximation of the noncentral t: both quantiles of the central one, added.
        """
        if self.error is None:
            return None
        return expm1(self.half_width(alpha) + _t_quantile(POWER, self.freedom) * self.error)


def paired(
    restarts: Sequence[Sequence[tuple[float, float]]], orders: Sequence[Sequence[bool]] = ()
) -> Estimate:
    """Estimate from restarts of a duet, each a sequence of (base, head) seconds of one round.

    An observation is the median of a restart's log ratios: neighbouring rounds share the state of
    the machine, and a median bears a disturbed pair. The two sides that are given lie as far apart
    as that, around the middle of both.

    Restarts vary at least as much as their own rounds leave their medians unsure (`round_error`).
    A few can agree better than that by luck, and would make sure of what isn't: then the error is
    that of the rounds. Knapp and Hartung's test for few studies is modified alike (Roever, Knapp
    and Friede, 2015, BMC Medical Research Methodology 15:99). `orders` tell of each restart in
    which pairs head came first, where that is known.
    """
    ratios = [[log(head / base) for base, head in pairs] for pairs in restarts]
    shifts = [median(each) for each in ratios]
    middles = [median(log(each) for pair in pairs for each in pair) for pairs in restarts]
    count, shift, middle = len(shifts), fmean(shifts), fmean(middles)
    error = None
    if count >= ENOUGH:
        known = orders or [[False] * len(each) for each in ratios]
        of_rounds = [round_error(each, order) for each, order in zip(ratios, known, strict=True)]
        error = max(stdev(shifts), sqrt(fmean(each**2 for each in of_rounds))) / sqrt(count)
    base_s, head_s = exp(middle - shift / 2), exp(middle + shift / 2)
    return Estimate(base_s, head_s, shift, error, count - 1, count)


def round_error(ratios: Sequence[float], head_first: Sequence[bool]) -> float:
    """Return the standard error that a restart's rounds leave to the median of its log ratios.

    Which side comes first is balanced, so that what it costs to come second cancels: only what
    ratios differ by from those of the same order counts. 0 where that leaves nothing.
    """
    groups = [
        [ratio for ratio, first in zip(ratios, head_first, strict=True) if first is which]
        for which in (True, False)
    ]
    left = [ratio - median(group) for group in groups if group for ratio in group]
    freedom = len(left) - sum(map(bool, groups))
    return median_error(left) * sqrt(len(left) / freedom) if freedom else 0.0


def median_error(values: Sequence[float]) -> float:
    """Return the standard error of the median of independent values.

    What the bootstrap gives where it is drawn without end: each order statistic, weighted by how
    often it is the median of a sample (Maritz and Jarrett, 1978; with the weights of Harrell and
    Davis, 1982, which suit an even number of values too). 0 for a single value.
    """
    from scipy.special import betainc

    ordered, shape = sorted(values), (len(values) + 1) / 2
    edges = [float(betainc(shape, shape, k / len(ordered))) for k in range(len(ordered) + 1)]
    weights = [high - low for low, high in pairwise(edges)]
    middle = fsum(map(mul, weights, ordered))
    return sqrt(fsum(w * (each - middle) ** 2 for w, each in zip(weights, ordered, strict=True)))


def unpaired(base_s: Sequence[float], head_s: Sequence[float]) -> Estimate:
    """Estimate from sessions that ran at different times, given the seconds of each.

    For one session of head this is the t prediction interval for a new session of base; for more,
    the t test with a pooled variance, of which that is the special case.
    """
    sides = [[log(each) for each in side] for side in (base_s, head_s)]
    base, head = map(fmean, sides)
    count, others = map(len, sides)
    error = None
    if max(count, others) >= ENOUGH:
        squares = fsum(
            (each - middle) ** 2
            for side, middle in zip(sides, (base, head), strict=True)
            for each in side
        )
        # None at 0: no clock is so steady, so these are copies of one session.
        error = sqrt(squares / (count + others - 2) * (1 / count + 1 / others)) or None
    return Estimate(exp(base), exp(head), head - base, error, count + others - 2, count)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted for all of them being judged together (Holm, 1979)."""
    adjusted = [0.0] * len(values)
    largest = 0.0
    order = sorted(range(len(values)), key=values.__getitem__)
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def restarts_needed(estimate: Estimate, floor: float, alpha: float) -> int | None:
    """Return how many restarts in all decide, whatever the change, if they vary like these.

    With an interval no wider than the floor on either side, a change above the floor is
    significant, and one below it is equivalent within twice the floor. None beyond 100.
    """
    if estimate.error is None:
        return None
    spread = estimate.error * sqrt(estimate.count)
    for count in range(estimate.count + 1, MOST_RESTARTS + 1):
        if _t_quantile(1 - alpha / 2, count - 1) * spread / sqrt(count) <= log(1 + floor):
            return count
    return None


def _t_quantile(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
