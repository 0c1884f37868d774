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


def spec() -> kit.Spec:
    """Return the plot; the script puts in rows, levels, unit, ticks, and kinds of marks.

    Its layers are named: `levels` are the medians of the baselines of each level, and `began`
    is where a level was accepted, forced or improved.
    """
    tooltip = kit.hover(
        {
            "value": "text",
            "session": "name",
            "saved": "saved",
            "commit": "commit",
            "versions": "versions",
            "kind": "mark",
            "why": "why",
        }
    )
    x, y = _day("t"), _value("value")
    dashed = {"strokeDash": [3, 3], "color": kit.MUTED}
    label = {"align": "right", "dx": -4, "fontSize": 11}  # between the levels
    level = {"color": kit.GREEN, "strokeWidth": 1.5, "opacity": 0.7}
    layers = [
        kit.layer("rule", dashed, (), x=_day("from")),
        kit.layer("text", label, (), x=_day("from"), y={"value": HEIGHT / 2}, text="word"),
        kit.layer("rule", level, (), x=_day("from"), x2="to", y=_value("level")),
        kit.layer("line", {"strokeWidth": 1, "color": kit.BLUE, "opacity": 0.45}, x=x, y=y),
        kit.layer(
            "point",
            {"filled": True, "opacity": 1},
            x=x,
            y=y,
            color=_of_mark(0),
            shape=_of_mark(1),
            size={"condition": {"test": "datum.mark === 'session'", "value": 22}, "value": 90},
            tooltip=tooltip,
        ),
    ]
    names = ("began", "word", "levels", "line", "points")
    layers = [{"name": name, **layer} for name, layer in zip(names, layers, strict=True)]
    return kit.plot(layers, height=HEIGHT)


def _day(field: str) -> kit.Spec:
    """Return a position in milliseconds; the script puts ticks into the axis."""
    return kit.axis(field, "", scale={"nice": False})


def _value(field: str) -> kit.Spec:
    return kit.axis(field, "UNIT")


def _of_mark(n: int) -> kit.Spec:
    scale = {"domain": list(MARKS), "range": [mark[n] for mark in MARKS.values()]}
    legend = {"columns": {"expr": "max(1, floor(containerSize()[0] / 115))"}}
    return {"field": "mark", "type": "nominal", "scale": scale, "legend": legend}
