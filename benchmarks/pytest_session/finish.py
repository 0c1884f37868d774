"""The end of a session: judge it, save it, and choose its exit status."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.errors import InputError
from benchmarks.pytest_session import gating, publishing, saving
from benchmarks.pytest_session.state import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What a command needs beside its options to measure the same; others may be secret.
REPEATED = ("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def judge_and_save(session: pytest.Session) -> None:
    """Judge a session that is over, save it, and set its exit status."""
    config, state = session.config, state_of(session.config)
    if state.target and not state.all_run and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    passed = session.exitstatus == pytest.ExitCode.OK
    command = command_line(map(str, config.invocation_params.args), os.environ)
    state.outcome = {"passed": passed, "verdicts": None, "promoted": None, "command": command}
    if state.summary.failed:
        state.outcome["failed"] = state.summary.failed
    content = saving.content(config) if state.gate or state.save or state.json else None
    status = gating.finish(session, content)
    if gate := state.gate:
        state.outcome["verdicts"] = [each.as_record() for each in gate.verdicts]
        if state.add_property:
            gating.add_properties(gate.verdicts, state.add_property)
        publishing.add_cases(config, gate.verdicts)
    if status is not None:
        session.exitstatus = status
    state.outcome["exit_status"] = int(session.exitstatus)
    saving.finish(session, content)
    state.outcome["exit_status"] = int(session.exitstatus)  # another one if it can't be saved
    state.session = session


def command_line(args: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return the command that repeats a session, with the variables that decide what it measures.

    One that is set to nothing is there, too: without a GPU isn't the same as with all of them.
    """
    known = [f"{name}={shlex.quote(environ[name])}" for name in REPEATED if name in environ]
    return " ".join((*known, shlex.join(("pytest", *args))))


def write_compared(terminalreporter: Any, config: pytest.Config) -> None:
    """Write in what the sessions of --benchmark-compare differ from this one."""
    state = state_of(config)
    if not state.target or not state.compared:
        return
    from benchmarks.machine import device
    from benchmarks.sessions import comparable
    from benchmarks.sessions.session import Session

    here = device.machine_info(state.target.device)
    for theirs, ours in state.compared:
        machine = {**ours, **here}
        base, head = (Session("", {}, machine=each) for each in (theirs, machine))
        for line in comparable.differences(base, head):
            terminalreporter.write_line(line)
    for line in state.doubtful:
        terminalreporter.write_line(line, yellow=True)


def doubtful(content: dict[str, Any]) -> list[str]:
    """Return the line that says why a compared session's figures say little; none if they don't.

    A table that has them beside this session's looks the same either way.
    """
    from benchmarks.sessions import baseline
    from benchmarks.sessions.session import parse_session

    try:
        session = baseline.own(parse_session(content, "the compared session"))
    except InputError:  # a session of another suite, about which nothing is known
        return []
    when = session.when[:16].replace("T", " ")
    found = baseline.untrusted(session)
    says = f"compared with the session of {when}, whose figures say little: {'; '.join(found)}"
    return [says] if found else []
