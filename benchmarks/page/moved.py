"""What moved between two sessions beside the times: versions, counters, operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.text import short
from benchmarks.page.facts import number
from benchmarks.page.figures.kit import MOST_NAME, Table
from benchmarks.report import columns
from benchmarks.report.columns import UNMEASURED
from benchmarks.sessions import comparable, measures

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from benchmarks.sessions.session import Measured, Session

COUNTED = "Other counters of the prefill, or of a decode step, that changed"
CALLED = "Operators that the prefill, or a decode step, calls more or less often"
PHASES = ("decode", "prefill")
OPERATORS = 12  # that gained or lost, for each benchmark and phase


def tables(
    base: Session, head: Session, said: Collection[tuple[str, str]] = ()
) -> list[tuple[str, Table]]:
    """Return a table for each kind of thing that moved, with its title.

    `said` are benchmark and metric of what a verdict says, which isn't said again.
    """
    found = (
        ("Versions that differ", _versions(base, head)),
        (COUNTED, _counters(base, head, said)),
        (CALLED, _calls(base, head)),
        ("Operators that gained or lost own time in the profile", _own_times(base, head)),
    )
    alone = len({*base.measured, *head.measured}) == 1
    return [(title, _unnamed(table) if alone else table) for title, table in found if table.rows]


def _unnamed(table: Table) -> Table:
    """Return a table without the benchmark's name, if it is the only one: the page has it above."""
    if table.columns[0] != "benchmark":
        return table
    left = tuple(each - 1 for each in table.left if each)
    return Table(table.columns[1:], [row[1:] for row in table.rows], left)


def _versions(base: Session, head: Session) -> Table:
    changed = comparable.changed(base.software, head.software)
    rows = [
        (name, *("unknown" if each is None else str(each) for each in sides))
        for name, sides in changed.items()
    ]
    return Table(("package", "base", "head"), rows, left=(0, 1, 2))


def _counters(base: Session, head: Session, said: Collection[tuple[str, str]]) -> Table:
    rows = []
    for name, then, now in _both(base, head):
        before, after = (_counted(each) for each in (then, now))
        if bool(before) != bool(after):
            says = ("counted" if each else UNMEASURED for each in (before, after))
            rows.append((name, "all", *says, "-"))
            continue
        for counter in {**before, **after}:
            old, new = before.get(counter), after.get(counter)
            if old != new and (name, counter) not in said:
                rows.append((name, counter, *_numbers(old, new)))
    return Table(("benchmark", "counter", "base", "head", "change"), rows, left=(0, 1))


def _calls(base: Session, head: Session) -> Table:
    """List the operators whose number of calls changed most."""
    rows = []
    for name, then, now in _both(base, head):
        for phase in PHASES:
            steps = _steps(now, phase)
            if steps is None or _steps(then, phase) != steps:
                continue
            changed = comparable.changed_calls(then, now, phase)
            changed.sort(key=lambda change: -abs(change[2] - change[1]))
            rows += [
                (name, phase, operator[:MOST_NAME], *_numbers(before / steps, after / steps))
                for operator, before, after in changed[:OPERATORS]
            ]
    return Table(("benchmark", "phase", "operator", "base", "head", "change"), rows, left=(0, 1, 2))


def _own_times(base: Session, head: Session) -> Table:
    """List the operators whose own time, on the device if there is one, changed most."""
    rows = []
    for name, *sides in _both(base, head):
        for phase in PHASES:
            before, after = (_times(each.profile.get(phase)) for each in sides)
            shared = [each for each in before if after.get(each, before[each]) != before[each]]
            shared.sort(key=lambda each: -abs(after[each] - before[each]))
            rows += [
                (
                    name,
                    phase,
                    each[:MOST_NAME],
                    columns.text("x_s", before[each]),
                    columns.text("x_s", after[each]),
                    columns.change(after[each] / before[each] - 1 if before[each] else None),
                )
                for each in shared[:OPERATORS]
            ]
    return Table(("benchmark", "phase", "operator", "base", "head", "change"), rows, left=(0, 1, 2))


def _times(profile: Mapping[str, Any] | None) -> dict[str, float]:
    operators = profile["operators"] if profile else []
    device = any(each["self_device_s"] for each in operators)
    field = "self_device_s" if device else "self_host_s"
    return {each["name"]: each[field] for each in operators}


def _both(base: Session, head: Session) -> list[tuple[str, Measured, Measured]]:
    """Return short name and records of the benchmarks that both sides have."""
    return [
        (short(name), base.measured[name], measured)
        for name, measured in head.measured.items()
        if name in base.measured
    ]


def _counted(measured: Measured) -> dict[str, float]:
    """Return the counters of prefill and decode step; operators and functions are shown apart."""
    return {
        f"{phase}.{name}": count / steps
        for phase in reversed(PHASES)
        if (steps := _steps(measured, phase))
        for name, count in measured.counters(phase).items()
        if not name.endswith("_bytes")  # a peak is judged as memory
    }


def _steps(measured: Measured, phase: str) -> int | None:
    """Return over how many steps a phase was counted; None if that isn't known."""
    return measures.counted_steps(measured.info) if phase == "decode" else 1


def _numbers(old: float | None, new: float | None) -> tuple[str, str, str]:
    share = new / old - 1 if old and new is not None else None
    before, after = (UNMEASURED if each is None else number(each) for each in (old, new))
    return before, after, columns.change(share)
