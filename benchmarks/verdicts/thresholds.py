"""Limits of one's own for benchmarks and metrics: benchmarks/thresholds.toml."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import COMPARED
from benchmarks.verdicts import entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.verdicts.times import Limits, Timing

FILE = Path(__file__).parents[1] / "thresholds.toml"
TABLE = "threshold"
TOLERANCE = "tolerance"  # of counters and memory; the others are of times
# Each is at most as large as those after it, or nothing could come of the later one.
ORDERS = (("floor", "equivalence"), ("floor", "doubt", "gross"))
OF_TIMES = ("floor", "equivalence", "doubt", "gross", "blind")
BY_KIND = {
    **dict.fromkeys(("time", "device"), OF_TIMES),
    **dict.fromkeys(("counter", "memory"), (TOLERANCE,)),
}
EXPECTED = {
    **entries.PATTERNS,
    **{f"{name}_percent": "a number from 0 on, as in 2.5" for name in (*OF_TIMES, TOLERANCE)},
    "reason": "a text that says why the usual limits don't fit",
}
OPTIONAL = [key for key in EXPECTED if key.endswith("_percent")]


def read(path: Path) -> tuple[Threshold, ...]:
    """Return the thresholds of a file, in its order; none if there is no file.

    Raises InputError, in one line that names the entry and the key, for anything that isn't
    understood, and for limits that contradict each other.
    """
    return tuple(_threshold(where, entry) for where, entry in entries.read(path, TABLE))


def _threshold(where: str, entry: Mapping[str, Any]) -> Threshold:
    entries.check(where, entry, EXPECTED, _fits, OPTIONAL)
    given = {key.removesuffix("_percent"): entry[key] / 100 for key in OPTIONAL if key in entry}
    if not given:
        raise InputError(f"{where}: expected one of {', '.join(OPTIONAL)}; got none; add a limit")
    for order in ORDERS:
        for less, more in combinations(order, 2):
            if less in given and more in given and given[less] > given[more]:
                raise InputError(
                    f"{where}: expected {less}_percent of at most {more}_percent; got "
                    f"{100 * given[less]:g} and {100 * given[more]:g}"
                )
    return Threshold(entry["benchmark"], entry["metric"], given, entry["reason"].strip())


def _fits(key: str, value: Any) -> bool:
    return entries.is_number(value) if key in OPTIONAL else entries.is_text(value)


@dataclass(frozen=True)
class Threshold:
    """Limits in place of the usual ones, as shares, and why."""

    pattern: str  # of full names of benchmarks; * and ? are wild, brackets are brackets
    metric: str  # a pattern as well
    given: Mapping[str, float]  # by name of the limit
    reason: str

    def covers(self, benchmark: str, metric: str) -> bool:
        """Whether it speaks of this benchmark and metric."""
        return entries.covers(self.pattern, self.metric, benchmark, metric)

    @property
    def of_times(self) -> dict[str, float]:
        """The limits of times alone."""
        return {name: value for name, value in self.given.items() if name != TOLERANCE}

    def applied(self, usual: Limits) -> Limits:
        """Return the usual limits with its own; those that it doesn't give make room for them."""
        known = {**asdict(usual), **self.of_times}
        for order in ORDERS:
            for n, name in enumerate(order):
                if name not in self.given:
                    least = [self.given[each] for each in order[:n] if each in self.given]
                    most = [self.given[each] for each in order[n + 1 :] if each in self.given]
                    known[name] = min([max([known[name], *least]), *most])
        return replace(usual, **known)


def of_timing(known: Sequence[Threshold], timing: Timing, *, at_least: bool = False) -> Timing:
    """Return a time with the limits of the first threshold for it that has some.

    `at_least`: none becomes smaller than it is, as on another card, which moves it by itself.
    """
    for each in known:
        if each.of_times and each.covers(timing.benchmark, timing.metric):
            own = each.applied(timing.limits)
            if at_least:
                own = type(own)(*map(max, astuple(timing.limits), astuple(own)))
            return replace(timing, limits=own)
    return timing


def tolerance(known: Sequence[Threshold], benchmark: str, metric: str) -> float | None:
    """Return from which relative change of a counter or of memory on something is said."""
    for each in known:
        if TOLERANCE in each.given and each.covers(benchmark, metric):
            return each.given[TOLERANCE]
    return None


def told(verdict: Verdict, known: Sequence[Threshold]) -> Verdict:
    """Return a verdict that says which limits of one's own decided it, if some did."""
    if (found := _decided(verdict, known)) is None:
        return verdict
    each, names = found
    says = f"by a threshold of yours: {_shown(each, names)} ({each.reason})"
    return replace(verdict, detail=f"{verdict.detail}; {says}" if verdict.detail else says)


def notes(known: Sequence[Threshold], verdicts: Sequence[Verdict]) -> list[str]:
    """Return for how many verdicts each threshold was used, and which seem to be mistyped."""
    decided = [_decided(each, known) for each in verdicts]
    lines = []
    for each in known:
        used = sum(found is not None and found[0] is each for found in decided)
        lines.append(
            f"threshold of yours, {_shown(each, each.given)} for {each.metric} of {each.pattern} "
            f"({each.reason}): {used} of {len(verdicts)} verdicts"
        )
        if line := entries.mistyped(TABLE, each.pattern, each.metric, verdicts):
            lines.append(line)
    return lines


def _shown(threshold: Threshold, names: Iterable[str]) -> str:
    return ", ".join(f"{name} {100 * threshold.given[name]:g} %" for name in names)


def _decided(verdict: Verdict, known: Sequence[Threshold]) -> tuple[Threshold, list[str]] | None:
    """Return the threshold that a verdict is by, and its limits that count for it."""
    if verdict.outcome not in COMPARED:
        return None
    for each in known:
        given = [name for name in BY_KIND.get(verdict.kind, ()) if name in each.given]
        if given and each.covers(verdict.benchmark, verdict.metric):
            return each, given
    return None
