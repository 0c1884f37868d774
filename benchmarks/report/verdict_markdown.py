"""Verdicts as Markdown, for a pull request: nothing in names and reasons is markup."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from benchmarks.common.text import short
from benchmarks.report.verdict_table import (
    HEADER,
    cells,
    counts,
    gathered,
    remarks,
    sorted_out,
    together,
    worded,
)
from benchmarks.sessions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.sessions.outcome import Verdict

MOST = 60  # rows: a comment on GitHub holds 65,536 characters
JOINER = "\N{WORD JOINER}"  # within names and addresses, so that nothing is mentioned or linked


def markdown(
    verdicts: Sequence[Verdict], notes: Sequence[str] = (), *, title: str = "Benchmarks"
) -> str:
    """Return what the terminal shows as Markdown; what is unchanged is folded away."""
    shown, unchanged = sorted_out(verdicts)
    loud = [each for each in shown if each[0].outcome is not Outcome.NO_CHANGE]
    quiet = [each for each in shown if each[0].outcome is Outcome.NO_CHANGE]
    above = (*notes, *together(verdicts))
    parts = [f"### {text(title)}", text(counts(verdicts)), *map(text, above)]
    if loud:
        parts.append(_table(loud))
        parts += _reasons(loud[:MOST])
    folded = [_table(quiet)] if quiet else []
    folded += [text(each) for each in (*unchanged, *remarks(verdicts))]
    if folded:
        parts += ["<details><summary>unchanged</summary>", *folded, "</details>"]
    return "\n\n".join(parts) + "\n"


def text(words: str) -> str:
    """Return words as Markdown shows them: nothing in them is markup, a link or a mention."""
    plain = " ".join(words.split())
    for mark in "@#":
        plain = plain.replace(mark, f"{mark}{JOINER}")
    plain = plain.replace("://", f":{JOINER}//").replace("www.", f"www{JOINER}.")
    plain = escape(plain, quote=False)
    for mark in "\\`*_[]|~":
        plain = plain.replace(mark, f"&#{ord(mark)};")
    return plain


def _reasons(rows: Sequence[tuple[Verdict, int]]) -> Iterator[str]:
    """Yield lists in Markdown: verdicts, and below them what is said of all of these, once."""
    for about, says in gathered(rows):
        names = ", ".join(f"{_code(short(each.benchmark))} {_code(each.metric)}" for each in about)
        yield "\n".join([f"- {names}", *(f"  - {text(each)}" for each in says)])


def _table(rows: Sequence[tuple[Verdict, int]]) -> str:
    kept = [HEADER, ("---",) * len(HEADER)]
    found = ["| " + " | ".join(row) + " |" for row in kept]
    for verdict, more in rows[:MOST]:
        name, metric, *figures, _ = cells(verdict)
        figures.append(worded(verdict))
        who = f"{_code(name)} and {more} more" if more else _code(name)
        found.append("| " + " | ".join([who, _code(metric), *map(text, figures)]) + " |")
    if len(rows) > MOST:
        found.append(f"| … and {len(rows) - MOST} more |" + " |" * (len(HEADER) - 1))
    return "\n".join(found)


def _code(words: str) -> str:
    """Return words as a code span, in which nothing is markup; also within a table."""
    plain = " ".join(words.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""
