"""What a page is made of: tables, and figures that have one as their text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]  # Vega-Lite, as plain JSON values; colours are the page's CSS variables

# Told apart by lightness as well as by hue: the palette of Okabe and Ito (2008), see page.css.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = (
    f"var(--{name})" for name in ("blue", "orange", "green", "vermilion", "sky", "purple")
)
INK, MUTED = "var(--ink)", "var(--muted)"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
NARROW = {"expr": "max(1, floor(containerSize()[0] / 230))"}  # columns of long legends
WIDE = {"expr": "containerSize()[0] - 20"}  # of a text: a longer one would squeeze the plot
EDGED = {"stroke": "var(--paper)", "strokeWidth": 1}  # what touches its neighbour
MOST_NAME = 400  # characters of a name that a table shows

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "labelSeparation": 8,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "symbolStrokeWidth": 2,
        "columns": 8,
        "labelLimit": 300,
    },
    "text": {"fill": INK, "fontSize": 12},
    "rule": {"stroke": INK},
    "point": {"size": 60, "strokeWidth": 2, "opacity": 1},
}


@dataclass(frozen=True)
class Table:
    """Text in rows under a header; columns of `left` are aligned to the left."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[int] = (0,)
    links: Mapping[str, str] = field(default_factory=dict)  # of cells, to pages on the web
    hints: Mapping[tuple[int, int], str] = field(
        default_factory=dict
    )  # of cells, by row and column


@dataclass(frozen=True)
class Figure:
    """One or more plots below each other, what they show in one sentence, and their table."""

    title: str
    says: str
    plots: Sequence[Spec]
    table: Table


def plot(layers: Sequence[Spec], *, height: int, rows: Sequence[Mapping[str, Any]] = ()) -> Spec:
    """Return a plot as wide as the page lets it be, with `rows` as the data of its layers."""
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": list(rows)},
        "layer": list(layers),
    }


def axis(field: str, title: str, *, zero: bool = False, **more: Any) -> Spec:
    """Return a position along a quantitative axis; layers that share it give the same title."""
    scale = {"zero": zero, **more.pop("scale", {})}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, **more}


def kinds(field: str, values: Mapping[str, Any], **legend: Any) -> Spec:
    """Return a colour or shape for each kind, with a legend if there is more than one."""
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(values), "range": list(values.values())},
        "legend": legend if len(values) > 1 else None,
    }


def hover(fields: Mapping[str, str]) -> list[Spec]:
    """Return a tooltip of fields by their titles."""
    return [{"field": field, "title": title} for title, field in fields.items()]


def layer(
    mark: str,
    style: Mapping[str, Any] | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    **encoding: Any,
) -> Spec:
    """Return marks of `rows`, or of the plot's own; a channel that is a text is a field."""
    channels = {
        name: {"field": channel} if isinstance(channel, str) else channel
        for name, channel in encoding.items()
    }
    own = {} if rows is None else {"data": {"values": list(rows)}}
    return {**own, "mark": {"type": mark, **(style or {})}, "encoding": channels}


def pixels(height: int, field: str = "y") -> Spec:
    """Return a position in pixels from the top of a plot."""
    scale = {"domain": [0, height], "range": [0, height], "nice": False}
    return {"field": field, "type": "quantitative", "axis": None, "scale": scale}


def names(y: Spec, field: str = "name", rows: Sequence[Mapping[str, Any]] | None = None) -> Spec:
    """Return texts at the left edge, no wider than the plot: a name stands above its marks."""
    style = {"align": "left", "baseline": "middle", "limit": WIDE}
    return layer("text", style, rows, x={"value": 0}, y=y, text=field)


def changes(field: str, end: float) -> Spec:
    """Return a change in percent along an axis that ends as far to the left as to the right.

    It has no grid: names stand between the marks.
    """
    title = "change against the base, %; to the right is slower"
    scale = {"domain": [-end, end], "clamp": True}
    ticks = {"tickCount": {"expr": "max(3, width / 80)"}, "grid": False}
    return axis(field, title, scale=scale, axis=ticks)


def no_change(end: float, height: int, spans: Sequence[tuple[float, float]]) -> Spec:
    """Return the upright line at no change, as long as the marks are: between these pixels."""
    rows = [{"x": 0, "y": top, "y2": bottom} for top, bottom in spans]
    return layer("rule", {"color": INK}, rows, x=changes("x", end), y=pixels(height), y2="y2")


def bars(
    groups: Sequence[tuple[str, Sequence[tuple[str, float, str]]]],
    colours: Mapping[str, str],
    title: str,
    *,
    stacked: bool = False,
    marks: Sequence[tuple[int, float, str]] = (),
) -> Spec:
    """Return horizontal bars, each group below its name.

    A group is a name and its parts, each with a value and its text; `marks` are upright lines
    at a value of the n-th group.
    """
    rows, labels, spans = _below_each_other(groups, stacked=stacked)
    height = spans[-1][1] + 8 if spans else 0
    y = pixels(height)
    layers = [
        layer(
            "bar",
            EDGED,
            x=axis("from", title, zero=True, axis={"orient": "bottom", "tickCount": 5}),
            x2="to",
            y=y,
            y2="y2",
            color=kinds("part", colours, columns=NARROW if len(colours) > 2 else 2),
            tooltip=hover({"of": "name", "what": "part", "value": "text"}),
        ),
        names(y, rows=labels),
    ]
    if marks:
        ticks = [
            {"x": value, "y": spans[group][0] - 3, "y2": spans[group][1] + 1, "text": text}
            for group, value, text in marks
        ]
        x, tooltip = axis("x", title, zero=True), hover({"value": "text"})
        layers.append(layer("rule", {"strokeWidth": 3}, ticks, x=x, y=y, y2="y2", tooltip=tooltip))
    return plot(layers, height=height, rows=rows)


def _below_each_other(
    groups: Sequence[tuple[str, Sequence[tuple[str, float, str]]]], *, stacked: bool
) -> tuple[list[Spec], list[Spec], list[tuple[int, int]]]:
    """Return the bars, the names of the groups, and where each group begins and ends."""
    rows: list[Spec] = []
    labels: list[Spec] = []
    spans: list[tuple[int, int]] = []
    top = 0
    for name, parts in groups:
        labels.append({"y": top + 9, "name": name})
        at, start = top + 18, 0.0
        spans.append((at, at + 14 * (1 if stacked else len(parts))))
        for part, value, text in parts:
            row = {"name": name, "part": part, "from": start, "to": start + value, "text": text}
            rows.append({**row, "y": at, "y2": at + 12})
            start, at = (start + value, at) if stacked else (0.0, at + 14)
        top = spans[-1][1] + 8
    return rows, labels, spans
