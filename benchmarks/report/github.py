"""Verdicts as annotations of GitHub Actions, which are seen without opening a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.text import count, short
from benchmarks.report import verdict_table
from benchmarks.sessions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict

MOST = 10  # of a kind: GitHub shows no more of a step
FINE = frozenset({Outcome.IMPROVED, Outcome.NO_CHANGE})


def lines(
    verdicts: Sequence[Verdict], environment: Mapping[str, str], failures: Iterable[str] = ()
) -> list[str]:
    """Return an annotation for each benchmark with an open verdict; none beyond GitHub Actions.

    Regressions and `failures` are errors, all else is a warning. Benchmarks that share a verdict
    share its annotation.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    found: dict[tuple[str, str], list[str]] = {}
    for why in failures:
        found.setdefault(("error", "FAILED"), []).append(why)
    for verdict, more in verdict_table.sorted_out(verdicts)[0]:
        if verdict.outcome in FINE or verdict.acknowledged is not None:
            continue
        level = "error" if verdict.outcome is Outcome.REGRESSED else "warning"
        found.setdefault((level, short(verdict.benchmark)), []).append(_says(verdict, more))
    kept = []
    for level in ("error", "warning"):
        of_it = [(title, "\n".join(says)) for (each, title), says in found.items() if each == level]
        if len(of_it) > MOST:
            rest = of_it[MOST - 1 :]
            of_it[MOST - 1 :] = [(f"{len(rest)} more", "\n".join(title for title, _ in rest))]
        kept += [annotation(level, says, title) for title, says in of_it]
    return kept


def annotation(level: str, text: str, title: str = "") -> str:
    """Return a command of GitHub Actions, in which nothing of the texts is one."""
    named = f" title={_escaped(title, ':,')}" if title else ""
    return f"::{level}{named}::{_escaped(text)}"


def _says(verdict: Verdict, more: int) -> str:
    """Return a verdict in a line: its figures, and why."""
    _, metric, base, arrow, head, change, interval, _, outcome = verdict_table.cells(verdict)
    figures = f" {base} {arrow} {head}, {change} {interval}" if verdict.change is not None else ""
    shared = f"the same in {count(more, 'more benchmark')}" if more else ""
    why = "; ".join(filter(None, (shared, verdict.detail, *verdict.reasons)))
    what = f"{'' if metric == '-' else metric}{figures}".strip()
    return f"{outcome}{f' {what}' if what else ''}{f': {why}' if why else ''}"


def _escaped(text: str, more: str = "") -> str:
    for mark in ("%", "\r", "\n", *more):
        text = text.replace(mark, f"%{ord(mark):02X}")
    return text
