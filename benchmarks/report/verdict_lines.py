"""Verdicts for a terminal: a table by benchmark in 120 columns, and each reason once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.text import align, short, wrapped
from benchmarks.report.verdict_table import (
    HEADER,
    cells,
    counts,
    gathered,
    remarks,
    sorted_out,
    worded,
)
from benchmarks.sessions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict

AT_ONCE = 2  # reasons in one line; more are a list
NAMED = 3  # benchmarks beside a reason; more are counted


def lines(verdicts: Sequence[Verdict], notes: Sequence[str] = ()) -> list[str]:
    """Return the table for a terminal: what got worse first, of each benchmark work before wall.

    Below it each reason once, with the verdicts that it is about; counts at the end. `notes` come
    above it: the versions that differ, files that were skipped.
    """
    shown, unchanged = sorted_out(verdicts)
    found = [line for each in notes for line in wrapped(each)]
    found += _grouped([each for each, _ in shown])
    for who, says in _notes(shown):
        together = wrapped(f"{who}: {'; '.join(says)}")
        if len(together) == 1 and len(says) <= AT_ONCE:
            found += together
        else:
            found += wrapped(f"{who}:")
            found += [line for each in says for line in wrapped(each, indent=4)]
    rest = (*unchanged, *remarks(verdicts), counts(verdicts))
    return found + [line for each in rest for line in wrapped(each)]


def _grouped(shown: Sequence[Verdict]) -> list[str]:
    """Return the rows of verdicts, below a line for each benchmark; its name needs no column."""
    named = [each for each in shown if each.metric != "-"]
    if not named:
        return []
    rows = [[f"  {each.metric}", *cells(each)[2:-1], worded(each)] for each in named]
    header, *aligned = align([[f"  {HEADER[1]}", *HEADER[2:]], *rows], left=(0, 7))
    found = [header]
    for name in dict.fromkeys(short(each.benchmark) for each in named):
        of_it = zip(aligned, named, strict=True)
        found += [name, *(row for row, each in of_it if short(each.benchmark) == name)]
    return found


def _notes(shown: Sequence[tuple[Verdict, int]]) -> Iterator[tuple[str, list[str]]]:
    """Yield for the terminal which verdicts something is said of, and what."""
    more = {id(verdict): number for verdict, number in shown}
    benchmarks = {verdict.benchmark for verdict, _ in shown}
    for about, says in gathered(shown):
        yield _who(about, alone=len(benchmarks) == 1, more=more), says


def _who(about: Sequence[Verdict], *, alone: bool, more: Mapping[int, int]) -> str:
    """Return what some verdicts are about: metrics, and which benchmarks if there are several."""
    metrics: dict[str, list[str]] = {}
    for each in about:
        name = each.outcome.value if each.metric == "-" else each.metric
        metrics.setdefault(short(each.benchmark), []).append(name)
    names: dict[tuple[str, ...], list[str]] = {}
    for benchmark, of_it in metrics.items():
        names.setdefault(tuple(of_it), []).append(benchmark)
    others = max(more[id(each)] for each in about)
    return "; ".join(_named(each, those, others, alone=alone) for each, those in names.items())


def _named(metrics: Sequence[str], benchmarks: Sequence[str], others: int, *, alone: bool) -> str:
    listed = ", ".join(benchmarks[:NAMED])
    others += len(benchmarks[NAMED:])
    if others:
        listed = f"{listed} and {others} more"
    if metrics[0] in set(Outcome):  # nothing was compared
        return f"{metrics[0]} ({listed})"
    says = ", ".join(metrics)
    return says if alone and not others else f"{says} of {listed}"
