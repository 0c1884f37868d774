"""What a session keeps in pytest's config between hooks and fixtures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.report.summary import Summary
from benchmarks.sessions.outcome import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.common.output import Lasting
    from benchmarks.config.settings import Settings
    from benchmarks.evidence.gathering import Evidence
    from benchmarks.model.target import Target
    from benchmarks.pytest_session.progress import Progress
    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session
    from benchmarks.verdicts.acknowledged import Acknowledgement
    from benchmarks.verdicts.thresholds import Threshold


@dataclass
class Gate:
    """What a session is judged by, why some of its benchmarks have no result, and the judgement."""

    base: list[Session]
    notes: list[str]
    acknowledgements: tuple[Acknowledgement, ...]
    limits: tuple[Threshold, ...]
    named: bool = False  # by --benchmark-compare=NAME: then all of them count, promoted or not
    absent: dict[str, Cause] = field(default_factory=dict)  # by full name, why
    deselected: set[str] = field(default_factory=set)
    verdicts: list[Verdict] = field(default_factory=list)

    def miss(self, name: str, outcome: str) -> None:
        """Keep that a benchmark was skipped, or failed."""
        self.absent[name] = Cause(outcome)


@dataclass
class SessionState:
    """What hooks and fixtures know of the session; None, or empty, before it is known."""

    settings: Settings
    streams: list[Lasting] = field(default_factory=list)  # of this process
    summary: Summary = field(default_factory=Summary)
    progress: Progress | None = None
    targets: dict[str | None, Target] = field(default_factory=dict)  # of the models to be measured
    evidence: Evidence | None = None  # of the model that is loaded
    history: dict[str, Any] = field(default_factory=lambda: {"loaded": [], "profiled": False})
    alone: dict[str, float] = field(default_factory=dict)  # tokens/s of one replica, by benchmark
    compared: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    benchmarks: list[Any] = field(default_factory=list)  # pytest-benchmark's fixtures, as used
    gate: Gate | None = None  # with --gate
    doubtful: list[str] = field(default_factory=list)  # of those: why their figures say little
    not_compared: str | None = None  # why --benchmark-compare-fail can't decide
    add_property: Callable[[str, object], None] | None = None  # to the report of --junitxml
    collected: bool = False  # a benchmark was, even if it is not selected
    all_run: bool = False  # pytest came to the end of the benchmarks
    session: pytest.Session | None = None  # once it is over
    outcome: dict[str, Any] = field(default_factory=dict)  # what the suite adds to the file
    content: dict[str, Any] | None = None  # of the file
    save: tuple[Path, str] | None = None  # folder and name to save under
    file: Path | None = None  # that it was saved in
    saved: list[str] = field(default_factory=list)  # the lines that say where
    unversioned: str = ""  # the line that says that its commit isn't known
    json: Path | None = None  # of --benchmark-json
    shown: bool = False  # what was measured, on the terminal

    @property
    def target(self) -> Target | None:
        """The first target, whose device is that of all; None if nothing is to be measured."""
        return next(iter(self.targets.values()), None)

    @property
    def titles(self) -> str:
        """What is measured: the models, each in a few words."""
        return ", ".join(target.checkpoint.title for target in self.targets.values())

    @property
    def status(self) -> int:
        """What the session ends with, as far as that is known."""
        return int(self.session.exitstatus) if self.session else 0


STATE = pytest.StashKey[SessionState]()


def state_of(config: pytest.Config) -> SessionState:
    """Return what this session keeps."""
    return config.stash[STATE]
