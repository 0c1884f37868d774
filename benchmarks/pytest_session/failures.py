"""Benchmarks that failed: no number of theirs is shown as a result, and each has its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common import foreign
from benchmarks.common.errors import HarnessError, InputError, LibraryError
from benchmarks.common.text import first_line, short
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


def name(item: Any, when: str) -> str:
    """Return what failed: a benchmark; or its whole model, which is checked after the last one."""
    return loaded(item) if when == "teardown" else short(item.name)


def loaded(item: Any) -> str:
    """Return which loaded model a benchmark measures: its quantization, and its name if needed."""
    found = item.callspec.params
    model = f" of {found['model']}" if "model" in found else ""
    return f"{found['quantization']}{model}"


def as_line(error: BaseException, state: SessionState, name: str) -> str | None:
    """Return an error in one line; None if the test itself raised it.

    One that the suite understands says all. Of another library's the line has the library and the
    last frame in it, and names the file, called by `name`, that the traceback was written to.
    """
    ours = f"{type(error).__name__}: {error}" if isinstance(error, HarnessError) else None
    line = ours or foreign.as_line(error)
    if line is None or (ours and not isinstance(error, LibraryError)):
        return line
    return f"{line}; {_kept(error, state, name)}"


def in_full(error: LibraryError, state: SessionState, name: str) -> InputError:
    """Return what another library couldn't use, with the file that has its traceback."""
    return InputError(f"{error}; {_kept(error, state, name)}")


def _kept(error: BaseException, state: SessionState, name: str) -> str:
    folder = state.settings.artifacts or state.settings.cache_dir / "tracebacks"
    return foreign.keep(error, folder / f"{name}.traceback.txt")


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
