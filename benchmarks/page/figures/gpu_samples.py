"""What the GPU did meanwhile: clocks, temperature, power and throttling beside the rounds."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.machine.readings import HARMLESS_CLOCK_REASONS
from benchmarks.page.figures.kit import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Figure,
    Table,
    axis,
    hover,
    layer,
    plot,
)
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.page.figures.kit import Spec

SIGNALS = {
    "sm_clock_hz": ("SM clock", BLUE),
    "temperature_celsius": ("temperature", ORANGE),
    "power_watts": ("power", GREEN),
    "utilization": ("utilisation", SKY),
    "memory_used_bytes": ("memory in use", PURPLE),
}
# Plots below each other; where a value never moved, its tick isn't rounded away.
ALIGNED = {"minExtent": 36, "maxExtent": 36, "tickCount": 3, "format": ".4~g"}
MOST_POINTS = 1500  # that a plot draws: a minute holds 600 samples


def gpu(info: Mapping[str, Any]) -> Figure | None:
    """Show the samples of the GPU on the clock of the rounds; None where there are none."""
    samples = (info.get("validity") or {}).get("samples")
    if not samples or not samples["t_s"]:
        return None
    every = -(-len(samples["t_s"]) // MOST_POINTS)
    spans = [
        {
            "start": each["start_s"],
            "end": each["start_s"] + each["round_s"],
            "round": f"round {n}",
        }
        for n, each in enumerate(info["rounds"], 1)
        if each.get("start_s") is not None
    ]
    end = max([*samples["t_s"], *(span["end"] for span in spans)])
    held = _throttled(samples)
    marked = held[:: -(-len(held) // MOST_POINTS) or 1]
    plots, rows = [], []
    for name, (title, colour) in SIGNALS.items():
        column = samples.get(name) or []
        pairs = [
            (t, value)
            for t, value in zip(samples["t_s"], column, strict=False)
            if value is not None
        ]
        if not pairs:
            continue
        values = [value for _, value in pairs]
        rows.append(
            (title, *(columns.text(name, f(values)) for f in (min, median, max)), str(len(values)))
        )
        plots.append(_signal(name, title, colour, pairs[::every], spans, marked, end))
    for upper in plots[:-1]:  # the last one has the axis of all
        for each in upper["layer"]:
            each["encoding"]["x"]["axis"] = {"labels": False, "title": None, "ticks": False}
    reasons = sorted({reason for each in held for reason in each["reasons"].split(", ")})
    share = len(held) / len(samples["t_s"])
    says = f"Shaded: the {len(spans)} rounds. "
    says += (
        f"Upright lines: held down in {columns.text('x_share', share)} of the samples "
        f"({', '.join(reasons)})"
        if held
        else "The clocks were never held down"
        if samples.get("clock_reasons")
        else "Whether the clocks were held down is not known"
    )
    table = Table(("reading", "least", "median", "most", "samples"), rows)
    return Figure("The GPU meanwhile", says, plots, table)


def _signal(
    name: str,
    title: str,
    colour: str,
    pairs: Sequence[tuple[float, float]],
    spans: Sequence[Mapping[str, Any]],
    held: Sequence[Mapping[str, Any]],
    end: float,
) -> Spec:
    unit = columns.unit(name, [value for _, value in pairs])
    data = [{"t": t, "value": value / unit.factor} for t, value in pairs]
    scale = {"domain": [0, end], "nice": False}
    seconds = "seconds since the watch began"
    x = axis("t", seconds, scale=scale)
    y = axis("value", f"{title}, {unit.name}", axis=ALIGNED)
    layers = [
        layer(
            "rect",
            {"color": "var(--shade)", "stroke": "var(--paper)"},
            spans,
            x=axis("start", seconds, scale=scale),
            x2="end",
            tooltip=hover({"timed": "round"}),
        ),
        layer(
            "rule",
            {"color": VERMILION, "opacity": 0.6},
            held,
            x=x,
            tooltip=hover({"held down by": "reasons"}),
        ),
        layer("line", {"strokeWidth": 1.5, "color": colour}, x=x, y=y),
        layer(
            "point",
            {"filled": True, "size": 40, "opacity": 0},
            x=x,
            y=y,
            tooltip=hover({f"{title}, {unit.name}": "value", "second": "t"}),
        ),
    ]
    return plot(layers, height=80, rows=data)


def _throttled(samples: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return when the clocks were held down for a reason that isn't harmless."""
    found = []
    for t, names in zip(samples["t_s"], samples.get("clock_reasons") or [], strict=False):
        reasons = {name for name in (names or "").split(",") if name} - HARMLESS_CLOCK_REASONS
        if reasons:
            found.append({"t": t, "reasons": ", ".join(sorted(reasons))})
    return found
