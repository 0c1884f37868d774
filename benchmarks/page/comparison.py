"""Verdicts as a figure and as a table: the same facts in the same order as in the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.page import moved
from benchmarks.page.figures import restarts, work
from benchmarks.page.figures.intervals import intervals
from benchmarks.page.figures.kit import Figure, Table
from benchmarks.report import verdict_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.duet.saved_duets import Duet
    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session


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
    figures: Sequence[Figure]
    lines: Sequence[Line]
    unchanged: Sequence[str]
    moved: Sequence[tuple[str, Table]]


def compare(
    verdicts: Sequence[Verdict],
    basis: str,
    base: Session | None,
    head: Session,
    duet: Duet | None = None,
) -> Comparison:
    """Return what is shown of verdicts; what moved is known if there is a base.

    `basis` is a sentence on what was compared with what; each restart of a `duet` is shown.
    """
    shown, unchanged = verdict_table.sorted_out(verdicts)
    listed = [verdict for verdict, _ in shown]
    figures = [intervals(listed), restarts.figure(duet, listed) if duet else None]
    if base:
        figures += work.compared(base, head)
    return Comparison(
        basis=basis,
        figures=[figure for figure in figures if figure],
        lines=[
            _line(verdict, below)
            for (verdict, _), below in zip(shown, verdict_table.all_below(shown), strict=True)
        ],
        unchanged=[
            *verdict_table.together(verdicts),
            *unchanged,
            *verdict_table.remarks(verdicts),
        ],
        moved=moved.tables(base, head) if base else (),
    )


def _line(verdict: Verdict, below: Sequence[str]) -> Line:
    name, metric, base, _, head, change, interval, p, outcome = verdict_table.cells(verdict)
    return Line(
        outcome=outcome,
        cells=(f"{name}: {metric}", base, head, change, interval, p),
        below=below,
        suspicious=verdict.suspicious,
        acknowledged=verdict.acknowledged is not None,
    )
