"""Why times can't be trusted, in a user's words: one line for each cause. Pure.

What was found travels as `bounds.Finding`; it becomes text here, where it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.common.text import COLUMNS
from benchmarks.machine.bounds import ABOUT, Cause, Finding

PREFIX = "INVALID: "
# What other causes show as well, and a slower machine in its rounds: said only if nothing else is.
SYMPTOMS = {Cause.SLOWER: 1, Cause.UNSTEADY: 2}
# A process that its own quota or threads hold back waits for cores as one beside others does.
EXPLAINED = {Cause.OTHER_PROGRAMS: {Cause.QUOTA, Cause.THREADS}}
UNKNOWN = "the machine couldn't be trusted"

Judged = Mapping[str, Any] | None  # validity, as a record has it; None if nothing was timed


@dataclass(frozen=True)
class Doubt:
    """One cause, the benchmarks that it touched, and the finding that words it."""

    finding: Finding  # the worst of its reading
    benchmarks: tuple[str, ...]
    varies: bool = False  # the finding is of several values

    @property
    def says(self) -> str:
        """The cause in a user's words, with its figure."""
        return _words(self.finding, "up to " if self.varies else "")

    @property
    def next_step(self) -> str:
        """What to do."""
        step: str = ABOUT[self.finding.reading]["next_step"]
        return step

    @property
    def of_the_machine(self) -> bool:
        """Whether more is known than that rounds differed, for which the code may be the cause."""
        return ABOUT[self.finding.reading]["cause"] is not Cause.UNSTEADY

    @property
    def is_busy(self) -> bool:
        """Whether other programs used the machine, or its GPU."""
        return ABOUT[self.finding.reading]["cause"] in (Cause.OTHER_PROGRAMS, Cause.GPU_SHARED)

    def line(self, total: int) -> str:
        """Return the cause, the benchmarks, of so many in all, and the next step."""
        return self._line(total, PREFIX, f"; {self.next_step}")

    def again(self, total: int) -> str:
        """Return why benchmarks were measured again."""
        return self._line(total, "measured again: ", "")

    def _line(self, total: int, before: str, after: str) -> str:
        """Put it together, with what fits of the benchmarks' names and of the details."""
        touched = len(self.benchmarks)
        counted = "the benchmark" if total == 1 else f"{touched} of {total} benchmarks"
        detail = f" ({self.finding.detail})" if self.finding.detail else ""
        if len(f"{before}{self.says}{detail} ({counted}){after}") > COLUMNS:
            detail = ""
        room = COLUMNS - len(f"{before}{self.says}{detail} (){after}")
        names = f"all {total} benchmarks" if 1 < total == touched else ""
        names = names or some(self.benchmarks, room) or counted
        return f"{before}{self.says}{detail} ({names}){after}"


def findings(judged: Judged) -> list[Finding]:
    """Return what a record's validity found; nothing for one of an older release, or another."""
    found = [
        Finding(
            str(each["reading"]),
            float(each["value"]),
            float(each["bound"]),
            str(each.get("detail") or ""),
        )
        for each in (judged or {}).get("findings") or ()
    ]
    return found if all(each.reading in ABOUT for each in found) else []


def sum_up(judged: Iterable[tuple[str, Judged]]) -> list[Doubt]:
    """Return each cause once, with the benchmarks that it touched; `judged` has their names."""
    touched: dict[Cause, dict[str, list[Finding]]] = {}
    for name, validity in judged:
        for cause, found in _causes(findings(validity)).items():
            touched.setdefault(cause, {}).setdefault(name, []).extend(found)
    return [_doubt(touched[cause]) for cause in Cause if cause in touched]


def of_one(judged: Judged) -> list[str]:
    """Return why one benchmark can't be trusted: each cause with its next step.

    A record of an older release has its reasons as text.
    """
    judged = judged or {}
    if judged.get("valid") is not False:
        return []
    told = [f"{each.says}; {each.next_step}" for each in sum_up([("", judged)])]
    return told or list(judged.get("reasons") or [UNKNOWN])


def in_short(judged: Judged) -> list[str]:
    """Return the same without next steps."""
    told = [each.says for each in sum_up([("", judged)])]
    return told or [each.partition(";")[0] for each in of_one(judged)] or [UNKNOWN]


def again(refused: Sequence[tuple[str, Judged]], total: int) -> list[str]:
    """Return the line that says why rounds were measured again; nothing if none were."""
    names = tuple(dict.fromkeys(name for name, _ in refused))
    return [replace(each, benchmarks=names).again(total) for each in sum_up(refused)[:1]]


def sentence(found: Sequence[Doubt], *, all_times: bool) -> str:
    """Return in one sentence that times can't be trusted, why, and what to do.

    The cause that touched most benchmarks stands for all.
    """
    which = "This run's times" if all_times else "Times marked !"
    first = max(found, key=lambda each: len(each.benchmarks))
    others = len(found) - 1
    more = f" (and {others} other cause{'s' * (others > 1)})" if others else ""
    before, after = f"{which} can't be trusted: {first.says}", f"; {first.next_step}."
    return before + (more if len(before + more + after) <= COLUMNS else "") + after


def some(names: Sequence[str], room: int) -> str:
    """Return the names, or as many as there is room for and how many more; empty if none fits."""
    for count in range(len(names), 0, -1):
        more = f" and {len(names) - count} more" if count < len(names) else ""
        if len(text := ", ".join(names[:count]) + more) <= room:
            return text
    return ""


def _causes(found: Sequence[Finding]) -> dict[Cause, list[Finding]]:
    """Return the findings of one benchmark by cause, without the symptoms of another cause."""
    by_cause: dict[Cause, list[Finding]] = {}
    for each in found:
        by_cause.setdefault(ABOUT[each.reading]["cause"], []).append(each)
    deepest = min((SYMPTOMS.get(cause, 0) for cause in by_cause), default=0)
    return {
        cause: each
        for cause, each in by_cause.items()
        if SYMPTOMS.get(cause, 0) <= deepest and not EXPLAINED.get(cause, set()) & by_cause.keys()
    }


def _doubt(touched: Mapping[str, Sequence[Finding]]) -> Doubt:
    """Word a cause by the reading that says most of it, at its worst."""
    found = [each for several in touched.values() for each in several]
    reading = min((each.reading for each in found), key=list(ABOUT).index)
    values = [each for each in found if each.reading == reading]
    worst = max(values, key=lambda each: each.value)
    varies = len(touched) > 1 and len(set(map(_words, values))) > 1
    return Doubt(worst, tuple(touched), varies)


def _words(finding: Finding, upto: str = "") -> str:
    """Return what was found in a user's words, with its figure."""
    value = finding.value
    where = "above" if value > 0 else "below"
    words: str = ABOUT[finding.reading]["says"]
    return words.format(
        share=f"{upto}{_digits(100 * value)} %",
        number=upto + _digits(value),
        degrees=f"{_digits(abs(value))} degrees {where}",
    )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
