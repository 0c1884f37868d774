"""Estimates: known values, intervals that hold, and nothing that depends on order or units."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.verdicts import estimate

SECONDS = st.floats(1e-3, 1e3)
SIDE = st.lists(SECONDS, min_size=1, max_size=6)
RESTARTS = st.lists(
    st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=4), min_size=1, max_size=5
)


def test_a_new_session_is_judged_by_the_prediction_interval():
    """For one new session it is the textbook's interval: t, and the spread of the old ones."""
    base = [1.0, 1.02, 0.99, 1.01]
    found = estimate.unpaired(base, [1.05])
    logs = [math.log(each) for each in base]
    half = stats.t.ppf(0.975, 3) * stats.tstd(logs) * math.sqrt(1 + 1 / 4)
    low, high = found.interval(0.05)
    assert math.log1p(high) - math.log1p(low) == pytest.approx(2 * half)
    assert found.change == pytest.approx(1.05 / math.exp(sum(logs) / 4) - 1)
    assert found.freedom == 3


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, of a side without any spread
@given(SIDE, SIDE)
def test_several_new_sessions_are_judged_by_the_pooled_t_test(base, head):
    """The p value is that of scipy's t test on log seconds."""
    found = estimate.unpaired(base, head)
    if max(len(base), len(head)) < estimate.ENOUGH:
        assert found.error is None
        assert found.p() is None
        return
    if found.error > 1e-9:
        logs = [[math.log(each) for each in side] for side in (head, base)]
        assert found.p() == pytest.approx(stats.ttest_ind(*logs).pvalue, abs=1e-9)


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=8))
def test_restarts_are_judged_by_the_t_test_on_their_log_ratios(shifts):
    """A restart is one observation, however many rounds it has."""
    found = estimate.paired([[(1.0, math.exp(shift))] * 5 for shift in shifts])
    assert found.shift == pytest.approx(sum(shifts) / len(shifts), abs=1e-12)
    if found.error > 1e-9:
        assert found.p() == pytest.approx(stats.ttest_1samp(shifts, 0).pvalue, abs=1e-6)
    assert found.head_s / found.base_s == pytest.approx(1 + found.change)


@given(RESTARTS, st.floats(1e-3, 1e3), st.randoms(use_true_random=False))
def test_a_duet_depends_on_neither_order_nor_units(restarts, unit, rng):
    """Milliseconds say what seconds say, and files may come in any order."""
    shuffled = rng.sample(restarts, len(restarts))
    scaled = [[(unit * base, unit * head) for base, head in pairs] for pairs in shuffled]
    then, now = estimate.paired(restarts), estimate.paired(scaled)
    assert now.shift == pytest.approx(then.shift, abs=1e-9)
    if then.error is not None:
        assert now.error == pytest.approx(then.error, abs=1e-9)


@given(SIDE, SIDE, st.floats(1e-3, 1e3))
def test_sessions_depend_on_neither_order_nor_units(base, head, unit):
    """As for duets."""
    then = estimate.unpaired(base, head)
    now = estimate.unpaired([unit * each for each in base[::-1]], [unit * each for each in head])
    assert now.shift == pytest.approx(then.shift, abs=1e-9)
    if then.error is not None:
        assert now.error == pytest.approx(then.error, abs=1e-9)


@given(SIDE, SIDE, RESTARTS)
def test_swapped_sides_mirror_the_estimate(base, head, restarts):
    """What is slower one way is faster the other way, just as sure."""
    swapped = [[(head_s, base_s) for base_s, head_s in pairs] for pairs in restarts]
    for one, other in (
        (estimate.unpaired(base, head), estimate.unpaired(head, base)),
        (estimate.paired(restarts), estimate.paired(swapped)),
    ):
        assert one.shift == pytest.approx(-other.shift, abs=1e-12)
        assert one.p() == pytest.approx(other.p(), nan_ok=True)
        assert (one.base_s, one.head_s) == pytest.approx((other.head_s, other.base_s))


def test_equivalence_is_two_one_sided_tests():
    """Both bounds of the 90 % interval lie within the margin, or it is not shown."""
    for error in (0.001, 0.003, 0.006, 0.0085, 0.0095, 0.02):
        found = estimate.Estimate(1, 1, 0.002, error, 4, 5)
        ps = [stats.t.sf((math.log(1.02) - sign * 0.002) / error, 4) for sign in (1, -1)]
        assert found.equivalent(0.02, 0.05) == (max(ps) < 0.05)


def test_what_would_have_been_found_is_found_four_times_out_of_five():
    """The smallest change that is named, injected into simulated restarts, is found as often."""
    rng = random.Random(1)
    spread, count, hits, trials = 0.01, 6, 0, 2000
    named = estimate.Estimate(1, 1, 0, spread / math.sqrt(count), count - 1, count).detectable(0.05)
    for _ in range(trials):
        shifts = [rng.gauss(math.log1p(named), spread) for _ in range(count)]
        found = estimate.paired([[(1.0, math.exp(shift))] for shift in shifts])
        hits += found.p() < 0.05
    assert 0.76 < hits / trials < 0.84


