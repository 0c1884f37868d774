"""Verdicts as a figure and as a table: the same facts in the same order as in the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.common.packages import in_short
from benchmarks.common.text import short
from benchmarks.page import labels, moved
from benchmarks.page.figures import restarts, work
from benchmarks.page.figures.intervals import intervals, reach
from benchmarks.page.figures.kit import Figure, Table
from benchmarks.report import verdict_table
from benchmarks.sessions import commit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.page.subject import Sides
    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session


COLUMNS = ("base", "current", "change", "interval, %", "p")
EXACT = COLUMNS[:3]  # if nothing was judged by statistics


@dataclass(frozen=True)
class Line:
    """One verdict as it is listed: its cells, and what is said below them."""

    outcome: str
    cells: Sequence[str]
    below: Sequence[str]
    suspicious: bool
    acknowledged: bool


@dataclass(frozen=True)
class Comparison:
    """Verdicts, the worst first, as a figure and as lines; and what moved beside them."""

    basis: str
    baselines: Table | None
    figures: Sequence[Figure]
    columns: Sequence[str]  # of the lines' cells, but for the first, which has the name
    lines: Sequence[Line]
    unchanged: Sequence[str]
    moved: Sequence[tuple[str, Table]]
    work: Sequence[Figure]


def compare(sides: Sides) -> Comparison:
    """Return what is shown of verdicts; what moved is known if there is a base."""
    verdicts, base, head = sides.verdicts or (), sides.base, sides.head
    shown, unchanged = verdict_table.sorted_out(verdicts)
    listed = [verdict for verdict, _ in shown]
    seen = restarts.observed(sides.duet, listed) if sides.duet else []
    end = max(reach(listed), restarts.reach(seen)) if seen else 0.0  # both have one axis
    figures = [intervals(listed, end), restarts.figure(seen, end)]
    columns = (
        COLUMNS if any(each.low is not None or each.p is not None for each in listed) else EXACT
    )
    return Comparison(
        basis=sides.basis,
        baselines=_baselines(sides.baselines) if sides.baselines else None,
        figures=[figure for figure in figures if figure],
        columns=columns,
        lines=[
            _line(verdict, below, len(columns))
            for (verdict, _), below in zip(shown, verdict_table.all_below(shown), strict=True)
        ],
        unchanged=[
            *verdict_table.together(verdicts),
            *unchanged,
            *verdict_table.remarks(verdicts),
        ],
        moved=moved.tables(base, head, _said(verdicts)) if base else (),
        work=work.compared(base, head) if base else (),
    )


def _said(verdicts: Sequence[Verdict]) -> set[tuple[str, str]]:
    """Return benchmark and metric of each verdict that has a row, alone or with others."""
    return {
        (short(each.benchmark), each.metric)
        for each in verdicts
        if not verdict_table.is_quiet(each)
    }


def _baselines(sessions: Sequence[Session]) -> Table:
    pages = {labels.commit_label(each): commit.page(each) for each in sessions}
    rows = [
        (
            each.name.rpartition("/")[2],
            each.when[:16].replace("T", " "),
            labels.commit_label(each),
            in_short(each.software),
        )
        for each in sessions
    ]
    links = {label: page for label, page in pages.items() if page}
    return Table(("file", "saved, UTC", "commit", "versions"), rows, (0, 1, 2, 3), links)


def _line(verdict: Verdict, below: Sequence[str], columns: int) -> Line:
    name, metric, base, _, head, *more, outcome = verdict_table.cells(verdict)
    return Line(
        outcome=outcome,
        cells=(f"{name}: {metric}", *(base, head, *more)[:columns]),
        below=below,
        suspicious=verdict.suspicious,
        acknowledged=verdict.acknowledged is not None,
    )
