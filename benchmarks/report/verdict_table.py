"""What a person reads of verdicts: which of them, in which order, as which cells, and why.

`verdict_lines`, `verdict_markdown` and the page show it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.common import text as texts
from benchmarks.common.text import count, duration, least, number, short, size
from benchmarks.report import columns
from benchmarks.report.columns import UNMEASURED
from benchmarks.sessions import measures
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
LARGE = 0.02  # a change that looks like one, whatever its interval
ACKNOWLEDGED = "acknowledged: "
GAP = "\0"  # in place of a limit, in reasons that differ in nothing else
DEVICE_DIGITS = 5  # of device time, which varies by a hundredth of a percent


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


def sorted_out(verdicts: Sequence[Verdict]) -> tuple[list[tuple[Verdict, int]], list[str]]:
    """Return what has a line, each with how many other benchmarks share it, and what has none.

    Benchmarks of one model share their counters, and all share that the machine is another one.
    """
    quiet = [each for each in verdicts if is_quiet(each)]
    shared: dict[Verdict, list[Verdict]] = {}
    for each in worst_first(verdicts):
        if not is_quiet(each):
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


def is_quiet(verdict: Verdict) -> bool:
    """Whether a figure is the same, or differs by less than is shown of it."""
    if verdict.outcome is not Outcome.NO_CHANGE or verdict.kind not in FIGURES:
        return False
    _, _, base, _, head, *_ = cells(verdict)
    return not verdict.detail or (verdict.limit is not None and base == head)


def _rank(verdict: Verdict) -> tuple[bool, int, bool, float, str, str]:
    """Return what lines are sorted by: work or wall, the outcome, what is open, and the change."""
    change = float("inf") if verdict.change is None else abs(verdict.change)
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
    """Return the texts below each line; a reason that several times of a benchmark share, once."""
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
        yield ACKNOWLEDGED + verdict.acknowledged
    says_all = verdict.kind in FIGURES and worded(verdict) != verdict.outcome.value
    if verdict.detail and not _is_plain(verdict) and not says_all:
        yield verdict.detail


def gathered(rows: Sequence[tuple[Verdict, int]]) -> list[tuple[list[Verdict], list[str]]]:
    """Return each clause of a reason once, with its verdicts; those of the same verdicts together.

    Clauses that differ in their limit alone are one, with the range of the limits.
    """
    said: dict[str, list[Verdict]] = {}
    for verdict, _ in rows:
        clauses = (clause for each in _why(verdict) for clause in _clauses(each))
        why = map(partial(_template, verdict), clauses)
        for each in dict.fromkeys((*why, *verdict.reasons)):
            said.setdefault(each, []).append(verdict)
    of_all: dict[tuple[int, ...], tuple[list[Verdict], list[str]]] = {}
    for each, about in said.items():
        key = tuple(map(id, about))
        of_all.setdefault(key, (about, []))[1].append(_filled(each, about))
    return list(of_all.values())


def _clauses(reason: str) -> list[str]:
    """Return the clauses of a reason; what a user wrote stays whole."""
    return [reason] if reason.startswith(ACKNOWLEDGED) else reason.split("; ")


def _template(verdict: Verdict, reason: str) -> str:
    """Return a reason with a gap for the limit of its verdict."""
    return reason if verdict.limit is None else reason.replace(least(verdict.limit), GAP, 1)


def _filled(reason: str, about: Sequence[Verdict]) -> str:
    if GAP not in reason:
        return reason
    low, high = (least(f(each.limit or 0.0 for each in about)) for f in (min, max))
    return reason.replace(GAP, high if low == high else f"{low.removesuffix(' %')} to {high}")


def _is_plain(verdict: Verdict) -> bool:
    """Whether it is a time without a change whose interval says everything."""
    if verdict.outcome is not Outcome.NO_CHANGE or verdict.kind not in TIMED:
        return False
    low, high = verdict.low or 0.0, verdict.high or 0.0
    return low <= 0 <= high and verdict.cause is None


def remarks(verdicts: Sequence[Verdict]) -> list[str]:
    """Return remarks on unchanged times that have no interval, each once."""
    plain = [each for each in verdicts if _is_plain(each) and each.p is None]
    said = Counter((TIMED[each.kind], each.detail) for each in plain)
    return [f"{count(number, what)} unchanged: {says}" for (what, says), number in said.items()]


def cells(verdict: Verdict) -> list[str]:
    """Return the cells of a verdict, in the order of `HEADER`; a counter's are of one step."""
    sides = [
        _lacking(verdict, side) if each is None else _value(verdict, each)
        for side, each in ((Cause.NEW, verdict.base), (Cause.GONE, verdict.head))
    ]
    interval = ""
    if verdict.low is not None and verdict.high is not None:
        share = verdict.change or 0.0
        interval = texts.interval(verdict.low, verdict.high, share, _digits(verdict))
    p = "" if verdict.p is None else "<0.001" if verdict.p < 0.001 else f"{verdict.p:.3f}"
    return [
        short(verdict.benchmark),
        verdict.metric,
        sides[0],
        "->",
        sides[1],
        _change(verdict),
        interval,
        p,
        verdict.outcome.value,
    ]


def worded(verdict: Verdict) -> str:
    """Return the outcome, with the limit that makes sense of NO CHANGE beside a change."""
    if verdict.outcome is not Outcome.NO_CHANGE or not verdict.change:
        return verdict.outcome.value
    if verdict.cause is Cause.CHANCE:
        return f"{verdict.outcome.value} (may be chance)"
    low, high = verdict.low, verdict.high
    explained = low is not None and high is not None and low <= 0 <= high
    if verdict.limit is None or (explained and abs(verdict.change) < LARGE):
        return verdict.outcome.value
    return f"{verdict.outcome.value} (below {least(verdict.limit)})"


def _lacking(verdict: Verdict, cause: Cause) -> str:
    """Return what stands in place of a value that a side of a compared metric hasn't."""
    return UNMEASURED if verdict.cause is cause and verdict.metric != "-" else "-"


def _value(verdict: Verdict, value: float) -> str:
    rate = verdict.kind == "time" and measures.unit(verdict.metric) != "s"  # of a history
    if rate or verdict.kind == "agreement":
        return columns.text(verdict.metric, value)
    if verdict.kind in TIMED:
        return duration(value, DEVICE_DIGITS if verdict.kind == "device" else 3)
    if verdict.kind == "memory":
        return size(value)
    return number(value / (verdict.steps or 1))


def _digits(verdict: Verdict) -> int:
    return 2 if verdict.kind == "device" else 1


def _change(verdict: Verdict) -> str:
    """Return the change in percent; that of a counter in calls if a percentage says nothing."""
    says = texts.change(verdict.change, _digits(verdict))
    if verdict.kind != "counter" or verdict.base is None or verdict.head is None:
        return says
    gained = (verdict.head - verdict.base) / (verdict.steps or 1)
    if gained and says in ("-", "+0.0 %", "-0.0 %"):
        return f"{'+' if gained > 0 else '-'}{number(abs(gained))}"
    return says
