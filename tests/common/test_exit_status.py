"""Which status counts, and that each has its words."""

from __future__ import annotations

from itertools import permutations

import pytest

from benchmarks.common.exit_status import MEANS, ORDER, ExitStatus, first
from benchmarks.verdicts.judgement import STATUS


@pytest.mark.parametrize(
    ("statuses", "counts"),
    [
        ((0, 1, 10, 11, 12), 1),
        ((0, 10, 11, 12), 12),
        ((0, 10, 11), 10),
        ((0, 11), 11),
        ((0, 5), 5),
        ((5, 10), 10),
        ((0,), 0),
    ],
)
def test_the_first_of_several_counts(statuses: tuple[int, ...], counts: int) -> None:
    """1 before 12 before 10 before 11, in whatever order they come."""
    assert {first(*each) for each in permutations(statuses)} == {counts}


@pytest.mark.parametrize("ended", [2, 3, 4])
def test_what_ended_a_session_is_not_judged_away(ended: int) -> None:
    """Interrupted, an error, wrong input: it stays, whatever is found beside it."""
    assert first(ended, 1) == ended


def test_every_status_but_0_has_its_words() -> None:
    """The last line of a session names what it ended with."""
    assert set(MEANS) == set(ExitStatus) - {0}
    assert all(len(f"exit status {status}: {says}") <= 120 for status, says in MEANS.items())


def test_what_a_verdict_ends_with_has_a_place_in_the_order() -> None:
    """One that has none would be overlooked beside a pass."""
    assert set(STATUS.values()) <= set(ORDER)
