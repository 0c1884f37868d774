"""What a selftest says of a machine is what its noise allows."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from benchmarks.duet import sensitivity
from benchmarks.duet.sensitivity import Power
from benchmarks.sessions.session import Measured, Session

NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n32]"


def recorded(restarts, spread, shift=0.0):
    """Return restarts, in which both processes were fast and, by a shift, slow; see `estimate`."""
    random = Random(7)

    def session(by):
        rounds = tuple(exp(by + random.gauss(0, 0.001)) for _ in range(5))
        return Session("restart", {NAME: Measured(NAME, rounds)})

    found = []
    for luck in (random.gauss(0, spread) for _ in range(restarts)):
        one = session(0), session(luck + shift)
        found.append((one, (session(luck), session(shift))))
    return found


@pytest.mark.parametrize(
    ("spread", "slowdown", "least", "most"),
    [(0.004, 0.05, 0.99, 1), (0.004, 0.02, 0.8, 1), (0.03, 0.01, 0, 0.3)],
    ids=["large", "small on a quiet machine", "lost in noise"],
)
def test_power_follows_noise_and_slowdown(spread, slowdown, least, most):
    """A change far beyond the noise is always found, one within it is not."""
    found = sensitivity.estimate(
        recorded(24, spread, slowdown), slowdown, most=12, alpha=0.05, seed=1, drawn=60
    )
    assert least <= found.found <= most
    assert found.false_alarms <= 0.1
    assert 5 <= found.restarts <= 12


def test_identical_sides_raise_few_false_alarms():
    """Sides are swapped at random, so that what a recording favours by chance counts both ways."""
    found = sensitivity.estimate(recorded(24, 0.01), 0.0, most=12, alpha=0.05, seed=1, drawn=200)
    assert found.false_alarms <= 0.1
    assert found.found == 0


def test_the_same_seed_draws_the_same_duets():
    """A figure can be had again."""
    sides = recorded(8, 0.01, 0.02)
    figures = [
        sensitivity.estimate(sides, 0.02, most=6, alpha=0.05, seed=3, drawn=20) for _ in range(2)
    ]
    assert figures[0] == figures[1]


def test_the_smallest_change_is_one_above_which_all_are_found():
    """A lucky small slowdown doesn't count where a larger one is missed."""

    def of(slowdown, found):
        return Power(slowdown, slowdown, found, 0.0, 0.0, 5.0)

    seen = [of(0.0, 0), of(0.01, 0.3), of(0.02, 0.85), of(0.05, 1.0)]
    assert sensitivity.smallest(seen) == seen[2]
    assert sensitivity.smallest([of(0.01, 0.9), of(0.02, 0.5), of(0.05, 0.9)]).slowdown == 0.05
    assert sensitivity.smallest([of(0.0, 0), of(0.05, 0.5)]) is None
