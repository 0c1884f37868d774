"""Series for Apache Otava: CSV files, and the configuration that names them.

Otava reads a number in every cell, so only metrics that the same sessions have share a file.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.common import files
from benchmarks.common.text import short
from benchmarks.history import series
from benchmarks.sessions import measures
from benchmarks.sessions.measures import Better

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.history.series import Series
    from benchmarks.sessions.session import Session

TITLE = "the configuration of Otava"
TABLE = "the CSV for Otava"
TIME, ATTRIBUTES = "time", ["commit", "session"]  # Otava takes a column "branch" as a filter
DIRECTION = {Better.MORE: 1, Better.LESS: -1, Better.NEITHER: 1}


def write(out: Path, sessions: Sequence[Session]) -> None:
    """Write the configuration, and CSV files into a folder beside it that is named like it.

    Paths in it are absolute, so that Otava finds the files from any folder. JSON is YAML, and needs
    no library. Raises InputError if a file can't be written.
    """
    folder = out.resolve().with_suffix("")
    tests: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for table in _tables(sessions):
        name = _plain(short(table[0].benchmark))
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}.{seen[name]}"
        path = folder / f"{name}.csv"
        _write_table(path, table)
        tests[name] = {
            "type": "csv",
            "file": str(path),
            "time_column": TIME,
            "attributes": ATTRIBUTES,
            "metrics": {
                each.metric: {
                    "column": each.metric,
                    "direction": DIRECTION[measures.better(each.metric)],
                }
                for each in table
            },
        }
    content = {"tests": tests, "test_groups": {"all": list(tests)}}
    with files.whole(out, TITLE) as file:
        file.write(files.as_json(content, indent=2) + "\n")


def _tables(sessions: Sequence[Session]) -> list[list[Series]]:
    """Return series by their place and sessions, the longest first: those of a table have both."""
    found: dict[Any, list[Series]] = {}
    for each in series.gather(sessions):
        names = tuple(session.name for session in each.sessions)
        found.setdefault((each.place, names), []).append(each)
    return sorted(found.values(), key=lambda table: -len(table[0].sessions))


def _write_table(path: Path, table: Sequence[Series]) -> None:
    files.check(path, TABLE)
    with files.whole(path, TABLE) as file:
        writer = csv.writer(file)
        writer.writerow([TIME, *ATTRIBUTES, *(each.metric for each in table)])
        rows = zip(*(each.values for each in table), strict=True)
        for session, values in zip(table[0].sessions, rows, strict=True):
            commit, name = session.commit.get("id") or "unknown", session.name.rpartition("/")[2]
            writer.writerow([session.when, commit, name, *values])


def _plain(name: str) -> str:
    """Return a name that a shell takes as it is: the names of tests are typed."""
    return "".join(each if each.isalnum() or each in "-_." else "." for each in name).strip(".")
