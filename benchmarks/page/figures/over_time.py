"""The plot of a metric over time, which the page's script fills with rows of sessions."""

from __future__ import annotations

from benchmarks.page.figures import kit

MARKS = {  # what is told apart, the strongest first: colour, shape
    "REGRESSED": (kit.VERMILION, "triangle-up"),
    "INVALID": (kit.MUTED, "cross"),
    "acknowledged": (kit.PURPLE, "square"),
    "forced": (kit.ORANGE, "diamond"),
    "baseline": (kit.GREEN, "diamond"),
    "session": (kit.BLUE, "circle"),
}
HEIGHT = 150
HIGH, LOW = -6, 144  # where words stand that must not hide each other: above, and at the bottom
OVER = {"strokeWidth": 12, "opacity": 0}  # what the mouse finds of a line
OF_SESSION = {  # fields by their titles
    "value": "text",
    "session": "name",
    "saved": "saved",
    "commit": "commit",
    "versions": "versions",
    "kind": "mark",
    "why": "why",
}
OF_CHANGE = {
    "level": "level",
    "change": "change",
    "verdict": "outcome",
    "since": "since",
    "between": "between",
    "with it": "with",
}


def spec() -> kit.Spec:
    """Return the plot; the script puts in rows, levels, unit, ticks, and kinds of marks.

    Its layers are named: `began` is where a level was accepted, forced or improved, `changed`
    where the level of the values changed, with `moved`, by how much, and `levels` are the medians
    between such places.
    """
    x, y = _day("t"), _value("value")
    dashed = {"strokeDash": [3, 3], "color": kit.MUTED}
    label = {"align": "right", "dx": -4, "fontSize": 11}  # between the levels
    level = {"color": kit.INK, "strokeWidth": 1.5, "opacity": 0.75}
    layers = {
        "began": kit.layer("rule", dashed, (), x=_day("from")),
        "word": kit.layer("text", label, (), x=_day("from"), y={"value": LOW}, text="word"),
        "changed": kit.layer("rule", {"strokeWidth": 1.5}, (), x=_day("t"), color=_of_outcome()),
        "moved": kit.layer("text", label, (), x=_day("t"), y={"value": HIGH}, text="short"),
        "levels": kit.layer("rule", level, (), x=_day("from"), x2="to", y=_value("level")),
        "line": kit.layer("line", {"strokeWidth": 1, "color": kit.BLUE, "opacity": 0.45}, x=x, y=y),
        "over": kit.layer("rule", OVER, (), x=_day("t"), tooltip=kit.hover(OF_CHANGE)),
        "points": _points(x, y),
    }
    return kit.plot([{"name": name, **each} for name, each in layers.items()], height=HEIGHT)


def _points(x: kit.Spec, y: kit.Spec) -> kit.Spec:
    size = {"condition": {"test": "datum.mark === 'session'", "value": 22}, "value": 90}
    style = {"filled": True, "opacity": 1}
    hover, color, shape = kit.hover(OF_SESSION), _of_mark(0), _of_mark(1)
    return kit.layer("point", style, x=x, y=y, tooltip=hover, color=color, shape=shape, size=size)


def _of_outcome() -> kit.Spec:
    """Return the colour of a change; not by a scale, which it would share with the sessions."""
    worse = {"test": "datum.outcome === 'REGRESSED'", "value": kit.VERMILION}
    return {"condition": worse, "value": kit.GREEN}


def _day(field: str) -> kit.Spec:
    """Return a position in milliseconds; the script puts ticks into the axis."""
    return kit.axis(field, "", scale={"nice": False})


def _value(field: str) -> kit.Spec:
    return kit.axis(field, "UNIT")


def _of_mark(n: int) -> kit.Spec:
    scale = {"domain": list(MARKS), "range": [mark[n] for mark in MARKS.values()]}
    legend = {"columns": {"expr": "max(1, floor(containerSize()[0] / 115))"}}
    return {"field": "mark", "type": "nominal", "scale": scale, "legend": legend}
