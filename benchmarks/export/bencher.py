"""Bencher's metric format (BMF): benchmarks, their measures, and a value each; the newest session.

Its schema is https://bencher.dev/bmf.json. A measure has no unit there: the name of the metric has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.text import short
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.sessions.session import Session

TITLE = "the file for Bencher"


def write(out: Path, sessions: Sequence[Session]) -> None:
    """Write the newest session. Raises InputError if the file can't be written."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for each in measures.of_session(sessions[-1]):
        found.setdefault(short(each.benchmark), {})[each.metric] = {"value": each.value}
    with files.whole(out, TITLE) as file:
        file.write(files.as_json(found, indent=1) + "\n")
