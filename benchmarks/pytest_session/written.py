"""Every path that a session will write, checked before it measures."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.pytest_session import saving
from benchmarks.pytest_session.state import state_of
from benchmarks.sessions import storage

if TYPE_CHECKING:
    import pytest


def check(config: pytest.Config) -> None:
    """Raise InputError if something, once all is measured, could not be written."""
    state, settings = state_of(config), state_of(config).settings
    if state.save:
        storage.check(*state.save)
        saving.tell(settings.saved_to, b"")
    if state.json:
        files.check(state.json, "the JSON of --benchmark-json")
    if settings.artifacts:
        files.check_folder(settings.artifacts, "--artifacts")
    if settings.report:
        from benchmarks.page import render

        render.check(settings.report)
    for summary in settings.summaries:
        files.check(summary, "the summary", in_place=True)
    _check_others(config)


def _check_others(config: pytest.Config) -> None:
    """Check what pytest and pytest-benchmark write, where an error would end in a traceback."""
    option = config.option
    if xml := getattr(option, "xmlpath", None):  # which -p no:junitxml takes away
        report = os.path.expanduser(os.path.expandvars(xml))  # noqa: PTH111 (as pytest does)
        files.check(Path(report), "the report of --junitxml", in_place=True)
    for prefix in option.benchmark_histogram:
        if find_spec("pygal") is None:
            raise InputError(
                "--benchmark-histogram: expected pygal, which draws it, got none; "
                "pip install 'pytest-benchmark[histogram]', or use --report"
            )
        files.check(Path(f"{prefix}.svg"), "--benchmark-histogram", in_place=True)
    for prefix in option.benchmark_cprofile_dump:
        files.check(Path(f"{prefix}.prof"), "--benchmark-cprofile-dump", in_place=True)
