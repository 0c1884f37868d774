"""Metrics by name: the columns of the tables, titles, units, and values as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import Format, duration, percent, rate, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Records = Sequence[tuple[str, Mapping[str, Any]]]  # names and records of benchmarks

TITLES = {
    "round_s": "Round, median",
    "tokens_per_s": "Throughput, all rows",
    "tokens_per_s_per_row": "Throughput, per row",
    "ttft_s": "Time to first token (TTFT)",
    "tpot_s": "Time per output token (TPOT)",
    "itl_p50_s": "Inter-token latency, p50",
    "itl_p95_s": "Inter-token latency, p95",
    "itl_p99_s": "Inter-token latency, p99",
    "prefill_tokens_per_s": "Prefill rate",
    "decode_tokens_per_s": "Decode rate",
    "joules_per_token": "Energy per token",
    "peak_allocated_bytes": "Peak of device memory, allocated",
    "peak_reserved_bytes": "Peak of device memory, reserved",
    "peak_resident_bytes": "Peak of host memory",
    "mbu": "Memory bandwidth utilisation (MBU)",
    "cold_start_ratio": "Cold start, first ÷ third",
    "load_s": "Loading the model",
    "weights_bytes": "Weights",
    "decode_bytes": "Bytes read by a decode step",
    "speed_of_light_tpot_s": "Speed of light of TPOT",
    "decode_weight_bytes": "Weights read by a decode step",
    "decode_kv_cache_bytes": "KV cache read by a decode step",
    "script_speed": "The old script's “Speed”",
    "logits_relative_error": "Logits, relative error against fp16",
    "logits_kl_nats": "Logits, KL divergence from fp16",
    "top1_agreement": "Top-1 agreement with fp16",
}
SHARES = {"mbu", "top1_agreement", "logits_relative_error", "utilization"}

IN_MARKDOWN = {"tokens_per_s", "ttft_s", "tpot_s", "joules_per_token", "peak_allocated_bytes"}

Column = tuple[str, str, Format]  # title, metric, how a value becomes text
SPEED: tuple[Column, ...] = (
    ("tokens/s", "tokens_per_s", rate),
    ("per row", "tokens_per_s_per_row", rate),
    ("TTFT", "ttft_s", duration),
    ("TPOT", "tpot_s", duration),
    ("ITL p50", "itl_p50_s", duration),
    ("p95", "itl_p95_s", duration),
    ("p99", "itl_p99_s", duration),
    ("prefill/s", "prefill_tokens_per_s", rate),
    ("decode/s", "decode_tokens_per_s", rate),
    ("script's", "script_speed", rate),
)
SPACE: tuple[Column, ...] = (
    ("J/token", "joules_per_token", rate),
    ("load", "load_s", duration),
    ("weights", "weights_bytes", size),
    ("allocated", "peak_allocated_bytes", size),
    ("reserved", "peak_reserved_bytes", size),
    ("resident", "peak_resident_bytes", size),
    ("bytes/step", "decode_bytes", size),
    ("light", "speed_of_light_tpot_s", duration),
    ("MBU", "mbu", percent),
    ("cold/warm", "cold_start_ratio", lambda ratio: f"{ratio:.3g}x"),
)


def table(group: Sequence[Column], records: Records) -> list[list[str]]:
    """Return a header, and a row for each benchmark.

    A column that no benchmark has a number for is left out.
    """
    shown = [
        column
        for column in group
        if any(info["metrics"].get(column[1]) is not None for _, info in records)
    ]
    return [["benchmark", *(title for title, _, _ in shown)], *rows(shown, records)]


def rows(group: Sequence[Column], records: Records) -> list[list[str]]:
    """Return a row for each benchmark; a dash if something wasn't measured."""
    return [
        [
            name,
            *(
                "-" if (value := info["metrics"].get(metric)) is None else form(value)
                for _, metric, form in group
            ),
        ]
        for name, info in records
    ]


@dataclass(frozen=True)
class Unit:
    """What base values are divided by to be shown, and how the result is called."""

    factor: float
    name: str


SCALES = {
    "_s": (Unit(1e-6, "µs"), Unit(1e-3, "ms"), Unit(1.0, "s")),
    "_bytes": (Unit(1.0, "B"), Unit(1e3, "kB"), Unit(1e6, "MB"), Unit(1e9, "GB")),
    "_hz": (Unit(1e6, "MHz"), Unit(1e9, "GHz")),
    "_celsius": (Unit(1.0, "°C"),),
    "_watts": (Unit(1.0, "W"),),
    "_nats": (Unit(1.0, "nats"),),
}


def title(metric: str) -> str:
    """Return what a metric is called; a counter by its phase, one that isn't known as it is."""
    phase, dot, counter = metric.partition(".")
    name = f"{phase.capitalize()}: {counter.replace('_', ' ')}" if dot else metric
    return TITLES.get(metric, name)


def unit(metric: str, values: Iterable[float]) -> Unit:
    """Return the largest unit in which the largest of the values is at least one."""
    if metric in SHARES or metric.endswith("_share"):
        return Unit(0.01, "%")
    if "tokens_per_s" in metric or metric == "script_speed":
        return Unit(1.0, "tokens/s")
    if metric.endswith("_per_s"):
        return Unit(1.0, "/s")
    if metric == "joules_per_token":
        return Unit(1.0, "J")
    if metric.endswith("_ratio"):
        return Unit(1.0, "x")
    scale = next((units for end, units in SCALES.items() if metric.endswith(end)), (Unit(1.0, ""),))
    largest = max(map(abs, values), default=0)
    return next((each for each in reversed(scale) if largest >= each.factor), scale[0])


def text(metric: str, value: float | None) -> str:
    """Return a value with its unit; a dash if there is none."""
    if value is None:
        return "-"
    if metric in SHARES or metric.endswith("_share"):
        return percent(value)
    found = unit(metric, [value])
    if found.name.endswith("/s"):
        return f"{rate(value)} {found.name}"
    if metric.endswith("_s"):
        return duration(value)
    if metric.endswith("_bytes"):
        return size(value)
    if isinstance(value, int) and not found.name:
        return f"{value:,}"
    return f"{value / found.factor:.4g} {found.name}".rstrip()


def change(share: float | None) -> str:
    """Return a relative change with its sign."""
    return "-" if share is None else f"{share * 100:+.3g} %"
