"""What a person reads of verdicts: a line for each that matters, then what was counted.

The same facts in the same order for a terminal and, as Markdown, for a pull request.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from benchmarks.common.text import align, count, duration, percent, short, size
from benchmarks.report.columns import UNMEASURED
from benchmarks.sessions.outcome import COMPARED, WORK, Cause, Outcome, Verdict, host_and_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ORDER = (
    Outcome.REGRESSED,
    Outcome.INVALID,
    Outcome.NOT_COMPARABLE,
    Outcome.MISSING,
    Outcome.INCONCLUSIVE,
    Outcome.IMPROVED,
    Outcome.NO_CHANGE,
)
HEADER = ("benchmark", "metric", "base", "", "current", "change", "interval", "p", "verdict")
FIGURES = {"counter": "counter", "memory": "memory figure", "agreement": "agreement figure"}
TIMED = {"time": "time", "device": "device time"}
DEVICE_DIGITS = 5  # of device time, which varies by a hundredth of a percent
MOST = 60  # rows of Markdown: a comment on GitHub holds 65,536 characters
JOINER = "\N{WORD JOINER}"  # within names and addresses, so that nothing is mentioned or linked


def lines(verdicts: Sequence[Verdict], notes: Sequence[str] = ()) -> list[str]:
    """Return the table for a terminal: work above the wall, and of each regressions first.

    Reasons are below their line, counts at the end. `notes` come above it: the versions that
    differ, files that were skipped.
    """
    shown, unchanged = sorted_out(verdicts)
    rows = align([HEADER, *(cells(each) for each, _ in shown)], left=(0, 1, 8)) if shown else []
    found = [*notes, *together(verdicts), *rows[:1]]
    below = all_below(shown)
    for row, says, after in zip(rows[1:], below, [*below[1:], []], strict=False):
        found += [row] if says == after else [row, *(f"    {each}" for each in says)]
    return [*found, *unchanged, *remarks(verdicts), counts(verdicts)]


def markdown(
    verdicts: Sequence[Verdict], notes: Sequence[str] = (), *, title: str = "Benchmarks"
) -> str:
    """Return the same as Markdown, for a pull request: what is unchanged is folded away."""
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


def counts(verdicts: Sequence[Verdict]) -> str:
    """Return how many figures were compared, and what came of all of them, in one line."""
    numbers = Counter(each.outcome for each in verdicts)
    compared = sum(numbers[outcome] for outcome in COMPARED)
    passed = Counter(each.outcome for each in verdicts if each.acknowledged is not None)
    of_them = {each: f" ({number} acknowledged)" for each, number in passed.items()}
    why = Counter(each.cause for each in verdicts if each.outcome is Outcome.MISSING)
    kinds = ", ".join(f"{why[cause]} {cause}" for cause in Cause if why[cause])
    return (
        f"{compared or 'nothing'} compared: {numbers[Outcome.REGRESSED]} regressed"
        f"{of_them.get(Outcome.REGRESSED, '')}, "
        f"{numbers[Outcome.IMPROVED]} improved, {numbers[Outcome.NO_CHANGE]} unchanged, "
        f"{numbers[Outcome.INCONCLUSIVE]} inconclusive{of_them.get(Outcome.INCONCLUSIVE, '')}; "
        f"{numbers[Outcome.MISSING]} missing{f' ({kinds})' if kinds else ''}, "
        f"{numbers[Outcome.NOT_COMPARABLE]} not comparable, {numbers[Outcome.INVALID]} invalid"
    )


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


def sorted_out(verdicts: Sequence[Verdict]) -> tuple[list[tuple[Verdict, int]], list[str]]:
    """Return what has a line, each with how many other benchmarks share it, and what has none.

    Benchmarks of one model share their counters, and all share that the machine is another one.
    """
    quiet = [each for each in verdicts if _is_quiet(each)]
    shared: dict[Verdict, list[Verdict]] = {}
    for each in worst_first(verdicts):
        if not _is_quiet(each):
            alone = each.kind == "time" and each.outcome is not Outcome.INVALID
            shared.setdefault(each if alone else replace(each, benchmark=""), []).append(each)
    return [(group[0], len(group) - 1) for group in shared.values()], _unchanged(quiet)


def worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return verdicts in the order in which they are listed."""
    return sorted(verdicts, key=_rank)


