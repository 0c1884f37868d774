"""Benchmarks that failed: no number of theirs is shown as a result, and each has its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.text import first_line
from benchmarks.sessions.outcome import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.pytest_session.state import SessionState


def take_back(state: SessionState, names: Iterable[str], error: BaseException | None) -> None:
    """Keep why benchmarks, by their full names, have no result; of each the first reason."""
    why = "it failed" if error is None else f"{type(error).__name__}: {first_line(error)}"
    for name in names:
        state.summary.failed.setdefault(name, why)
        if state.gate:
            state.gate.miss(name, Cause.FAILED)


class Table:
    """A plugin of its own: of the hooks in a conftest pytest-benchmark's own command calls some."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[dict[str, Any]]) -> None:
        """Take the rows of what failed out of pytest-benchmark's table; stored ones stay."""
        failed = self._state.summary.failed
        benchmarks[:] = [
            row for row in benchmarks if row.get("path") or row["fullname"] not in failed
        ]
