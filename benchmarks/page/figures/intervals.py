"""Verdicts with their intervals, as one figure."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.common.text import short
from benchmarks.page.figures import kit
from benchmarks.report import verdict_table
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import times

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from benchmarks.sessions.outcome import Verdict

STYLES = {  # colour and shape of each outcome that can have an interval
    Outcome.REGRESSED: (kit.VERMILION, "triangle-up"),
    Outcome.INCONCLUSIVE: (kit.ORANGE, "diamond"),
    Outcome.IMPROVED: (kit.GREEN, "triangle-down"),
    Outcome.NO_CHANGE: (kit.BLUE, "circle"),
    Outcome.INVALID: (kit.MUTED, "cross"),
}
TOLD = {"of": "name", "verdict": "says", "interval": "interval", "why": "detail"}
ROW = 40  # pixels
UNKNOWN = "unknown"


def reach(verdicts: Sequence[Verdict]) -> float:
    """Return how far the axis of the times of the wall reaches at least, in percent."""
    return _reach([row for row in _rows(verdicts) if row["kind"] == "time"])


def intervals(verdicts: Sequence[Verdict], end: float = 0.0) -> kit.Figure | None:
    """Show the change of each time, with its interval if it has one, beside floor and limit.

    Device time has an axis of its own: it varies far less. That of the wall ends at `end` percent.
    """
    rows = _rows(verdicts)
    if not rows:
        return None
    kinds = [[row for row in rows if row["kind"] == kind] for kind in verdict_table.TIMED]
    plots = [
        _plot(each, max(_reach(each), end if each[0]["kind"] == "time" else 0.0))
        for each in sorted(filter(None, kinds), key=lambda each: rows.index(each[0]))
    ]
    figures = ("change, %", "interval, %", "floor, %", "limit, %")
    table = kit.Table(
        ("benchmark and metric", "verdict", *figures),
        [
            (
                *(row[name] for name in ("name", "outcome", "text", "interval")),
                f"{row['floor']:g}",
                "-" if row["limit"] is None else f"{row['limit']:.3g}",
            )
            for row in rows
        ],
        left=(0, 1),
    )
    says = (
        "Dashed: the floor, below which nothing is reported. Shaded, if the verdict rests on one: "
        "its limit; a smaller change is none, or can't be seen"
    )
    if any(row["interval"] == UNKNOWN for row in rows):
        says += ". A point alone: too few sessions or restarts to know its interval"
    return kit.Figure("Changes of times, with their intervals", says, plots, table)


def _rows(verdicts: Sequence[Verdict]) -> list[kit.Spec]:
    timed = [each for each in verdicts if each.kind in verdict_table.TIMED]
    return [row for each in timed if (row := _row(each)) is not None]


def _reach(rows: Sequence[kit.Spec]) -> float:
    ends = [abs(row[side]) for row in rows for side in ("low", "high", "change")]
    limits = [row["limit"] for row in rows if row["limit"] is not None]
    least = 5 * min((row["floor"] for row in rows), default=0)
    return max(1.3 * max(ends, default=0), least, 1.2 * min(limits, default=0))


def _plot(rows: Sequence[kit.Spec], end: float) -> kit.Spec:
    """Return a line for each row: its name, and below it floor, limit, interval and change."""
    height = len(rows) * ROW
    for n, row in enumerate(rows):
        row |= {"above": n * ROW + 10, "y": n * ROW + 27, "top": n * ROW + 19, "end": n * ROW + 35}
    x, y = partial(kit.changes, end=end), partial(kit.pixels, height)
    colour, shape = _styles({row["outcome"] for row in rows})
    told: kit.Spec = {"color": colour, "tooltip": kit.hover(TOLD)}
    band: kit.Spec = {"y": y("top"), "y2": "end"}
    floor = {"strokeDash": [2, 2], "color": kit.MUTED}
    layers = [
        {
            "transform": [{"filter": "datum.limit !== null"}],
            **kit.layer("rect", {"color": "var(--shade)"}, x=x("-limit"), x2="limit", **band),
        },
        *(kit.layer("rule", floor, x=x(side), **band) for side in ("-floor", "floor")),
        kit.no_change(end, height, [(row["top"], row["end"]) for row in rows]),
        kit.names(y("above"), "label"),
        kit.layer("rule", {"strokeWidth": 3}, x=x("low"), x2="high", y=y(), **told),
        kit.layer(
            "point", {"filled": True, "size": 110}, x=x("change"), y=y(), shape=shape, **told
        ),
    ]
    return kit.plot(layers, height=height, rows=rows)


def _styles(outcomes: Container[str]) -> list[kit.Spec]:
    """Return colour and shape of these outcomes, with a legend even of a single one."""
    styles = {each.value: style for each, style in STYLES.items() if each.value in outcomes}
    return [
        kit.kinds("outcome", {name: style[n] for name, style in styles.items()})
        | {"legend": {"columns": kit.NARROW}}
        for n in (0, 1)
    ]


def _row(verdict: Verdict) -> kit.Spec | None:
    """Return a verdict as it is drawn, in percent; None if there is no change to draw.

    Without an interval, the row's begins and ends at the change.
    """
    change, low, high = verdict.change, verdict.low, verdict.high
    if change is None or not math.isfinite(change) or verdict.outcome not in STYLES:
        return None
    left = right = change
    known = False
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        left, right, known = low, high, True
    limits = times.limits(verdict.metric)
    limit = None if verdict.limit is None else 100 * verdict.limit
    name = f"{short(verdict.benchmark)}: {verdict.metric}"
    unknown = "" if known else f" (interval {UNKNOWN})"
    _, _, _, _, _, text, interval, _, _ = verdict_table.cells(verdict)
    return {
        "kind": verdict.kind,
        "name": name,
        "label": f"{verdict.metric} {text}{unknown}, {short(verdict.benchmark)}",  # the end is cut
        "says": f"{verdict.outcome.value} {text}",
        "text": text.removesuffix(" %"),
        "interval": interval if known else UNKNOWN,
        "detail": verdict.detail,
        "outcome": verdict.outcome.value,
        "change": 100 * change,
        "low": 100 * left,
        "high": 100 * right,
        "floor": 100 * limits.floor,
        "-floor": -100 * limits.floor,
        "limit": limit,
        "-limit": None if limit is None else -limit,
    }
