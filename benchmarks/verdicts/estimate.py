"""How far two sides are apart, and how sure that is: sessions' log times in, estimates out. Pure.

A session is one observation, however many rounds it has: its rounds share its luck. Everything is
done on logarithms, so that a change is a ratio, and base and head may swap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, expm1, fsum, inf, log, pi, sqrt
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 3  # observations that are needed to know how much they vary
MOST = 100.0  # e to that is absurdly large
POWER = 0.8  # "would have found" means: four times out of five
MOST_RESTARTS = 100  # more are no advice


def share(shift: float) -> float:
    """Return a shift of the logarithm as a share. An absurdly large one stays finite."""
    return expm1(min(shift, MOST))


@dataclass(frozen=True)
class Estimate:
    """A change on the log scale, and the t distributions that tell how sure it is.

    `error` is None if there are too few observations to know how much they vary. `least_error`
    is a lower bound of the standard error: of restarts what their rounds alone make of it, of
    device time how much sessions of the same code differ anyway; 0 if unknown.
    """

    base_s: float
    head_s: float
    shift: float  # log(head / base)
    error: float | None  # standard error of the shift
    freedom: int  # degrees of freedom of that error
    count: int  # sessions, or restarts
    least_error: float = 0.0
    least_freedom: int = 1

    @property
    def change(self) -> float:
        """Head / base - 1."""
        return share(self.shift)

    def half_width(self, alpha: float) -> float:
        """Return half of the interval of the shift that holds with probability 1 - alpha."""
        return self._reach(1 - alpha / 2)

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """Return the interval of the change; None if it can't be known."""
        if self.error is None:
            return None
        half = self.half_width(alpha)
        return share(self.shift - half), share(self.shift + half)

    def p(self) -> float | None:
        """Return how likely so large a shift is without a change, in either direction."""
        if self.error is None:
            return None
        return max(_p(self.shift, error, freedom) for error, freedom in self._errors)

    def equivalent(self, margin: float, alpha: float) -> bool:
        """Whether a change beyond the margin is ruled out, in both directions.

        Two one-sided t tests at alpha (Schuirmann, 1987); the margin is a share, such as 0.02.
        """
        return abs(self.shift) + self._reach(1 - alpha) < log(1 + margin)

    def detectable(self, alpha: float) -> float | None:
        """Return the smallest slowdown that as much data finds four times out of five.

        The usual approximation of the noncentral t: both quantiles of the central one, added.
        """
        if self.error is None:
            return None
        return share(self._reach(1 - alpha / 2, POWER))

    @property
    def _errors(self) -> list[tuple[float, int]]:
        """Both errors, each with its degrees of freedom; none if they can't be known."""
        if self.error is None:
            return []
        return [(self.error, self.freedom), (self.least_error, self.least_freedom)]

    def _reach(self, *probabilities: float) -> float:
        """Return the larger sum of these quantiles of the shift; infinite if none is known."""
        sums = (
            error * sum(_t_quantile(probability, freedom) for probability in probabilities)
            for error, freedom in self._errors
        )
        return max(sums, default=inf)


def paired(
    restarts: Sequence[Sequence[tuple[float, float]]], orders: Sequence[Sequence[bool]] = ()
) -> Estimate:
    """Estimate from restarts of a duet, each a sequence of (base, head) seconds of one round.

    An observation is the median of a restart's log ratios: neighbouring rounds share the state of
    the machine, and a median bears a disturbed pair. `base_s` and `head_s` are placed around the
    overall middle, so that their ratio is the estimated change. `orders[i][k]` is True if head ran
    first in pair k of restart i; empty if unknown.
    """
    ratios = [[log(head / base) for base, head in pairs] for pairs in restarts]
    shifts = [median(each) for each in ratios]
    middles = [median(log(each) for pair in pairs for each in pair) for pairs in restarts]
    count, shift, middle = len(shifts), fmean(shifts), fmean(middles)
    error = stdev(shifts) / sqrt(count) if count >= ENOUGH else None
    base_s, head_s = exp(middle - shift / 2), exp(middle + shift / 2)
    known = orders or [[False] * len(each) for each in ratios]
    return Estimate(base_s, head_s, shift, error, count - 1, count, *error_of_rounds(ratios, known))


def error_of_rounds(
    ratios: Sequence[Sequence[float]], orders: Sequence[Sequence[bool]]
) -> tuple[float, int]:
    """Return the error that rounds leave to the mean of their restarts' medians, and its freedom.

    A lower bound: restarts are assumed to differ by the noise of their rounds alone. The cost of
    running second cancels, because orders are balanced; only deviations from the median of the
    same restart and order are used. Their scale is the median absolute deviation, which bears
    disturbed pairs; both factors are those of normal data (Rousseeuw and Croux, 1993). (0, 1) if
    there is only one ratio of each kind.
    """
    groups = [
        [ratio for ratio, first in zip(restart, order, strict=True) if first is which]
        for restart, order in zip(ratios, orders, strict=True)
        for which in (True, False)
    ]
    left = [abs(ratio - median(group)) for group in groups if group for ratio in group]
    freedom = len(left) - sum(map(bool, groups))
    if not freedom:
        return 0.0, 1
    deviation = 1.4826 * median(left) * sqrt(len(left) / freedom)
    return sqrt(pi / 2 / len(left)) * deviation, freedom


def unpaired(
    base_s: Sequence[float], head_s: Sequence[float], *, least: tuple[float, int] = (0.0, 1)
) -> Estimate:
    """Estimate from sessions that ran at different times, given the seconds of each.

    For one session of head this is the t prediction interval for a new session of base; for more,
    the t test with a pooled variance, whose special case that is. `least`: by how much two groups
    of sessions of the same code differ anyway, however many each has: a standard deviation as a
    share, and its degrees of freedom.
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
    return Estimate(exp(base), exp(head), head - base, error, count + others - 2, count, *least)


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
    for count in range(estimate.count + 1, MOST_RESTARTS + 1):
        times = count / estimate.count
        more = replace(
            estimate,
            error=estimate.error / sqrt(times),
            freedom=count - 1,
            least_error=estimate.least_error / sqrt(times),
            least_freedom=int(estimate.least_freedom * times),
        )
        if more.half_width(alpha) <= log(1 + floor):
            return count
    return None


def _p(shift: float, error: float, freedom: int) -> float:
    """Return how likely so large a shift is by chance, in either direction."""
    if error == 0:
        return float(shift == 0)
    from scipy.special import stdtr  # the t distribution; scipy.stats takes twice as long to load

    return float(2 * stdtr(freedom, -abs(shift) / error))


def _t_quantile(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
