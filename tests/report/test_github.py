"""Annotations: what is open is seen on GitHub, and nothing in a name is a command there."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.report.github import MOST, annotation, lines
from benchmarks.sessions.outcome import Outcome, Verdict

ON_GITHUB = {"GITHUB_ACTIONS": "true"}
SLOWER = Verdict(
    "benchmarks/t.py::test_a[x]", "tpot_s", "time", Outcome.REGRESSED, 0.0143, 0.0164, 0.147, 0.131,
    0.164, 0.0002, "beyond the 3.7% that sessions vary", ("decode +14.7%",),
)  # fmt: skip


def changed(outcome: Outcome, name: str = "t.py::test_b", **changes: object) -> Verdict:
    """Return a verdict on another benchmark."""
    return dataclasses.replace(SLOWER, benchmark=name, outcome=outcome, **changes)


def test_a_regression_is_an_error_and_what_is_open_a_warning() -> None:
    """One for each benchmark, with its figures and reasons; what is fine or accepted has none."""
    calls = Verdict(
        SLOWER.benchmark, "decode.launches", "counter", Outcome.REGRESSED, 40, 41, 0.025
    )
    found = lines(
        [
            SLOWER,
            calls,
            changed(Outcome.INVALID, change=None, detail="a busy machine"),
            changed(Outcome.NO_CHANGE),
            changed(Outcome.REGRESSED, "t.py::test_c", acknowledged="a trade"),
        ],
        ON_GITHUB,
        ["FAILED: OutputError: NaN (d)"],
    )
    assert found == [
        "::error title=FAILED::FAILED: OutputError: NaN (d)",
        "::error title=a[x]::REGRESSED decode.launches 40 -> 41, +2.5 %25%0A"
        "REGRESSED tpot_s 14.3 ms -> 16.4 ms, +14.7 %25 [+13.1, +16.4]: "
        "beyond the 3.7%25 that sessions vary; decode +14.7%25",
        "::warning title=b::INVALID tpot_s: a busy machine; decode +14.7%25",
    ]


@pytest.mark.parametrize("environment", [{}, {"GITHUB_ACTIONS": "false"}])
def test_elsewhere_there_is_none(environment: dict[str, str]) -> None:
    """On a terminal the table says it all."""
    assert lines([SLOWER], environment, ["FAILED: x"]) == []


def test_texts_are_no_commands() -> None:
    """Neither an end of line, nor what looks like an escape, a property or another command."""
    evil = "a:b,c\r\n::error::100%0A"
    assert annotation("warning", evil, evil) == (
        "::warning title=a%3Ab%2Cc%0D%0A%3A%3Aerror%3A%3A100%250A::a:b,c%0D%0A::error::100%250A"
    )
    (found,) = lines([changed(Outcome.MISSING, f"t.py::test_{evil}", detail=evil)], ON_GITHUB)
    assert "\n" not in found
    assert "\r" not in found


def test_what_github_would_not_show_is_counted() -> None:
    """It shows ten of a kind: the last of many names the others."""
    many = [changed(Outcome.REGRESSED, f"t.py::test_{n:02}") for n in range(MOST + 5)]
    found = lines(many, ON_GITHUB)
    assert len(found) == MOST
    assert found[-1] == "::error title=6 more::09%0A10%0A11%0A12%0A13%0A14"
    assert len(lines(many[:MOST], ON_GITHUB)) == MOST
