"""The plots of docs/results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLOURS = {"int8-decomp": "#0072b2", "int8": "#d55e00", "fp16": "#009e73", "nf4": "#cc79a7"}


def tokens(benchmarks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return tokens/s by batch size."""
    rows = [
        {
            "quantization": each["extra_info"]["workload"]["quantization"],
            "batch": each["extra_info"]["workload"]["batch_size"],
            "tokens": each["extra_info"]["metrics"]["tokens_per_s"],
        }
        for each in benchmarks
    ]
    colour = {
        "field": "quantization",
        "type": "nominal",
        "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
        "legend": {"orient": "right", "title": None},
    }
    return _plot(
        rows,
        {"type": "line", "point": {"size": 60}},
        x={
            "field": "batch",
            "type": "quantitative",
            "title": "rows in the batch",
            "scale": {"type": "log", "base": 2, "domain": [1, 32]},
            "axis": {"values": [1, 8, 32]},
        },
        y={
            "field": "tokens",
            "type": "quantitative",
            "title": "new tokens per second",
            "scale": {"type": "log"},
        },
        color=colour,
    )


def steps(benchmarks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each gap between two tokens of the main job, in order."""
    rows: list[dict[str, Any]] = []
    for each in benchmarks:
        if "throughput" in each["name"]:
            for number, one in enumerate(each["extra_info"]["rounds"], 1):
                at = one["start_s"] + one["ttft_s"]
                for gap in one["step_s"]:
                    at += gap
                    rows.append({"at": at, "gap": 1e3 * gap, "round": f"round {number}"})
    return _plot(
        rows,
        {"type": "point", "filled": True, "size": 10, "opacity": 0.7},
        x={"field": "at", "type": "quantitative", "title": "seconds"},
        y={
            "field": "gap",
            "type": "quantitative",
            "title": "gap between two tokens, ms",
            "scale": {"zero": True},
        },
        color={
            "field": "round",
            "type": "nominal",
            "scale": {"range": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"]},
            "legend": {"orient": "right", "title": None},
        },
    )


def _plot(rows: list[dict[str, Any]], mark: dict[str, Any], **encoding: Any) -> dict[str, Any]:
    return {
        "background": "white",
        "padding": {"left": 5, "top": 5, "bottom": 5, "right": 30},  # legends are cut otherwise
        "width": 560,
        "height": 260,
        "data": {"values": rows},
        "mark": mark,
        "encoding": encoding,
    }


def svg(plot: dict[str, Any]) -> str:
    """Return a plot as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(plot))