def together(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line on host and device for each benchmark, or one for all that have the same."""
    said: dict[str, list[str]] = {}
    for name in dict.fromkeys(each.benchmark for each in verdicts):
        of_it = [each for each in verdicts if each.benchmark == name]
        if says := host_and_device(of_it):
            said.setdefault(says, []).append(short(name))
    return [f"{_all(names)}: {says}" for says, names in said.items()]


def _all(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} benchmarks, each"


def _unchanged(quiet: Sequence[Verdict]) -> list[str]:
    """Return a line for each benchmark, or one for all that have the same to say."""
    said: dict[str, list[str]] = {}
    for name in dict.fromkeys(each.benchmark for each in quiet):
        number = Counter(each.kind for each in quiet if each.benchmark == name)
        kinds = [count(number[kind], what) for kind, what in FIGURES.items() if number[kind]]
        said.setdefault(", ".join(kinds), []).append(short(name))
    return [f"{_all(names)}: {kinds} unchanged" for kinds, names in said.items()]


def _is_quiet(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.NO_CHANGE and verdict.kind in FIGURES and not verdict.detail


def _rank(verdict: Verdict) -> tuple[bool, int, bool, float, str, str]:
    """Return what lines are sorted by: work or wall, the outcome, what is open, and the change."""
    change = float("inf") if verdict.change is None else verdict.change
    passes = verdict.acknowledged is not None or not verdict.suspicious
    return (
        verdict.kind not in WORK,
        ORDER.index(verdict.outcome),
        passes,
        -change,
        verdict.benchmark,
        verdict.metric,
    )


def all_below(shown: Sequence[tuple[Verdict, int]]) -> list[list[str]]:
    """Return what is said below each line; reasons once, where several times of one have them."""
    said: set[tuple[str, str]] = set()
    found = []
    for verdict, more in shown:
        new = [each for each in verdict.reasons if (verdict.benchmark, each) not in said]
        said |= {(verdict.benchmark, each) for each in new}
        found.append([*_below(verdict, more), *new])
    return found


def _below(verdict: Verdict, more: int) -> Iterator[str]:
    """Yield what is said below a line: why, what to do, and who shares it."""
    yield from _why(verdict)
    if more:
        yield f"the same in {count(more, 'more benchmark')}"


def _why(verdict: Verdict) -> Iterator[str]:
    if verdict.acknowledged is not None:
        yield f"acknowledged: {verdict.acknowledged}"
    if verdict.detail and not _is_plain(verdict):
        yield verdict.detail


def _reasons(rows: Sequence[tuple[Verdict, int]]) -> Iterator[str]:
    """Yield lists in Markdown: verdicts, and below them what is said of all of these, once."""
    said: dict[str, list[str]] = {}
    for verdict, _ in rows:
        name = f"{_code(short(verdict.benchmark))} {_code(verdict.metric)}"
        for each in dict.fromkeys((*_why(verdict), *verdict.reasons)):
            said.setdefault(each, []).append(name)
    of_all: dict[str, list[str]] = {}
    for each, names in said.items():
        of_all.setdefault(", ".join(names), []).append(each)
    for verdicts, texts in of_all.items():
        yield "\n".join([f"- {verdicts}", *(f"  - {text(each)}" for each in texts)])


def _is_plain(verdict: Verdict) -> bool:
    """Whether it is a time without a change, of which the interval says all there is to say."""
    if verdict.outcome is not Outcome.NO_CHANGE or verdict.kind not in TIMED:
        return False
    low, high = verdict.low or 0.0, verdict.high or 0.0
    return low <= 0 <= high and verdict.cause is None


def remarks(verdicts: Sequence[Verdict]) -> list[str]:
    """Return what is to be known of unchanged times without an interval, each once."""
    plain = [each for each in verdicts if _is_plain(each) and each.p is None]
    said = Counter((TIMED[each.kind], each.detail) for each in plain)
    return [f"{count(number, what)} unchanged: {says}" for (what, says), number in said.items()]


def cells(verdict: Verdict) -> list[str]:
    """Return the cells of a verdict, in the order of `HEADER`."""
    sides = [
        _lacking(verdict, side) if each is None else _value(verdict, each)
        for side, each in ((Cause.NEW, verdict.base), (Cause.GONE, verdict.head))
    ]
    interval = ""
    if verdict.low is not None and verdict.high is not None:
        interval = f"[{_percent(verdict, verdict.low)}, {_percent(verdict, verdict.high)}]"
    p = "" if verdict.p is None else "<0.001" if verdict.p < 0.001 else f"{verdict.p:.3f}"
    return [
        short(verdict.benchmark),
        verdict.metric,
        sides[0],
        "->",
        sides[1],
        "-" if verdict.change is None else f"{_percent(verdict, verdict.change)} %",
        interval,
        p,
        verdict.outcome.value,
    ]


def _lacking(verdict: Verdict, cause: Cause) -> str:
    """Return what stands in place of a value that a side of a compared metric hasn't."""
    return UNMEASURED if verdict.cause is cause and verdict.metric != "-" else "-"


def _value(verdict: Verdict, value: float) -> str:
    if verdict.kind in TIMED:
        return duration(value, DEVICE_DIGITS if verdict.kind == "device" else 3)
    if verdict.kind == "memory":
        return size(value)
    return percent(value) if verdict.kind == "agreement" else f"{value:,.0f}"


def _percent(verdict: Verdict, share: float) -> str:
    return f"{100 * share:+.{2 if verdict.kind == 'device' else 1}f}"


def _table(rows: Sequence[tuple[Verdict, int]]) -> str:
    kept = [HEADER, ("---",) * len(HEADER)]
    found = ["| " + " | ".join(row) + " |" for row in kept]
    for verdict, more in rows[:MOST]:
        name, metric, *figures = cells(verdict)
        who = f"{_code(name)} and {more} more" if more else _code(name)
        found.append("| " + " | ".join([who, _code(metric), *map(text, figures)]) + " |")
    if len(rows) > MOST:
        found.append(f"| … and {len(rows) - MOST} more |" + " |" * (len(HEADER) - 1))
    return "\n".join(found)


def _code(words: str) -> str:
    """Return words as a code span, in which nothing is markup; also within a table."""
    plain = " ".join(words.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""
