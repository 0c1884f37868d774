"""The work: what the device does of TTFT and TPOT, kernels by time, and functions by calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import short
from benchmarks.page.figures.kit import BLUE, GREEN, MOST_NAME, ORANGE, Figure, Table, bars
from benchmarks.report import columns
from benchmarks.sessions import measures
from benchmarks.verdicts.reasons import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.sessions.session import Measured, Session

Named = Sequence[tuple[str, Mapping[str, Any]]]
BARS = 12
ROWS = 40  # of the table
LEAST = 0.001  # of a step's device time, before a kernel is said to have changed
TITLES = {"ttft_s": "TTFT", "tpot_s": "TPOT"}
COLOURS = {"base": BLUE, "head": ORANGE}


@dataclass(frozen=True)
class Side:
    """Values by name: all there are, or else the largest."""

    values: Mapping[str, float]
    whole: bool

    def get(self, name: str) -> float | None:
        """Return a value: 0 for what isn't there, if all are; None if it isn't known."""
        return self.values.get(name, 0.0 if self.whole else None)

    def most(self, name: str) -> float:
        """Return a value, or what it is at most: the least of those that are known."""
        return self.values.get(name, 0.0 if self.whole else min(self.values.values(), default=0.0))


Sides = Mapping[str, Side]  # of base and head, or of one that was measured


def split(records: Named) -> Figure | None:
    """Show TTFT and TPOT, each as what the device works and the host's rest; None if unknown."""
    found = [
        (f"{name}, {TITLES[wall]}{columns.mark(info)}", metrics[wall], metrics[f"{phase}_device_s"])
        for name, info in records
        for wall, phase in PHASES.items()
        if (metrics := info["metrics"]).get(wall) and metrics.get(f"{phase}_device_s")
    ]
    if not found:
        return None
    unit = columns.unit("x_s", [wall_s for _, wall_s, _ in found])
    groups, rows = [], []
    for name, wall_s, device_s in found:
        parts = {"device": device_s, "host": max(0.0, wall_s - device_s)}
        texts = {part: columns.text("x_s", value) for part, value in parts.items()}
        groups.append(
            (name, [(part, value / unit.factor, texts[part]) for part, value in parts.items()])
        )
        share = columns.text("x_share", device_s / wall_s)
        rows.append((name, columns.text("x_s", wall_s), texts["device"], share))
    return Figure(
        "Device and host",
        "What the device works of the time to the first token and of a decode step; the rest is "
        "the host's",
        [bars(groups, {"device": GREEN, "host": BLUE}, unit.name, stacked=True)],
        Table(("benchmark", "wall", "device", "busy"), rows),
    )


def compared(base: Session, head: Session) -> list[Figure]:
    """Show the kernels and functions that changed, once for benchmarks that share them."""
    both: dict[str, tuple[Measured, Measured]] = {}
    for name, now in head.measured.items():
        if then := base.measured.get(name):
            both.setdefault(same(then) + same(now), (then, now))
    return [
        figure
        for then, now in both.values()
        for figure in figures(then, now, f" of {short(now.fullname)}")
    ]


def same(measured: Measured) -> str:
    """Return what is equal for benchmarks whose work was measured once, for all of them."""
    return str((measured.device_time, measured.info.get("counters")))


def figures(base: Measured | None, head: Measured, of: str = "") -> Iterator[Figure]:
    """Yield the kernels of a decode step by device time, and the functions by calls, if known."""
    for title, metric, values, least in (
        ("Device time of a decode step, by kernel", "x_s", kernels, LEAST),
        ("Python calls of a decode step, by function", "calls", functions, 0.0),
    ):
        sides = {"base": values(base) if base else None, "head": values(head)}
        measured = {name: side for name, side in sides.items() if side is not None}
        order = _order(measured, least)
        if order:
            lacking = "base" if base and sides["base"] is None else ""
            lacking = "head" if sides["head"] is None else lacking
            yield _figure(f"{title}{of}", metric, measured, order, lacking)


def kernels(measured: Measured) -> Side | None:
    """Return the device time of a decode step by kernel, in seconds; None if not measured."""
    decode = measured.device_time.get("decode")
    if not decode:
        return None
    by_name = {e["name"]: e["device_s"] / decode["steps"] for e in decode["kernels"]["top"]}
    return Side(by_name, whole=not decode["kernels"]["rest"]["names"])


def functions(measured: Measured) -> Side | None:
    """Return the Python calls of a decode step by function; None if they were not counted."""
    calls, steps = measured.calls("decode", "functions"), measures.counted_steps(measured.info)
    if calls is None or steps is None:
        return None
    whole = sum(calls.values()) == measured.counters("decode").get("python_calls")
    return Side({name: number / steps for name, number in calls.items()}, whole)


def _figure(
    title: str, metric: str, sides: Sides, order: Sequence[str], lacking: str = ""
) -> Figure:
    """Show the first of these names as bars. `lacking` is the side that has none."""
    shown = order[:BARS]
    unit = columns.unit(metric, [side.most(name) for name in shown for side in sides.values()])
    groups = [
        (
            name[:MOST_NAME],
            [
                (label, (side.get(name) or 0.0) / unit.factor, _text(metric, side, name))
                for label, side in sides.items()
            ],
        )
        for name in shown
    ]
    says = "Only what changed, the most first" if len(sides) > 1 else "The largest of all"
    says += f"; {lacking}: {columns.UNMEASURED}" if lacking else ""
    colours = {label: COLOURS[label] if len(sides) > 1 else BLUE for label in sides}
    plot = bars(groups, colours, unit.name or "calls")
    return Figure(title, says, [plot], _table(metric, sides, order[:ROWS]))


def _table(metric: str, sides: Sides, names: Sequence[str]) -> Table:
    """Return the values of these names; of two sides, their change as well."""
    rows = []
    for name in names:
        values = [side.get(name) for side in sides.values()]
        change = [_change(*values)] if len(sides) > 1 else []
        texts = (_text(metric, each, name) for each in sides.values())
        rows.append((name[:MOST_NAME], *texts, *change))
    return Table(("name", *sides, *(["change"] if len(sides) > 1 else [])), rows)


def _order(sides: Sides, least: float) -> list[str]:
    """Return all names, the largest value first; of two sides what changed, the most first.

    A change counts if it is more than a share of `least` of all that is known.
    """
    names = {name: None for side in sides.values() for name in side.values}
    if len(sides) < 2:
        return sorted(names, key=lambda name: -max(side.most(name) for side in sides.values()))
    floor = least * max(sum(side.values.values()) for side in sides.values())
    changes = {name: _moved(name, *sides.values()) for name in names}
    return sorted((name for name in names if changes[name] > floor), key=lambda n: -changes[n])


def _moved(name: str, base: Side, head: Side) -> float:
    """Return by how much a value changed at least: one that isn't known may be the same."""
    before, after = base.get(name), head.get(name)
    if before is None:
        return max(0.0, (after or 0.0) - base.most(name))
    if after is None:
        return max(0.0, before - head.most(name))
    return abs(after - before)


def _text(metric: str, side: Side, name: str) -> str:
    value = side.get(name)
    found = side.most(name) if value is None else value
    says = columns.text(metric, found) if metric == "x_s" else f"{found:,.6g}"
    return f"at most {says}" if value is None else says


def _change(before: float | None, after: float | None) -> str:
    return columns.change(after / before - 1 if before and after is not None else None)
