"""Verdicts with their intervals, as one figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.common.text import short
from benchmarks.page.figures.kit import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    VERMILION,
    Figure,
    Spec,
    Table,
    axis,
    hover,
    kinds,
    plot,
)
from benchmarks.report import verdict_table
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.outcome import Verdict

STYLES = {  # colour and shape of each outcome that can have an interval
    Outcome.REGRESSED: (VERMILION, "triangle-up"),
    Outcome.INCONCLUSIVE: (ORANGE, "diamond"),
    Outcome.IMPROVED: (GREEN, "triangle-down"),
    Outcome.NO_CHANGE: (BLUE, "circle"),
    Outcome.INVALID: (MUTED, "cross"),
}
ROW = 40  # pixels
UNKNOWN = "unknown"


def intervals(verdicts: Sequence[Verdict]) -> Figure | None:
    """Show the change of each time, with its interval if it has one, beside floor and band."""
    rows = [
        row
        for verdict in verdicts
        if verdict.kind in verdict_table.TIMED and (row := _row(verdict)) is not None
    ]
    if not rows:
        return None
    for n, row in enumerate(rows):
        row |= {"above": n * ROW + 10, "y": n * ROW + 27, "top": n * ROW + 19, "end": n * ROW + 35}
    present = [each.value for each in STYLES if any(row["outcome"] == each for row in rows)]
    styles = {each.value: style for each, style in STYLES.items()}
    colour = kinds("outcome", {name: styles[name][0] for name in present}, columns=NARROW)
    shape = kinds("outcome", {name: styles[name][1] for name in present}, columns=NARROW)
    colour["legend"] = shape["legend"] = {"columns": NARROW}  # also of a single outcome
    height = len(rows) * ROW
    ends = [abs(row[side]) for row in rows for side in ("low", "high", "change")]
    end = max(1.3 * max(ends), 2.5 * min(row["band"] for row in rows))
    down = {"domain": [0, height], "range": [0, height], "nice": False}

    def x(field: str) -> Spec:
        title = "change against the base, %; to the right is slower"
        scale = {"domain": [-end, end], "clamp": True}
        return axis(field, title, scale=scale, axis={"tickCount": 9})

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "axis": None, "scale": down}

    tooltip = hover({"of": "name", "verdict": "says", "interval": "interval", "why": "detail"})
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "color": "var(--shade)"},
            "encoding": {
                "x": x("-band"),
                "x2": {"field": "band"},
                "y": y("top"),
                "y2": {"field": "end"},
            },
        },
        *(
            {
                "mark": {"type": "rule", "strokeDash": [2, 2], "color": MUTED},
                "encoding": {"x": x(side), "y": y("top"), "y2": {"field": "end"}},
            }
            for side in ("-floor", "floor")
        ),
        {
            "data": {"values": [{"x": 0}]},
            "mark": {"type": "rule", "color": INK},
            "encoding": {"x": x("x")},
        },
        {
            "mark": {"type": "text", "align": "left", "baseline": "middle"},
            "encoding": {"x": {"value": 0}, "y": y("above"), "text": {"field": "label"}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3},
            "encoding": {
                "x": x("low"),
                "x2": {"field": "high"},
                "y": y("y"),
                "color": colour,
                "tooltip": tooltip,
            },
        },
        *(
            {
                "transform": [{"filter": f"datum.change {side} 0"}],
                "mark": {"type": "text", "align": align, "dx": dx, "baseline": "middle"},
                "encoding": {"x": x("change"), "y": y("y"), "text": {"field": "beside"}},
            }
            for side, align, dx in (("<=", "left", 10), (">", "right", -10))
        ),
        {
            "mark": {"type": "point", "filled": True, "size": 110},
            "encoding": {
                "x": x("change"),
                "y": y("y"),
                "color": colour,
                "shape": shape,
                "tooltip": tooltip,
            },
        },
    ]
    columns = ("benchmark and metric", "verdict", "change, %", "interval, %", "floor, %", "band, %")
    table = Table(
        columns,
        [
            (
                row["name"],
                row["outcome"],
                row["text"],
                row["interval"],
                f"{row['floor']:g}",
                f"{row['band']:g}",
            )
            for row in rows
        ],
        left=(0, 1),
    )
    says = (
        "Dashed: the floor, below which nothing is reported. Shaded: the band of equivalence; an "
        "interval inside of it is no change"
    )
    if any(row["interval"] == UNKNOWN for row in rows):
        says += ". A point alone: too few sessions or restarts to know its interval"
    return Figure(
        "Changes of times, with their intervals",
        says,
        [plot(layers, height=height, rows=rows)],
        table,
    )


def _row(verdict: Verdict) -> Spec | None:
    """Return a verdict as it is drawn, in percent; None where there is no change to draw.

    Without an interval, the row's begins and ends at the change.
    """
    change, low, high = verdict.change, verdict.low, verdict.high
    if change is None or not math.isfinite(change) or verdict.outcome not in STYLES:
        return None
    left = right = change
    known = False
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        left, right, known = low, high, True
    limits = times.DEVICE if verdict.kind == "device" else times.limits(verdict.metric)
    name = f"{short(verdict.benchmark)}: {verdict.metric}"
    _, _, _, _, _, text, interval, _, _ = verdict_table.cells(verdict)
    return {
        "name": name,
        "label": f"{name}, {text}",
        "beside": "" if known else f"interval {UNKNOWN}",
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
        "band": 100 * limits.equivalence,
        "-band": -100 * limits.equivalence,
    }
