"""The formats by name, and how a file of each is checked and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.export import bencher, csv_file, github_action, openmetrics, otava

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.sessions.session import Session

    Write = Callable[[Path, Sequence[Session]], None]


class Format(NamedTuple):
    """What the file is called in messages, and what writes it: sessions, oldest first."""

    title: str
    write: Write


FORMATS = {
    "csv": Format(csv_file.CSV, csv_file.write),
    "github-action-bigger": Format(github_action.TITLE, github_action.write_bigger),
    "github-action-smaller": Format(github_action.TITLE, github_action.write_smaller),
    "bencher": Format(bencher.TITLE, bencher.write),
    "otava": Format(otava.TITLE, otava.write),
    "openmetrics": Format(openmetrics.TITLE, openmetrics.write),
}


def check(name: str, out: Path) -> None:
    """Raise InputError if there is no such format, or if the file can't be written."""
    if name not in FORMATS:
        raise InputError(f"--export: expected one of {', '.join(FORMATS)}; got {name!r}")
    files.check(out, FORMATS[name].title)


def write(name: str, out: Path, sessions: Sequence[Session]) -> None:
    """Write sessions, oldest first, in a format. Raises InputError if it can't."""
    FORMATS[name].write(out, sessions)
