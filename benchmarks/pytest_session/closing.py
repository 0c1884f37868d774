"""The last words of a session, below pytest's: whether its times can be trusted, and its status."""

from __future__ import annotations

import traceback

import pytest

from benchmarks.common.exit_status import MEANS, OPEN, ExitStatus
from benchmarks.pytest_session import gating, saving
from benchmarks.pytest_session.state import state_of


def write(session: pytest.Session) -> None:
    """Write them, so that pytest's green line isn't the last one of a session that isn't fine.

    Nothing is said of a session without benchmarks, such as the suite's own tests.
    """
    config, state = session.config, state_of(session.config)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not state.collected or config.option.collectonly:
        return
    warning = state.summary.warning
    if warning and not gating.judges_the_wall(config):  # such a gate says so by its status
        terminal.write_line(warning, yellow=True)
    status = int(session.exitstatus)
    if says := MEANS.get(status):
        colour = {"yellow": True} if status in OPEN else {"red": True}
        terminal.write_line(f"exit status {status}: {says}", **colour)


def flush(session: pytest.Session) -> None:
    """Write what Python kept until now; exit with 3 if output was lost that somebody read."""
    state = state_of(session.config)
    for stream in state.streams:
        stream.flush()
    if any(stream.lost for stream in state.streams):
        saving.end_with(session.config, state.status or ExitStatus.ERROR)


def fail(session: pytest.Session, error: Exception) -> None:
    """Let a session exit with 3, unless it failed already: a plugin failed at its end.

    What was measured is shown all the same.
    """
    config, state = session.config, state_of(session.config)
    if session.exitstatus == ExitStatus.WRONG_INPUT:  # which says so, and measured nothing
        return
    if not isinstance(error, OSError):
        traceback.print_exception(error)
    saving.end_with(config, state.status or ExitStatus.ERROR)
    if terminal := config.pluginmanager.get_plugin("terminalreporter"):
        if not state.shown:
            config.hook.pytest_terminal_summary(
                terminalreporter=terminal, exitstatus=session.exitstatus, config=config
            )
        terminal.write_line(f"NOT WRITTEN: {error}", red=True)
