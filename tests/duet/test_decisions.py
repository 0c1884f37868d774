"""When a duet has decided enough to end, and how many restarts it plays if it has not."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.commands import measuring
from benchmarks.duet.decisions import is_enough
from benchmarks.sessions.outcome import Outcome, Verdict


def verdict(kind, outcome, benchmark="throughput"):
    """Return a verdict on a metric of this kind."""
    return Verdict(benchmark, f"{kind}_s", kind, outcome)


@pytest.mark.parametrize(
    ("kinds", "enough"),
    [
        ({"device": Outcome.REGRESSED, "counter": Outcome.NO_CHANGE}, True),
        ({"device": Outcome.INCONCLUSIVE, "counter": Outcome.REGRESSED}, False),
        ({"device": Outcome.INCONCLUSIVE, "time": Outcome.NO_CHANGE}, True),
        ({"counter": Outcome.NO_CHANGE}, False),
    ],
)
def test_a_duet_of_work_alone_ends_when_device_time_is_decided(kinds, enough):
    """As one of times does with its times; beside times the wall decides, which takes longest."""
    assert is_enough([verdict(*each) for each in kinds.items()]) is enough


@pytest.mark.parametrize(
    ("given", "restarts"),
    [([], 12), (["--work"], 3), (["--work", "--max-restarts=12"], 12), (["--max-restarts=7"], 7)],
)
def test_the_restarts_that_were_asked_for_are_played(given, restarts):
    """Work needs fewer by default; who asks for twelve gets twelve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", action="store_true")
    measuring.add_arguments(parser)
    assert measuring.budget(parser.parse_args(given), pairs=1).restarts == restarts
