"""One session as a page shows it: facts, metrics, and all benchmarks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import short
from benchmarks.page.figures import held, overview, work
from benchmarks.page.figures.kit import Figure, Table
from benchmarks.page.labels import commit_label, machine_label
from benchmarks.report import columns
from benchmarks.report.columns import UNMEASURED
from benchmarks.report.summary import NO_RESULT
from benchmarks.sessions import instants

if TYPE_CHECKING:
    from benchmarks.sessions.session import Session

    Info = Mapping[str, Any]

GROUPS = (
    ("Speed and work", columns.SPEED),
    ("Other figures of speed", columns.PAGE_ONLY),
    ("Memory and cost", columns.SPACE),
)


def facts(session: Session) -> list[tuple[str, str]]:
    """Return what was measured, on what, and when, in a few lines."""
    kept = session.saved, session.duet
    infos = [measured.info for measured in session.measured.values()]
    workloads = [info["workload"] for info in infos]
    models = dict.fromkeys(
        f"{each['model']} ({each.get('weights') or 'unknown'} weights)" for each in workloads
    )
    return [
        ("Model", ", ".join(models)),
        ("Quantizations", ", ".join(dict.fromkeys(each["quantization"] for each in workloads))),
        ("Machine", machine_label(session)),
        ("Commit", commit_label(session)),
        ("Saved", _saved(session.when)),
        ("File", session.name.rpartition("/")[2]),
        (
            "Versions",
            ", ".join(f"{name} {each}" for name, each in session.software.items() if each),
        ),
        *(("Command", str(each["command"])) for each in kept if each.get("command")),
    ]


def _saved(when: str) -> str:
    if not when:
        return "not saved"
    ahead = ", which is in the future" * instants.is_ahead(when)
    return f"{when[:19].replace('T', ' ')} UTC{ahead}"


def metrics(session: Session) -> list[tuple[str, Table]]:
    """Return the tables of metrics: a row for each benchmark, no column without a number."""
    tables = []
    for title, group in GROUPS:
        header, *rows = columns.rows([*_records(session), *_failed(session)], group)
        if len(header) > 1:
            told = [[UNMEASURED if cell == "-" else cell for cell in row] for row in rows]
            tables.append((title, Table(tuple(header), told)))
    return tables


def unmeasured(session: Session) -> Table | None:
    """Return what could not be measured, and why: a row for each reason."""
    found: dict[str, dict[str, None]] = {}
    for _, info in _records(session):
        for metric, reason in (info.get("unmeasured") or {}).items():
            found.setdefault(reason, {})[metric] = None
    rows = [(", ".join(names), reason) for reason, names in found.items()]
    return Table(("not measured", "because"), rows, left=(0, 1)) if rows else None


def figures(session: Session) -> list[Figure]:
    """Return the figures that show all benchmarks side by side."""
    records = _records(session)
    drawn = (
        overview.phases(records),
        work.split(records),
        overview.light(records),
        overview.memory(records),
        held.figure(records),
    )
    return [figure for figure in drawn if figure]


def _failed(session: Session) -> list[tuple[str, Info]]:
    """Return the benchmarks that failed, each with a record without a number."""
    return [(f"{short(name)} FAILED", NO_RESULT) for name in session.failed]


def _records(session: Session) -> list[tuple[str, Info]]:
    return [(short(name), measured.info) for name, measured in session.measured.items()]
