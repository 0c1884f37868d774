"""The work as a page shows it: device and host of the wall, kernels, and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.text import short
from benchmarks.page.figures.kit import BLUE, GREEN, MOST_NAME, ORANGE, Figure, Table, bars
from benchmarks.report import columns
from benchmarks.verdicts.reasons import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.sessions.session import Session

    Info = Mapping[str, Any]

BARS = 12
ROWS = 40  # of the table
SHORT = 90  # characters of a name above a bar
TITLES = {"ttft_s": "TTFT", "tpot_s": "TPOT"}
COLOURS = {"base": BLUE, "head": ORANGE}


def split(records: Sequence[tuple[str, Info]]) -> Figure | None:
    """Show TTFT and TPOT, each as what the device worked and the host's rest; None if unknown."""
    found = [
        (f"{name}, {TITLES[wall]}", metrics[wall], metrics[f"{phase}_device_s"])
        for name, info in records
        for wall, phase in PHASES.items()
        if (metrics := info["metrics"]).get(wall) and metrics.get(f"{phase}_device_s")
    ]
    if not found:
        return None
    unit = columns.unit("x_s", [wall_s for _, wall_s, _ in found])
    parts = [
        (name, (("device", device_s), ("host", max(0.0, wall_s - device_s))))
        for name, wall_s, device_s in found
    ]
    groups = [
        (name, [(part, value / unit.factor, columns.text("x_s", value)) for part, value in both])
        for name, both in parts
    ]
    table = Table(
        ("benchmark", "wall", "device", "busy"),
        [
            (
                name,
                columns.text("x_s", wall_s),
                columns.text("x_s", device_s),
                columns.text("x_share", device_s / wall_s),
            )
            for name, wall_s, device_s in found
        ],
    )
    says = "What the device works of the time to the first token and of a decode step; the rest "
    return Figure(
        "Device and host",
        f"{says}is the host's",
        [bars(groups, {"device": GREEN, "host": BLUE}, unit.name, stacked=True)],
        table,
    )


def compared(base: Session, head: Session) -> list[Figure]:
    """Show kernels and functions of both sides, once for benchmarks that share them."""
    seen: set[str] = set()
    found: list[Figure] = []
    for name in head.measured:
        if name in base.measured:
            then, now = base.measured[name].info, head.measured[name].info
            key = same(then) + same(now)
            if key not in seen:
                seen.add(key)
                found += figures(then, now, f" of {short(name)}")
    return found


def same(info: Info) -> str:
    """Return what is equal for benchmarks whose work was measured once, for all of them."""
    return str((info.get("device_time"), info.get("counters")))


def figures(base: Info | None, head: Info, of: str = "") -> Iterator[Figure]:
    """Yield the kernels of a decode step by device time, and the functions by calls, if known."""
    for title, metric, values in (
        ("Device time of a decode step, by kernel", "x_s", kernels),
        ("Python calls of a decode step, by function", "calls", functions),
    ):
        sides = {"base": values(base) if base else {}, "head": values(head)}
        if any(sides.values()):
            yield _figure(f"{title}{of}", metric, {k: v for k, v in sides.items() if v})


def kernels(info: Info) -> dict[str, float]:
    """Return the device time of a decode step by kernel, in seconds."""
    decode = (info.get("device_time") or {}).get("decode")
    if not decode:
        return {}
    return {each["name"]: each["device_s"] / decode["steps"] for each in decode["kernels"]["top"]}


def functions(info: Info) -> dict[str, float]:
    """Return the Python calls of a decode step by function."""
    counted = info.get("counters") or {}
    called = (counted.get("decode") or {}).get("functions") or {}
    steps = len(range(*counted["decode_steps"])) if called else 1
    return {name: calls / steps for name, calls in called.items()}


def _figure(title: str, metric: str, sides: Mapping[str, Mapping[str, float]]) -> Figure:
    """Show the largest as bars; of two sides those that changed most."""
    two = len(sides) > 1

    def weight(name: str) -> tuple[float, float]:
        values = [side.get(name, 0.0) for side in sides.values()]
        return (max(values) - min(values) if two else 0.0, max(values))

    order = sorted({name: None for side in sides.values() for name in side}, key=weight)[::-1]
    shown = order[:BARS]
    unit = columns.unit(metric, [side.get(name, 0.0) for name in shown for side in sides.values()])
    groups = [
        (
            name[:SHORT],
            [
                (label, side.get(name, 0.0) / unit.factor, _text(metric, side.get(name)))
                for label, side in sides.items()
            ],
        )
        for name in shown
    ]
    table = Table(
        ("name", *sides, *(("change",) if two else ())),
        [
            (
                name[:MOST_NAME],
                *(_text(metric, side.get(name)) for side in sides.values()),
                *((_change(*(side.get(name) for side in sides.values())),) if two else ()),
            )
            for name in order[:ROWS]
        ],
    )
    says = "Those that changed most come first" if two else "The largest of all"
    colours = {label: COLOURS[label] for label in sides}
    return Figure(title, says, [bars(groups, colours, unit.name or "calls")], table)


def _text(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    return columns.text(metric, value) if metric == "x_s" else f"{value:,.6g}"


def _change(before: float | None, after: float | None) -> str:
    return columns.change(after / before - 1 if before and after is not None else None)
