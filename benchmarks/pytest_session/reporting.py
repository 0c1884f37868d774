"""How `--report` writes its page: from what this session recorded, as it would be read back."""

from __future__ import annotations

import json

import pytest

from benchmarks.common.errors import InputError
from benchmarks.pytest_session import saving
from benchmarks.pytest_session.state import GATE, SESSION, SETTINGS


def check(config: pytest.Config) -> None:
    """Raise InputError where the report, once all is measured, could not be written."""
    if report := config.stash[SETTINGS].report:
        from benchmarks.page import render

        render.check(report)


def closing_lines(config: pytest.Config) -> list[str]:
    """Write the report where one was asked for, and return where it is, or why it isn't."""
    settings = config.stash[SETTINGS]
    if not settings.report or config.option.collectonly:
        return []
    from benchmarks.page import intake, render
    from benchmarks.sessions.session import parse_session

    content = saving.content(config)
    if content is None:
        return ["no report: no benchmark was measured"]
    try:
        shown_one = parse_session(json.loads(json.dumps(content, default=str)), "this session")
        gate = config.stash.get(GATE, None)
        shown = intake.select([*(gate.base if gate else ()), shown_one])
        render.write(settings.report, shown, settings.artifacts)
    except InputError as error:
        session = config.stash[SESSION]
        session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
        saving.amend(session)
        return [f"NO REPORT: {error}"]
    return [f"report: {settings.report}"]
