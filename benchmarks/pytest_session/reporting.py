"""How `--report` writes its page: from what this session recorded, as it would be read back."""

from __future__ import annotations

import json

import pytest

from benchmarks.common.errors import InputError
from benchmarks.common.files import as_json
from benchmarks.pytest_session import saving
from benchmarks.pytest_session.state import state_of


def closing_lines(config: pytest.Config) -> list[str]:
    """Write the report if one was asked for; return the line that says where, or why not."""
    state = state_of(config)
    settings = state.settings
    if not settings.report or config.option.collectonly:
        return []
    from benchmarks.page import intake, render
    from benchmarks.sessions.session import parse_session

    content = saving.content(config)
    if content is None:
        return ["no report: no benchmark was measured"]
    try:
        shown_one = parse_session(json.loads(as_json(content, default=str)), "this session")
        shown = intake.select([*(state.gate.base if state.gate else ()), shown_one])
        render.write(settings.report, shown, settings.artifacts)
    except InputError as error:
        saving.end_with(config, state.status or pytest.ExitCode.INTERNAL_ERROR)
        return [f"NO REPORT: {error}"]
    return [f"report: {settings.report}"]
