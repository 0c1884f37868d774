"""What the GPU did meanwhile: clocks, temperature, power and throttling beside the rounds."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.machine.readings import HARMLESS_CLOCK_REASONS
from benchmarks.page.figures import kit
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


SIGNALS = {
    "sm_clock_hz": ("SM clock", kit.BLUE),
    "temperature_celsius": ("temperature", kit.ORANGE),
    "power_watts": ("power", kit.GREEN),
    "utilization": ("utilisation", kit.SKY),
    "memory_used_bytes": ("memory in use", kit.PURPLE),
}
# Plots below each other; if a value never moved, its tick isn't rounded away.
ALIGNED = {"minExtent": 36, "maxExtent": 36, "tickCount": 3, "format": ".4~g"}
UNSEEN = {"filled": True, "size": 40, "opacity": 0}  # a target for the mouse
MOST_POINTS = 1500  # that a plot draws: a minute holds 600 samples


def gpu(info: Mapping[str, Any]) -> kit.Figure | None:
    """Show the samples of the GPU on the clock of the rounds; None if there are none."""
    samples = (info.get("validity") or {}).get("samples")
    if not samples or not samples["t_s"]:
        return None
    spans = [
        {"start": each["start_s"], "end": each["start_s"] + each["round_s"], "round": f"round {n}"}
        for n, each in enumerate(info["rounds"], 1)
        if each.get("start_s") is not None
    ]
    held = _throttled(samples)
    signals = {name: pairs for name in SIGNALS if (pairs := _pairs(samples, name))}
    table = kit.Table(
        ("reading", "least", "median", "most", "samples"),
        [
            (
                SIGNALS[name][0],
                *(columns.text(name, f(v for _, v in pairs)) for f in (min, median, max)),
                str(len(pairs)),
            )
            for name, pairs in signals.items()
        ],
    )
    end = max([*samples["t_s"], *(span["end"] for span in spans)])
    plots = [_plot(name, signals, spans, held, end) for name in signals]
    return kit.Figure("The GPU meanwhile", _says(samples, spans, held), plots, table)


def _pairs(samples: Mapping[str, Any], name: str) -> list[tuple[float, float]]:
    """Return the seconds and values of a signal, as far as it was read."""
    pairs = zip(samples["t_s"], samples.get(name) or [], strict=False)
    return [(t, value) for t, value in pairs if value is not None]


def _says(samples: Mapping[str, Any], spans: Sequence[kit.Spec], held: Sequence[kit.Spec]) -> str:
    says = f"Shaded: the {len(spans)} rounds. "
    if held:
        reasons = sorted({reason for each in held for reason in each["reasons"].split(", ")})
        share = columns.text("x_share", len(held) / len(samples["t_s"]))
        return f"{says}Upright lines: held down in {share} of the samples ({', '.join(reasons)})"
    if samples.get("clock_reasons"):
        return f"{says}The clocks were never held down"
    return f"{says}Whether the clocks were held down is not known"


def _plot(
    name: str,
    signals: Mapping[str, Sequence[tuple[float, float]]],
    spans: Sequence[kit.Spec],
    held: Sequence[kit.Spec],
    end: float,
) -> kit.Spec:
    """Return one signal over the rounds; the last of all has the axis of time."""
    (title, colour), pairs = SIGNALS[name], signals[name]
    unit = columns.unit(name, [value for _, value in pairs])
    time: kit.Spec = {"scale": {"domain": [0, end], "nice": False}}
    if name != list(signals)[-1]:
        time["axis"] = {"labels": False, "title": None, "ticks": False}

    def seconds(field: str) -> kit.Spec:
        return kit.axis(field, "seconds since the watch began", **time)

    y = kit.axis("value", f"{title}, {unit.name}", axis=ALIGNED)
    tooltip = kit.hover({f"{title}, {unit.name}": "value", "second": "t"})
    layers = [
        kit.layer(
            "rect",
            {"color": "var(--shade)", "stroke": "var(--paper)"},
            spans,
            x=seconds("start"),
            x2="end",
            tooltip=kit.hover({"timed": "round"}),
        ),
        kit.layer(
            "rule",
            {"color": kit.VERMILION, "opacity": 0.6},
            _thinned(held),
            x=seconds("t"),
            tooltip=kit.hover({"held down by": "reasons"}),
        ),
        kit.layer("line", {"strokeWidth": 1.5, "color": colour}, x=seconds("t"), y=y),
        kit.layer("point", UNSEEN, x=seconds("t"), y=y, tooltip=tooltip),
    ]
    rows = [{"t": t, "value": value / unit.factor} for t, value in _thinned(pairs)]
    return kit.plot(layers, height=80, rows=rows)


def _throttled(samples: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return when the clocks were held down for a reason that isn't harmless."""
    found = []
    for t, names in zip(samples["t_s"], samples.get("clock_reasons") or [], strict=False):
        reasons = {name for name in (names or "").split(",") if name} - HARMLESS_CLOCK_REASONS
        if reasons:
            found.append({"t": t, "reasons": ", ".join(sorted(reasons))})
    return found


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    return points[:: -(-len(points) // MOST_POINTS) or 1]
