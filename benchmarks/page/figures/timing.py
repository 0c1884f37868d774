"""How the rounds of one benchmark went: in order, and gap by gap."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import percentile
from benchmarks.page.figures.kit import (
    BLUE,
    INK,
    ORANGE,
    SERIES,
    VERMILION,
    Figure,
    Table,
    axis,
    hover,
    kinds,
    plot,
)
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.page.figures.kit import Spec

    Record = Mapping[str, Any]

MOST_POINTS = 4000  # that a figure of gaps draws
ALL_POINTS = 20_000  # that those of a page draw together: a page stays small
KINDS = {"counted": BLUE, "warm-up": ORANGE, "refused": VERMILION}
SHAPES = {"counted": "circle", "warm-up": "square", "refused": "cross"}


def rounds(info: Record, cold: Record | None) -> Figure:
    """Show the rounds in order; apart, refused ones and `cold`, the warm-up of this workload."""
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    for n, each in enumerate(cold["rounds"] if cold else (), 1):
        found.append(("warm-up", f"w{n}", each))
    for attempt in info.get("refused") or ():
        found += [("refused", f"r{n}", each) for n, each in enumerate(attempt["rounds"], 1)]
    found += [("counted", str(n), each) for n, each in enumerate(info["rounds"], 1)]
    unit = columns.unit("round_s", [each["round_s"] for _, _, each in found])
    middle = median(each["round_s"] for each in info["rounds"])
    rows = [
        {
            "order": n,
            "label": label,
            "kind": kind,
            "value": each["round_s"] / unit.factor,
            "text": columns.text("round_s", each["round_s"]),
            "ttft": columns.text("ttft_s", each["ttft_s"]),
        }
        for n, (kind, label, each) in enumerate(found, 1)
    ]
    present = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    x: Spec = {
        "field": "label",
        "type": "ordinal",
        "sort": None,
        "title": "round",
        "axis": {"labelAngle": 0, "labelOverlap": True},
    }
    layers: list[Spec] = [
        {
            "data": {"values": [{"y": middle / unit.factor}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": INK, "opacity": 0.6},
            "encoding": {"y": axis("y", unit.name)},
        },
        {
            "mark": {"type": "point", "filled": False},
            "encoding": {
                "x": x,
                "y": axis("value", unit.name),
                "color": kinds("kind", {kind: KINDS[kind] for kind in present}),
                "shape": kinds("kind", {kind: SHAPES[kind] for kind in present}),
                "tooltip": hover(
                    {"round": "label", "kind": "kind", "took": "text", "first token": "ttft"}
                ),
            },
        },
    ]
    table = Table(
        ("round", "kind", "took", "first token", "decode"),
        [
            (label, kind, *(columns.text("x_s", value) for value in _split(each)))
            for kind, label, each in found
        ],
        left=(0, 1),
    )
    spread = max(each["round_s"] for each in info["rounds"]) / middle - 1
    says = f"{len(info['rounds'])} rounds, median {columns.text('round_s', middle)}"
    if len(info["rounds"]) > 1:
        says += f" (dashed), slowest {columns.change(spread)}"
    if untimed := info.get("warmup_rounds"):
        says += f"; {untimed} untimed rounds came before"
    return Figure("Rounds in order", says, [plot(layers, height=150, rows=rows)], table)


def gaps(info: Record, most: int = MOST_POINTS) -> Figure | None:
    """Show each gap between two tokens, a line for each round; None without any.

    Of more than `most` gaps the longest of neighbours are drawn, so that no hiccup is lost.
    """
    lines = [each["step_s"] for each in info["rounds"]]
    if not any(lines):
        return None
    unit = columns.unit("itl_s", [percentile([gap for line in lines for gap in line], 50)])
    every = -(-sum(map(len, lines)) // most)
    rows: list[Spec] = [
        {
            "round": str(n),
            "token": token,
            "value": gap / unit.factor,
        }
        for n, line in enumerate(lines, 1)
        for token, gap in _thinned(line, every)
    ]
    worst = max(rows, key=lambda row: row["value"])
    longest = columns.text("itl_s", worst["value"] * unit.factor)
    worst_says = f"{longest} before token {worst['token']} of round {worst['round']}"
    colours = {str(n): SERIES[(n - 1) % len(SERIES)] for n in range(1, len(lines) + 1)}
    colour = kinds("round", colours, title="round", titleOrient="left")
    if len(lines) > len(SERIES):
        colour["legend"] = None
    ticks = {"tickMinStep": 1, "format": "d"}
    x = axis("token", "generated token", scale={"nice": False}, axis=ticks)
    y = axis("value", unit.name)
    at_left = worst["token"] < rows[-1]["token"] / 2
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 1.2, "opacity": 0.85},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "size": 40, "filled": True, "opacity": 0},
            "encoding": {
                "x": x,
                "y": y,
                "tooltip": [
                    *hover({"round": "round", "before token": "token"}),
                    {
                        "field": "value",
                        "title": f"gap, {unit.name}",
                        "type": "quantitative",
                        "format": ".3~r",
                    },
                ],
            },
        },
        {
            "data": {"values": [{**worst, "label": f"longest: {longest}"}]},
            "mark": {
                "type": "text",
                "align": "left" if at_left else "right",
                "dx": 7 if at_left else -7,
                "dy": 1,
            },
            "encoding": {
                "x": x,
                "y": y,
                "text": {"field": "label"},
            },
        },
    ]
    says = f"The gap before each token, a line for each round; the longest is {worst_says}"
    if every > 1:
        says += f". Of each {every} neighbours the longest is drawn"
    table = Table(
        ("round", "p50", "p95", "longest", "before token"),
        [
            (
                str(n),
                *(columns.text("itl_s", percentile(line, q)) for q in (50, 95, 100)),
                str(line.index(max(line)) + 2),
            )
            for n, line in enumerate(lines, 1)
            if line
        ],
    )
    return Figure(
        "Inter-token gaps over the generated tokens",
        says,
        [plot(layers, height=170, rows=rows)],
        table,
    )


def _split(each: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return seconds of a round, of its prefill, and of its decode steps."""
    return each["round_s"], each["ttft_s"], sum(each["step_s"])


def _thinned(line: Sequence[float], every: int) -> list[tuple[int, float]]:
    """Return the longest gap of each so many neighbours, with the token that it came before."""
    numbered = list(enumerate(line, 2))
    parts = (numbered[n : n + every] for n in range(0, len(numbered), every))
    return [max(part, key=lambda pair: pair[1]) for part in parts]
