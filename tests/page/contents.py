"""Sessions as a page takes them in: contents of files, and duets of several of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.sessions.session import Session, parse_session
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path

NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n16]"


def read(*contents: dict[str, Any]) -> list[Session]:
    """Return sessions as they are read back from their files."""
    return [
        parse_session(json.loads(json.dumps(content)), f"{n:04}.json")
        for n, content in enumerate(contents, 1)
    ]


def content(info: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a file of one benchmark."""
    return builders.content((NAME, info or builders.record()), **changes)


def day(n: int) -> str:
    """Return the n-th day as a session says when it was saved."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)).isoformat()


def duet_contents(
    restarts: int, slower: float, *, first_day: int = 0, **duet: Any
) -> list[dict[str, Any]]:
    """Return both sides of a duet whose head takes `slower` times as long."""
    return [
        builders.content(
            (NAME, builders.record(n, slower=slower if side == "head" else 1.0)),
            duet={"side": side, "restart": n, "id": "d", "looks": {"5": 0.01}, **duet},
            when=day(first_day + n),
        )
        for n in range(restarts)
        for side in ("base", "head")
    ]


def write_duet(folder: Path, contents: list[dict[str, Any]]) -> Path:
    """Write the sessions of a duet into a folder, and return it."""
    for content in contents:
        duet = content["llm_int8"]["duet"]
        builders.write(folder / f"restart-{duet['restart']:02}-{duet['side']}.json", content)
    return folder
