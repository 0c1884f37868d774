"""Where levels change: with noise, with outliers, and without any."""

from __future__ import annotations

from math import exp

import pytest

from benchmarks.history import levels
from tests.history.series import noise
from tests.tools import history


def series(size, *steps, count=60, seed=7):
    """Return values with noise, from each of these places on larger by a share."""
    shifts = noise(count, size, seed)
    return [exp(each + sum(step for at, step in steps if n >= at)) for n, each in enumerate(shifts)]


def test_a_step_is_found_where_it_is():
    """With both levels, an interval that holds the truth, and p."""
    (found,) = levels.noisy(series(0.0005, (40, 0.003)))
    assert abs(found.at - 40) <= 1
    assert found.low < 0.003 < found.high
    assert found.share == pytest.approx(0.003, abs=0.0005)
    assert found.after == pytest.approx(found.before * (1 + found.share))
    assert found.p < 1e-4


def test_of_two_steps_each_is_found():
    """A step and its way back are two."""
    found = levels.noisy(series(0.007, (20, 0.05), (40, -0.05)))
    assert [each.at for each in found] == [20, 40]
    assert found[0].share > 0 > found[1].share


@pytest.mark.parametrize("size", [0.0005, 0.07])
def test_noise_is_hardly_ever_a_step(size):
    """At any size of it: one in 40 series at most."""
    found = [levels.noisy(series(size, seed=seed)) for seed in range(40)]
    assert sum(map(bool, found)) <= 1


def test_an_outlier_is_no_level():
    """At the end neither; the second value in a row is one, and then the place is known as well."""
    values = series(0.001)
    for count, expected in ((1, []), (2, [58]), (3, [57])):
        late = [*values[:-count], *(each * 1.2 for each in values[-count:])]
        assert [each.at for each in levels.noisy(late)] == expected
    for at in range(5, 55, 7):
        assert not levels.noisy([*values[:at], 1.2, *values[at:]])


def test_what_is_sure_but_tiny_is_not_reported():
    """A clock that doesn't vary at all would otherwise tell of every nanosecond."""
    still = [1.0] * 20
    assert not levels.noisy([*still, *[1.0005] * 20])
    assert [each.at for each in levels.noisy([*still, *[1.002] * 20])] == [20]


def test_too_few_values_have_no_levels():
    """Three on either side are needed."""
    assert not levels.noisy([1.0, 1.0, 2.0, 2.0, 2.0])
    assert not levels.exact([])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 5, 5, 6], [3]),  # at once: there is no noise
        ([5, 6, 5, 6, 5, 6, 5], []),  # sessions of the same code that disagree
        ([5, 5, 6, 5, 5], []),
        ([5, 5, 6, 6, 6, 5, 5], [2, 5]),
        ([5, 6, 7], [1, 2]),
        ([0, 0, 4], [2]),
    ],
)
def test_without_noise_every_lasting_change_is_one(values, expected):
    """One more is one more; what comes back at once is none."""
    assert [each.at for each in levels.exact(values)] == expected


def test_small_steps_add_up_without_noise_as_well():
    """What is within the share of its level doesn't widen it."""
    assert [each.at for each in levels.exact([5000, 5004, 5004, 5008, 5008], 0.001)] == [3]


def test_what_is_compared_by_its_difference_has_room():
    """A divergence of next to nothing may double: that is no change, whatever its share."""
    assert not levels.exact([0.0, 0.0, 0.001, 0.001, 0.001], room=0.02)
    assert [each.at for each in levels.exact([0.0, 0.0, 0.05, 0.05, 0.05], room=0.02)] == [2]


def test_false_change_points_are_rare():
    """On simulated noise with drift and outliers; `make history` has the figures of the page."""
    assert history.false_at_once(history.ours, 100, 0.007) < 1.0
    found = history.steps(history.ours, 100, 0.0005, 0.003)
    assert sum(each is not None and each <= 5 for each in found.delays) > 0.9 * len(found.delays)


def test_a_missing_package_is_named(monkeypatch):
    """With how to get it."""
    monkeypatch.setattr(levels, "find_spec", lambda _: None)
    with pytest.raises(levels.InputError, match=r"a history needs ruptures.*\[report\]"):
        levels.check()
