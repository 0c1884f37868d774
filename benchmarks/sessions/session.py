"""Saved sessions: what one process measured, read back from pytest-benchmark's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.schema import check_types
from benchmarks.sessions.unchecked import Unchecked, of_records


@dataclass(frozen=True)
class Measured:
    """One benchmark of a session: its rounds, and all that was stored beside them."""

    fullname: str
    rounds_s: tuple[float, ...]
    info: Mapping[str, Any] = field(default_factory=dict)  # extra_info; {} in a foreign file
    positions: tuple[int, ...] = ()  # of each round in its pair of a duet, where that is known

    @property
    def work_only(self) -> bool:
        """Whether it was played for its work only: then it has no rounds."""
        return bool(self.info.get("work_only"))


@dataclass(frozen=True)
class Session:
    """What one process measured, by the full name of each benchmark."""

    name: str  # of its file, or "this session"
    measured: Mapping[str, Measured]
    machine: Mapping[str, Any] = field(default_factory=dict)  # machine_info
    commit: Mapping[str, Any] = field(default_factory=dict)  # commit_info
    when: str = ""  # ISO 8601
    saved: Mapping[str, Any] = field(default_factory=dict)  # what this suite adds to the file


def read_session(path: Path) -> Session:
    """Read a file that pytest-benchmark saved with raw data.

    Raises InputError, in one line that names the file, where it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't read it ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected JSON of pytest-benchmark, got a damaged or foreign file ({error}); "
            "delete it, or measure again"
        ) from error
    return parse_session(content, str(path))


def parse_session(content: Any, name: str) -> Session:
    """Return the session in the content of a file; `name` is what errors call it.

    Raises InputError where it isn't pytest-benchmark's, or has no raw data.
    """
    try:
        check_types(content)
        duet = (content.get("llm_int8") or {}).get("duet") or {}
        positions = tuple(int(each) for each in duet.get("position_in_pair") or ())
        measured = [_measured(each, positions) for each in content["benchmarks"]]
        session = Session(
            name=name,
            measured={each.fullname: each for each in measured},
            machine=dict(content.get("machine_info") or {}),
            commit=dict(content.get("commit_info") or {}),
            when=str(content.get("datetime", "")),
            saved=dict(content.get("llm_int8") or {}),
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{name}: expected JSON of pytest-benchmark with the rounds of every benchmark, got "
            f"another format ({type(error).__name__}: {error}); save it with --benchmark-save-data"
        ) from error
    if len(session.measured) < len(measured):
        raise InputError(
            f"{name}: expected each benchmark once, got one twice; "
            "give one file for each session, not several put together"
        )
    return session


def _measured(benchmark: Mapping[str, Any], positions: tuple[int, ...]) -> Measured:
    rounds_s = tuple(float(value) for value in benchmark["stats"]["data"])
    info = dict(benchmark.get("extra_info") or {})
    if info.get("work_only"):  # pytest-benchmark keeps the one short round, which says nothing
        return Measured(str(benchmark["fullname"]), (), info)
    if not rounds_s or not all(0 < value < float("inf") for value in rounds_s):
        raise ValueError(f"{benchmark['fullname']} has no rounds, or impossible ones")
    return Measured(str(benchmark["fullname"]), rounds_s, info, positions)


def unchecked_note(sessions: Sequence[Session]) -> list[str]:
    """Return a line if some of these sessions weren't checked in full; nothing if all were."""
    loose = sum(bool(unchecked_of(each)) for each in sessions)
    return [f"not checked in full (--bounds): {loose} of {len(sessions)} sessions"] * bool(loose)


def unchecked_of(session: Session) -> Unchecked:
    """Return what some benchmark of a session wasn't held to."""
    return of_records(each.info.get("validity") for each in session.measured.values())
