"""The end of a session: judge it, save it, and choose its exit status."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.pytest_session import gating, saving
from benchmarks.pytest_session.state import (
    ALL_RUN,
    COMPARED,
    GATE,
    OUTCOME,
    PROPERTY,
    SAVE,
    SESSION,
    TARGET,
)


def judge_and_save(session: pytest.Session) -> None:
    """Judge a session that is over, save it, and set its exit status."""
    config = session.config
    cut_short = TARGET in config.stash and ALL_RUN not in config.stash
    if cut_short and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    passed = session.exitstatus == pytest.ExitCode.OK
    outcome: dict[str, Any] = {"passed": passed, "verdicts": None, "promoted": None}
    config.stash[OUTCOME] = outcome
    wanted = GATE in config.stash or SAVE in config.stash
    content = saving.content(config) if wanted else None
    status = gating.finish(session, content)
    if GATE in config.stash:
        verdicts = config.stash[GATE].verdicts
        outcome["verdicts"] = [each.as_record() for each in verdicts]
        for name, value in gating.properties(verdicts) if PROPERTY in config.stash else ():
            config.stash[PROPERTY](name, value)
    if status is not None:
        session.exitstatus = status
    outcome["exit_status"] = int(session.exitstatus)
    saving.finish(session, content)
    outcome["exit_status"] = int(session.exitstatus)  # another one where it can't be saved
    config.stash[SESSION] = session


def write_compared(terminalreporter: Any, config: pytest.Config) -> None:
    """Write in what the sessions of --benchmark-compare differ from this one."""
    if (target := config.stash.get(TARGET, None)) and config.stash[COMPARED]:
        from benchmarks.machine import device
        from benchmarks.sessions import comparable
        from benchmarks.sessions.session import Session

        for theirs, ours in config.stash[COMPARED]:
            machine = {**ours, **device.machine_info(target.device)}
            base, head = (Session("", {}, machine=each) for each in (theirs, machine))
            for line in comparable.differences(base, head):
                terminalreporter.write_line(line)
