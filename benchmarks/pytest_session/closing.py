"""The last words of a session, below pytest's: whether its times can be trusted, and its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.exit_status import MEANS, OPEN
from benchmarks.pytest_session import gating
from benchmarks.pytest_session.state import state_of

if TYPE_CHECKING:
    import pytest


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
