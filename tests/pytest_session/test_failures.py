"""Why a benchmark has no result, as it is kept: one line, whatever it failed by."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.pytest_session import failures
from benchmarks.report.summary import Summary


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("\n  too few\n  of them"), "ValueError: too few"),
        (pytest.fail.Exception("slow\nvery slow"), "Failed: slow"),
        (SystemExit("gone\nfor good"), "SystemExit: gone"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (None, "it failed"),
    ],
)
def test_a_failure_is_one_line(error: BaseException | None, says: str) -> None:
    """Of an error that is no Exception as well: tables, summaries and annotations show it."""
    state = SimpleNamespace(summary=Summary(), gate=None)
    failures.take_back(state, ["a"], error)  # type: ignore[arg-type]
    assert state.summary.failed == {"a": says}
