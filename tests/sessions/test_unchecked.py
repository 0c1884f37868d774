"""What is said of bounds that the user lifted or widened."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import Any

import pytest

from benchmarks.config.options import OPTIONS
from benchmarks.config.settings import build_settings
from benchmarks.machine.bounds import UNSTEADY, Bounds
from benchmarks.machine.validity import judge
from benchmarks.sessions import unchecked
from benchmarks.sessions.session import unchecked_note, unchecked_of
from tests.builders import DUET, session
from tests.machine.test_validity import seen

NAMES = list(asdict(Bounds()))


def said(text: str) -> list[str]:
    """Return the lines about a healthy session with these --bounds."""
    defaults = {option.dest: option.default for option in OPTIONS}
    settings = build_settings((defaults | {"bounds": text}).get, {})
    record = judge(seen(), settings.bounds).as_record()
    assert record["valid"]
    return unchecked.of_records([record]).lines()


@pytest.mark.parametrize(
    ("bounds", "lines"),
    [
        ("trend_size=0.15", []),
        ("trend_size=0.1", []),  # narrower than usual
        ("trend_size=inf", ["not checked (--bounds): trend_size"]),
        ("trend_size=0.2", ["checked loosely (--bounds): trend_size up to 0.2, not 0.15"]),
        (
            "control_*=inf,trend_size=0.2",
            [
                "not checked (--bounds): control_host_slowdown, control_device_slowdown",
                "checked loosely (--bounds): trend_size up to 0.2, not 0.15",
            ],
        ),
        ("*=inf", ["not checked (--bounds): anything about the machine"]),
    ],
)
def test_only_wider_bounds_are_told(bounds: str, lines: list[str]) -> None:
    """By the name that --bounds has; the usual bounds, and narrower ones, hold what they should."""
    assert said(bounds) == lines


def test_lines_are_no_longer_than_a_terminal() -> None:
    """As many names as fit, and how many more there are."""
    for bounds in (",".join(f"{name}=inf" for name in NAMES[1:]), "*=1e6"):
        (line,) = said(bounds)
        assert len(line) <= 120
        assert " more" in line


def test_what_one_benchmark_was_not_held_to_counts_for_the_session() -> None:
    """Each once, whichever record says so; a record of an older release has none."""
    records = [
        None,
        {"bounds_lifted": ["a"]},
        {"bounds_lifted": ["a", "b"]},
        {"bounds_widened": {}},
    ]
    found = unchecked.of_records(records)
    assert found.lifted == ("a", "b")
    assert found
    assert not unchecked.of_records(records[:1])


@pytest.mark.parametrize(
    ("more", "duet", "lines"),
    [
        ([], DUET, []),
        (["ecc_errors"], DUET, ["not checked (--bounds): ecc_errors"]),
        (NAMES, DUET, ["not checked (--bounds): anything about the machine"]),
        ([], None, ["not checked (--bounds): first_round_excess, trend_size, outlier_share"]),
    ],
)
def test_a_duet_lifts_bounds_of_its_own_that_no_user_did(
    more: list[str], duet: dict[str, Any] | None, lines: list[str]
) -> None:
    """Its partner is held to the same drift: to tell of it would be noise beneath each verdict."""
    validity = {"valid": True, "reasons": [], "bounds_lifted": [*UNSTEADY, *more]}
    side = session(("a", [1.0], {"schema": 1, "validity": validity}), duet=duet)
    assert unchecked_of(side).lines() == lines
    assert bool(unchecked_note([side])) == bool(lines)


def test_infinity_is_no_widened_bound() -> None:
    """JSON can't hold it, so a lifted bound is known by its name alone."""
    record = judge(seen(), Bounds(trend_size=inf)).as_record()
    assert (record["bounds_lifted"], record["bounds_widened"]) == (["trend_size"], {})
