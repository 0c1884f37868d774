"""Metrics by name: the columns of the tables, titles, units, and values as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import duration, percent, rate, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.common.text import Format

TITLES = {
    "round_s": "Round, median",
    "tokens_per_s": "Throughput, all rows",
    "tokens_per_s_per_row": "Throughput, per row",
    "ttft_s": "Time to first token (TTFT)",
    "tpot_s": "Time per output token (TPOT)",
    "decode_device_s": "Device time of a decode step",
    "prefill_device_s": "Device time of the prefill",
    "decode_busy_share": "Busy share of a decode step",
    "prefill_busy_share": "Busy share of the prefill",
    "decode.python_calls": "Decode: Python calls",
    "decode.c_calls": "Decode: C calls",
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

CALLS = "decode.python_calls"  # of a step: from the counters, which are over several
IN_MARKDOWN = {"tokens_per_s", "ttft_s", "tpot_s", "joules_per_token", "peak_allocated_bytes"}
WORK = {"decode_device_s", "decode_busy_share", CALLS}  # in Markdown if they were measured

SPEED: tuple[tuple[str, str, Format], ...] = (
    ("tokens/s", "tokens_per_s", rate),
    ("TTFT", "ttft_s", duration),
    ("TPOT", "tpot_s", duration),
    ("p95", "itl_p95_s", duration),
    ("p99", "itl_p99_s", duration),
    ("device", "decode_device_s", duration),  # of a decode step, as the next two
    ("busy", "decode_busy_share", percent),
    ("calls", CALLS, lambda calls: f"{calls:,.0f}"),
    ("script's", "script_speed", rate),
)
# Multiples of others, and what TPOT is close to: on the page alone, so that the table fits.
MULTIPLES: tuple[tuple[str, str, Format], ...] = (
    ("per row", "tokens_per_s_per_row", rate),
    ("ITL p50", "itl_p50_s", duration),
    ("prefill/s", "prefill_tokens_per_s", rate),
    ("decode/s", "decode_tokens_per_s", rate),
)
SPACE: tuple[tuple[str, str, Format], ...] = (
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


def figure(info: Mapping[str, Any], name: str) -> float | None:
    """Return a metric of a benchmark, or the Python calls of a decode step; None if unmeasured."""
    if name != CALLS:
        value: float | None = info["metrics"].get(name)
        return value
    counted = info.get("counters") or {}
    total = (counted.get("decode") or {}).get("python_calls")
    return None if total is None else float(total / len(range(*counted["decode_steps"])))


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
    """Return a value with its unit; a dash where there is none."""
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
