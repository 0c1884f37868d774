"""The files of a restart: a session of each take, all of them or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.files import write_json
from benchmarks.sessions.session import parse_session

if TYPE_CHECKING:
    from benchmarks.duet.schedule import Take
    from benchmarks.sessions.session import Session


def save_restart(out: Path, number: int, content: Mapping[Take, Any]) -> dict[Take, Session]:
    """Write a session of each take: all of them, or none. Return them as they are read back."""
    paths = {take: out / f"restart-{number:02}-{_name(take, content)}.json" for take in content}
    try:
        for take, path in paths.items():
            write_json(path, content[take])
    except BaseException:  # half a restart can't be judged
        for path in paths.values():
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    return {take: parse_session(content[take], str(path)) for take, path in paths.items()}


def _name(take: Take, takes: Iterable[Take]) -> str:
    """Return what a take's files are called: its side, and what tells it from others of it."""
    first = next(each for each in takes if each.side == take.side)
    return take.side if take == first else f"{take.side}-slowed-{take.slowdown:g}"
