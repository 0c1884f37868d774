"""Series for Apache Otava: CSV files, and the configuration that names them.

Otava reads a number in every cell. So metrics that the same sessions have share a file, and those
that some session lacks have one of their own.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.common import files
from benchmarks.common.text import short
from benchmarks.export import series
from benchmarks.sessions.measures import Better

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.export.series import Point
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
    for points, metrics in _tables(sessions):
        name = _plain(short(points[0].measured.fullname))
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}.{seen[name]}"
        path = folder / f"{name}.csv"
        _write_table(path, points, metrics)
        tests[name] = {
            "type": "csv",
            "file": str(path),
            "time_column": TIME,
            "attributes": ATTRIBUTES,
            "metrics": {
                each: {"column": each, "direction": DIRECTION[_first(points, each)]}
                for each in metrics
            },
        }
    content = {"tests": tests, "test_groups": {"all": list(tests)}}
    with files.whole(out, TITLE) as file:
        file.write(files.as_json(content, indent=2) + "\n")


def _tables(sessions: Sequence[Session]) -> Iterator[tuple[list[Point], list[str]]]:
    """Yield points and the metrics that all of them have, each metric of a series once."""
    for points in series.of_sessions(sessions):
        names = dict.fromkeys(name for each in points for name in each.measures)
        having = {name: tuple(name in each.measures for each in points) for name in names}
        for there in dict.fromkeys(having.values()):
            kept = [point for point, is_there in zip(points, there, strict=True) if is_there]
            yield kept, [name for name in names if having[name] == there]


def _write_table(path: Path, points: Sequence[Point], metrics: Sequence[str]) -> None:
    files.check(path, TABLE)
    with files.whole(path, TABLE) as file:
        writer = csv.writer(file)
        writer.writerow([TIME, *ATTRIBUTES, *metrics])
        for each in points:
            session = each.session
            commit, name = session.commit.get("id") or "unknown", session.name.rpartition("/")[2]
            values = [each.measures[metric].value for metric in metrics]
            writer.writerow([session.when, commit, name, *values])


def _first(points: Sequence[Point], metric: str) -> Better:
    return points[0].measures[metric].better


def _plain(name: str) -> str:
    """Return a name that a shell takes as it is: the names of tests are typed."""
    return "".join(each if each.isalnum() or each in "-_." else "." for each in name).strip(".")
