"""What the verdicts must find, and how seldom they may cry wolf: `make power` prints all of it."""

from __future__ import annotations

import pytest

from tests.tools import power

DRAWS = 1000
SIMULATED = 200


@pytest.mark.parametrize(
    ("name", "restarts", "least"),
    [("duet", 5, {0.02: 0.75, 0.05: 0.99}), ("duet_busy", 8, {0.02: 0.58, 0.05: 0.98})],
)
def test_a_duet_finds_what_it_should_on_recorded_noise(name, restarts, least, figure):
    """10 pairs for each restart; at most 2.5 % of duets of identical code are called slower."""
    trials = power.duets(name, restarts, 10, DRAWS)
    alarms, *found = power.finds(power.DUET, trials, (0.0, *least))
    shares = dict(zip(least, found, strict=True))
    figure(f"duet, {name}, {restarts} x 10: false alarms {alarms}, finds +2 % {shares[0.02]}")
    assert alarms.value <= 0.025
    for change, share in least.items():
        assert shares[change].value >= share


def test_screening_cries_wolf_less_often_than_the_alternatives():
    """On recorded processes, against those before or after; what it suspects, a duet decides."""
    for count in (1, 5, 10):
        trials = power.neighbours(count)
        (alarms,) = power.finds(power.UNPAIRED["screen: REGRESSED"], trials, (0.0,))
        others = [power.finds(rule, trials, (0.0,))[0].value for rule in power.OTHERS.values()]
        assert alarms.value <= 0.03
        assert alarms.value < min(others)


@pytest.mark.parametrize("name", list(power.SUITES))
def test_suites_without_a_change_raise_no_regression(name, figure):
    """At most 5 % of suites of 12 benchmarks; and 95 % intervals hold in 93 to 97 %."""
    found = power.suites(SIMULATED, **power.SUITES[name])
    figure(f"{name}: suites with any REGRESSED {found.regressed}, intervals hold {found.covered}")
    assert found.regressed.value <= 0.05
    assert found.improved.value <= 0.05
    assert 0.93 <= found.covered.value <= 0.97
