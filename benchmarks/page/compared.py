"""Verdicts as a figure and as a table, the worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.page import moved, units
from benchmarks.page.figure import (
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
from benchmarks.page.history import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness.sessions import Session

    Record = Mapping[str, Any]  # of a verdict

# As they are listed, the worst first: colour and shape of each.
OUTCOMES = {
    "REGRESSED": (VERMILION, "triangle-up"),
    "INVALID": (MUTED, "cross"),
    "MISSING": (MUTED, "cross"),
    "NOT COMPARABLE": (MUTED, "cross"),
    "INCONCLUSIVE": (ORANGE, "diamond"),
    "IMPROVED": (GREEN, "triangle-down"),
    "NO CHANGE": (BLUE, "circle"),
}
FLOOR = 0.01
EQUIVALENCE = 0.02
ROW = 40  # pixels


@dataclass(frozen=True)
class Comparison:
    """Verdicts, the worst first, as a figure and as rows; and what moved beside them."""

    figure: Figure | None
    rows: Sequence[Mapping[str, Any]]
    moved: Sequence[tuple[str, Table]]


def compare(records: Sequence[Record], base: Session | None, head: Session) -> Comparison:
    """Return what is shown of verdicts; what moved is known where there is a base."""
    ordered = sorted(records, key=_rank)
    return Comparison(
        figure=_intervals(ordered),
        rows=[_row(each) for each in ordered],
        moved=moved.tables(base, head) if base else (),
    )


def counts(records: Sequence[Record]) -> str:
    """Return how many verdicts there are of each outcome, the worst first."""
    found = Counter(each["outcome"] for each in records)
    found_known = [f"{found[name]} {name}" for name in OUTCOMES if found[name]]
    return ", ".join(found_known) or "nothing was compared"


def _rank(record: Record) -> tuple[int, bool, float]:
    known = list(OUTCOMES)
    place = known.index(record["outcome"]) if record["outcome"] in known else len(known)
    return place, bool(record["acknowledged"]), -abs(record["change"] or 0)


def _row(record: Record) -> dict[str, Any]:
    return {
        "outcome": record["outcome"],
        "benchmark": short(record["benchmark"]),
        "metric": record["metric"],
        "base": units.text(record["metric"], record["base"]),
        "head": units.text(record["metric"], record["head"]),
        "change": units.change(record["change"]),
        "interval": _interval(record),
        "p": "-" if record["p"] is None else f"{record['p']:.2g}",
        "detail": record["detail"],
        "reasons": list(record["reasons"]),
        "acknowledged": record["acknowledged"],
        "suspicious": bool(record.get("suspicious")),
    }


def _interval(record: Record) -> str:
    if record["low"] is None or record["high"] is None:
        return "-"
    return f"{units.change(record['low'])} to {units.change(record['high'])}"


def _intervals(records: Sequence[Record]) -> Figure | None:
    """Show the change of each metric that has an interval on one axis."""
    shown = [each for each in records if None not in (each["change"], each["low"], each["high"])]
    if not shown:
        return None
    rows = [_drawn(each, n * ROW) for n, each in enumerate(shown)]
    present = [name for name in OUTCOMES if any(row["outcome"] == name for row in rows)]
    height = len(rows) * ROW
    end = max(
        2.5 * EQUIVALENCE * 100, *(abs(row[side]) for row in rows for side in ("low", "high"))
    )
    change = "change against the base, %; to the right is more, or slower"

    def x(field: str) -> Spec:
        return axis(field, change, scale={"domain": [-end, end]})

    y = {
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [0, height], "range": [0, height]},
    }
    colour = kinds("outcome", {name: OUTCOMES[name][0] for name in present}, columns=NARROW)
    shape = kinds("outcome", {name: OUTCOMES[name][1] for name in present}, columns=NARROW)
    tooltip = hover({"of": "name", "verdict": "says", "interval": "interval", "because": "detail"})
    layers: list[Spec] = [
        {
            "data": {"values": [{"from": -100 * EQUIVALENCE, "to": 100 * EQUIVALENCE}]},
            "mark": {"type": "rect", "color": "var(--shade)"},
            "encoding": {"x": x("from"), "x2": {"field": "to"}},
        },
        {
            "data": {"values": [{"x": -100 * FLOOR}, {"x": 100 * FLOOR}]},
            "mark": {"type": "rule", "strokeDash": [3, 3], "color": MUTED},
            "encoding": {"x": x("x")},
        },
        {
            "data": {"values": [{"x": 0}]},
            "mark": {"type": "rule", "color": INK},
            "encoding": {"x": x("x")},
        },
        {
            "mark": {"type": "text", "align": "left", "baseline": "middle"},
            "encoding": {
                "x": {"value": 0},
                "y": {"field": "above", **y},
                "text": {"field": "label"},
            },
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3},
            "encoding": {
                "x": x("low"),
                "x2": {"field": "high"},
                "y": {"field": "y", **y},
                "color": colour,
                "tooltip": tooltip,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {
                "x": x("change"),
                "y": {"field": "y", **y},
                "color": colour,
                "shape": shape,
                "tooltip": tooltip,
            },
        },
    ]
    table = Table(
        ("benchmark", "metric", "verdict", "change", "interval"),
        [
            (
                short(each["benchmark"]),
                each["metric"],
                each["outcome"],
                units.change(each["change"]),
                _interval(each),
            )
            for each in shown
        ],
        left=(0, 1, 2),
    )
    return Figure(
        "Changes with their intervals",
        f"Dashed: the floor of {FLOOR:.0%}, below which nothing is reported. Shaded: "
        f"the band of {EQUIVALENCE:.0%}; an interval inside of it is no change",
        [plot(layers, height=height, rows=rows)],
        table,
    )


def _drawn(record: Record, top: int) -> Spec:
    """Return a verdict as it is drawn: its name, and below that its interval, in percent."""
    name, change = (
        f"{short(record['benchmark'])}: {record['metric']}",
        units.change(record["change"]),
    )
    return {
        "name": name,
        "label": f"{name}, {change}",
        "says": f"{record['outcome']} {change}",
        "interval": _interval(record),
        "detail": record["detail"],
        "outcome": record["outcome"],
        **{side: record[side] * 100 for side in ("change", "low", "high")},
        "above": top + 10,
        "y": top + 27,
    }
