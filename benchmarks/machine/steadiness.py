"""Whether the rounds of a benchmark look like one and the same state of the machine. Pure."""

from __future__ import annotations

from itertools import combinations
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of 40 processes of identical code, all but 2 had settled at this bound within their first three
# generations, and those 2 within four; at 2 % noise, a smaller one mostly finds noise.
SETTLED = 0.05
MAD_TO_SIGMA = 1.4826  # of a normal distribution
OUTLIER_SIGMAS = 5
OUTLIER_LEAST = 0.1  # of the median: rounds within it are one state, however small the MAD is
CONSISTENT_Z = 2.0  # two-sided p of 5 %; of five rounds, only five in order reach it


def needs_more_warmup(rounds_s: Sequence[float]) -> bool:
    """Whether rounds, in order and so far, still get faster: the last one by more than 5 %.

    Two rounds at least are needed to know. Ask after each untimed round, up to a bound of yours.
    """
    return len(rounds_s) < 2 or rounds_s[-2] > (1 + SETTLED) * rounds_s[-1]


def first_excess(rounds_s: Sequence[float]) -> float:
    """Return by how much of their median the first round took longer than the others.

    Raises ValueError for fewer than two rounds.
    """
    if len(rounds_s) < 2:
        raise ValueError("one round has no others to compare with")
    return rounds_s[0] / median(rounds_s[1:]) - 1


def trend(rounds_s: Sequence[float]) -> float:
    """Return the drift from the first round to the last, as a share of the median, signed.

    Slope of Theil and Sen: the median of the slopes of all pairs. 0 if the order of the rounds
    is no evidence of a drift: Mann and Kendall's S within two standard deviations. Raises
    ValueError for fewer than five rounds, which can't show one.
    """
    count = len(rounds_s)
    if count < 5:
        raise ValueError("fewer than five rounds can't show a trend")
    pairs = list(combinations(range(count), 2))
    s = sum((rounds_s[j] > rounds_s[i]) - (rounds_s[j] < rounds_s[i]) for i, j in pairs)
    if abs(s) / sqrt(count * (count - 1) * (2 * count + 5) / 18) < CONSISTENT_Z:
        return 0.0
    slope = median((rounds_s[j] - rounds_s[i]) / (j - i) for i, j in pairs)
    return slope * (count - 1) / median(rounds_s)


def outlier_share(rounds_s: Sequence[float]) -> float:
    """Return the share of rounds that are far from the median.

    Far is five standard deviations, estimated from the median absolute deviation, and at least
    10 % of the median (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993). Raises
    ValueError for fewer than three rounds.
    """
    if len(rounds_s) < 3:
        raise ValueError("fewer than three rounds have no outliers")
    middle = median(rounds_s)
    deviation = MAD_TO_SIGMA * median(abs(each - middle) for each in rounds_s)
    far = max(OUTLIER_SIGMAS * deviation, OUTLIER_LEAST * middle)
    return sum(abs(each - middle) > far for each in rounds_s) / len(rounds_s)
