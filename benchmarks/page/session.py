"""One session as a page shows it: facts, metrics, and all benchmarks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import BY_NATURE
from benchmarks.common.text import short
from benchmarks.page.benchmark import MISFITS
from benchmarks.page.figures import held, overview, work
from benchmarks.page.figures.kit import Figure, Table
from benchmarks.page.labels import commit_label, machine_label
from benchmarks.report import columns, half_lines
from benchmarks.report.columns import UNMEASURED
from benchmarks.report.lines import mode_of
from benchmarks.report.summary import NO_RESULT, marks
from benchmarks.sessions import instants, measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.session import Session

    Info = Mapping[str, Any]

NONE = "-"  # in place of a figure that a benchmark has none of
OTHERS = "other benchmarks have this figure"
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
        ("Generation", ", ".join(dict.fromkeys(map(mode_of, workloads)))),
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
    records = [*_records(session), *_failed(session)]
    found = ((title, columns.known(records, group)) for title, group in GROUPS)
    return [(title, _table(records, names)) for title, names in found if names]


def _table(records: Sequence[tuple[str, Info]], names: Sequence[str]) -> Table:
    rows: list[list[str]] = []
    hints: dict[tuple[int, int], str] = {}
    for at, (benchmark, info) in enumerate(records):
        cells = [benchmark + marks(info)]
        for metric in names:
            says, hint = columns.shown(metric, info), ""
            if columns.figure(info, metric) is None:
                says, hint = _instead(info, metric)
            elif measures.is_of_the_device(metric):
                hint = "; ".join(columns.doubts(info))
            hints |= {(at, len(cells)): hint} if hint else {}
            cells.append(says)
        rows.append(cells)
    return Table(
        ("benchmark", *(columns.METRICS[each].column for each in names)), rows, hints=hints
    )


def _instead(info: Info, metric: str) -> tuple[str, str]:
    """Return what stands in place of a figure, and why: a dash if the benchmark has none of it."""
    counter = metric.partition(".")[2]
    if why := (info.get("unmeasured") or {}).get(counter or metric):
        return (NONE if why in BY_NATURE else UNMEASURED), why
    has_it = not info.get("replicas") if counter else metric in info["metrics"]
    return (UNMEASURED, "") if has_it or info is NO_RESULT else (NONE, OTHERS)


def unmeasured(session: Session) -> Table | None:
    """Return what could not be measured, and why: a row for each reason."""
    found: dict[str, dict[str, None]] = {}
    for _, info in _records(session):
        for metric, reason in (info.get("unmeasured") or {}).items():
            if reason not in BY_NATURE:
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


def against_half(session: Session) -> list[str]:
    """Return how the quantizations compare with 16 bits; nothing if the evidence is another's."""
    try:
        return half_lines.lines(_records(session))
    except MISFITS:
        return []


def _failed(session: Session) -> list[tuple[str, Info]]:
    """Return the benchmarks that failed, each with a record without a number."""
    return [(short(name), NO_RESULT) for name in session.failed]


def _records(session: Session) -> list[tuple[str, Info]]:
    return [(short(name), measured.info) for name, measured in session.measured.items()]