def test_so_many_restarts_decide_whatever_the_change():
    """With the interval as narrow as the floor, it is significant or it is equivalent."""
    spread = 0.012
    few = estimate.Estimate(1, 1, 0, spread / math.sqrt(5), 4, 5)
    needed = estimate.restarts_needed(few, 0.01, 0.05)
    assert needed == 9
    for shift in (0.0, 0.004, 0.0099, 0.0101, 0.015, 0.03):
        more = estimate.Estimate(1, 1, shift, spread / math.sqrt(needed), needed - 1, needed)
        assert more.p() < 0.05 or more.equivalent(0.02, 0.05)
    noisy = estimate.Estimate(1, 1, 0, 0.1, 4, 5)
    assert estimate.restarts_needed(noisy, 0.01, 0.05) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_at_least_as_strict_as_alone_and_no_stricter_than_bonferroni(values):
    """Adjusted values keep the order of the plain ones."""
    adjusted = estimate.holm(values)
    for plain, new in zip(values, adjusted, strict=True):
        assert plain <= new <= min(1, len(values) * plain) + 1e-12
    ranked = [new for _, new in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_holm_has_the_values_of_the_textbook():
    """The example of Holm (1979) in the form of R's p.adjust."""
    assert estimate.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_no_spread_at_all_is_certain():
    """Identical ratios, as a fake clock gives, divide by nothing."""
    same = estimate.paired([[(1.0, 1.0)]] * 3)
    slower = estimate.paired([[(1.0, 2.0)]] * 3)
    assert same.p() == 1
    assert slower.p() == 0
    assert slower.interval(0.05) == (1.0, 1.0)


NOISE = [-0.12, 0.05, 0.02, -0.05, 0.12, -0.02, 0.09, -0.09]
LUCKY = (0, 0.0004, 0.0005, 0.0006, 0.001)  # shifts of restarts that are closer than can be


def restarts_of(shifts, noise, second=()):
    """Return restarts whose pairs are off by this noise, and where head comes second by more."""
    late = second or [False] * len(noise)
    return [
        [
            (1.0, math.exp(shift + each + 0.06 * behind))
            for each, behind in zip(noise, late, strict=True)
        ]
        for shift in shifts
    ]


def test_restarts_that_agree_by_luck_are_no_surer_than_their_rounds():
    """Five medians within 0.1 % of each other, of rounds that vary by 10 %."""
    found = estimate.paired(restarts_of([0.03 + each for each in LUCKY], NOISE))
    alone = estimate.paired(restarts_of([0.03 + each for each in LUCKY], [0.0]))
    assert alone.p() < 1e-4
    assert 0.1 < found.p() < 0.3
    assert found.interval(0.05)[0] < 0
    assert not estimate.paired(restarts_of(LUCKY, NOISE)).equivalent(0.02, 0.05)
    assert found.detectable(0.05) > 0.03
    assert estimate.restarts_needed(alone, 0.01, 0.05) == 6
    assert estimate.restarts_needed(found, 0.01, 0.05) > 30


def test_what_it_costs_to_come_second_is_no_noise():
    """It is balanced, so that it cancels in the median, and the verdict is as sure as without."""
    second, quiet = [True, False] * 4, [each / 100 for each in NOISE]
    restarts = restarts_of((0.01, 0.012, 0.014), quiet, second)
    orders = [[not late for late in second]] * 3
    assert estimate.paired(restarts, orders).least_error < 0.001
    assert estimate.paired(restarts).least_error > 0.005


def test_a_disturbed_pair_hides_nothing():
    """A round that took ten times as long is borne by the error of the rounds as by the median."""
    quiet = [each / 50 for each in NOISE]
    restarts = restarts_of((0.02, 0.021, 0.019), quiet)
    restarts[1][3] = (1.0, 10.0)
    found = estimate.paired(restarts)
    assert found.p() < 0.01
    assert found.interval(0.05)[0] > 0.01


@pytest.mark.parametrize("pairs", [3, 6, 10, 24])
def test_the_error_of_rounds_is_that_of_simulated_medians(pairs):
    """Of restarts that differ by nothing else; with few rounds it is rather too small."""
    rng = random.Random(3)
    shifts, errors = [], []
    for _ in range(1000):
        ratios = [[rng.gauss(0, 0.01) for _ in range(pairs)] for _ in range(5)]
        shifts.append(statistics.fmean(map(statistics.median, ratios)))
        order = [number % 2 == 0 for number in range(pairs)]
        errors.append(estimate.error_of_rounds(ratios, [order] * 5)[0])
    assert 0.7 < math.sqrt(statistics.fmean(e * e for e in errors)) / statistics.stdev(shifts) < 1.1


def test_one_pair_of_each_order_says_nothing_of_rounds():
    """Then the restarts alone tell how sure it is."""
    assert estimate.error_of_rounds([[0.1, 0.2]], [[True, False]]) == (0.0, 1)
    assert estimate.error_of_rounds([[0.1]], [[True]]) == (0.0, 1)
