"""The figure of what holds the memory: every part of every peak that is known, once."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.page import session
from benchmarks.page.figures import held
from benchmarks.sessions import schema
from tests.page.contents import content, read, record

PARTS = {
    "weights_bytes": 9_000_000_000,
    "kv_cache_bytes": 100_000_000,
    "activations_bytes": 50_000_000,
    "workspace_bytes": 700_000_000,
    "other_bytes": 40_000_000,
    "rounding_bytes": 10_000_000,
}


def peak(measured: int | None = 9_910_000_000, **parts: int) -> dict[str, Any]:
    """Return a peak as it is stored."""
    return {"decode_steps": None, "peak_allocated_bytes": measured, "parts": {**PARTS, **parts}}


def test_parts_are_stacked_up_to_the_measured_peak() -> None:
    """Each begins where the one before ends; the line is where the allocator says that all end."""
    figure = held.figure([("a", {"memory": {"prefill": peak(), "decode": None}})])
    assert figure
    bars = figure.plots[0]["data"]["values"]
    assert [row["from"] for row in bars[1:]] == [row["to"] for row in bars[:-1]]
    assert bars[-1]["to"] == pytest.approx(9.9)  # GB
    (line,) = figure.plots[0]["layer"][-1]["data"]["values"]
    assert line["x"] == pytest.approx(9.91)
    (row,) = figure.table.rows
    assert row[0] == "a, prefill"
    assert row[-2:] == ("9.9 GB", "9.91 GB")
    assert "upright line" in figure.says


def test_what_was_not_seen_is_no_zero() -> None:
    """On the CPU nobody measures the peak, nor what was there before."""
    seen = {name: PARTS[name] for name in list(PARTS)[:4]}
    cpu = {"decode_steps": [1, 3], "peak_allocated_bytes": None, "parts": seen}
    figure = held.figure([("a", {"memory": {"decode": cpu}})])
    assert figure
    assert figure.table.rows[0][-4:] == ("not measured", "not measured", "9.85 GB", "not measured")
    assert len(figure.plots[0]["data"]["values"]) == 4
    assert "upright line" not in figure.says


def test_benchmarks_that_share_a_workload_share_its_bars() -> None:
    """A peak that is the same is shown once, under the first name."""
    decode = {"prefill": peak(), "decode": peak(kv_cache_bytes=200_000_000)}
    figure = held.figure([("a", {"memory": decode}), ("b", {"memory": decode})])
    assert figure
    assert [row[0] for row in figure.table.rows] == ["a, prefill", "a, decode"]
    assert held.figure([("a", {}), ("b", {"memory": {"prefill": None}})]) is None


def test_a_session_shows_its_peaks() -> None:
    """As a file brings them back, among the figures of all benchmarks."""
    info = record(on_gpu=True) | {"memory": {"prefill": peak(), "decode": None}}
    (one,) = read(content(info))
    assert not schema.difference(one.measured[next(iter(one.measured))].info, schema.RECORD)
    assert "What holds the memory" in [figure.title for figure in session.figures(one)]
    assert schema.difference(
        {"memory": {"prefill": {"parts": {"weights_bytes": "9"}}}}, schema.READABLE
    )
