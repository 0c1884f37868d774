"""What a session keeps in pytest's config between hooks and fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.config.settings import Settings
    from benchmarks.evidence.gathering import Evidence
    from benchmarks.model.target import Target
    from benchmarks.pytest_session.progress import Progress
    from benchmarks.report.summary import Summary

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
TARGET: pytest.StashKey[Target] = pytest.StashKey()
SUMMARY: pytest.StashKey[Summary] = pytest.StashKey()
EVIDENCE: pytest.StashKey[Evidence] = pytest.StashKey()
PROGRESS: pytest.StashKey[Progress] = pytest.StashKey()
HISTORY = pytest.StashKey[dict[str, Any]]()  # of this process
COMPARED = pytest.StashKey[list[dict[str, Any]]]()  # machine_info of the sessions to compare with
BENCHMARKS = pytest.StashKey[list[Any]]()  # pytest-benchmark's fixtures, as they were used
CONTENT: pytest.StashKey[dict[str, Any]] = pytest.StashKey()  # of the file that is saved
SAVE: pytest.StashKey[tuple[Path, str]] = pytest.StashKey()  # folder and name to save under
OUTCOME = pytest.StashKey[dict[str, Any]]()  # what the suite adds to a saved session
GATE = pytest.StashKey[Any]()  # what the session is judged by, with --gate
NOT_COMPARED = pytest.StashKey[str]()  # why --benchmark-compare-fail can't decide
PROPERTY = pytest.StashKey[Any]()  # adds a property to the report of --junitxml
COLLECTED = pytest.StashKey[bool]()  # a benchmark was, even if it is not selected
ALL_RUN = pytest.StashKey[bool]()  # pytest came to the end of the benchmarks
SESSION: pytest.StashKey[pytest.Session] = pytest.StashKey()  # once it is over
FILE: pytest.StashKey[Path] = pytest.StashKey()  # that it was saved in
SAVED = pytest.StashKey[str]()  # the line that says where it was saved
MACHINE = pytest.StashKey[dict[str, Any]]()  # which the default storage was named after
