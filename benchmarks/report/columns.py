"""Metrics by name: the columns of the tables, titles, units, and values as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import change as change
from benchmarks.common.text import duration, percent, rate, size
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Records = Sequence[tuple[str, Mapping[str, Any]]]  # names and records of benchmarks

UNMEASURED = "not measured"  # in place of what is null, or of what a side lacks: never 0
# The page's tables of metrics. The last one has multiples of others, and what is close to TPOT.
SPEED, SPACE, PAGE_ONLY = "speed", "space", "page only"


@dataclass(frozen=True)
class Shown:
    """How a metric is shown; its unit follows from its name, but for a share."""

    title: str
    column: str = ""  # its header, if it has a column
    table: str = SPACE
    in_markdown: bool = False
    is_share: bool = False


def _speed(title: str, column: str, **more: bool) -> Shown:
    return Shown(title, column, SPEED, **more)


def _page(title: str, column: str, **more: bool) -> Shown:
    return Shown(title, column, PAGE_ONLY, **more)


# Of counters, in either phase, that are called otherwise than they are stored.
COUNTERS = {"python_calls": "Python calls", "c_calls": "C calls"}
METRICS = {  # in the order of the columns
    "round_s": Shown("Round, median"),
    "cold_round_s": Shown("Round, the first of a cold process"),
    "tokens_per_s": _speed("Throughput, all rows", "tokens/s", in_markdown=True),
    "ttft_s": _speed("Time to first token (TTFT)", "TTFT", in_markdown=True),
    "tpot_s": _speed("Time per output token (TPOT)", "TPOT", in_markdown=True),
    "scaling_efficiency": _speed(
        "Scaling efficiency of replicas", "scaling", in_markdown=True, is_share=True
    ),
    "host_cores": _speed("Host cores used by replicas", "cores", in_markdown=True),
    "itl_p95_s": _speed("Inter-token latency, p95", "p95"),
    "itl_p99_s": _speed("Inter-token latency, p99", "p99"),
    "decode_device_s": _speed("Device time of a decode step", "device", in_markdown=True),
    "decode_busy_share": _speed("Busy share of a decode step", "busy", in_markdown=True),
    "decode_collectives_s": _speed(
        "Device time of collectives in a decode step", "collectives", in_markdown=True
    ),
    "decode.python_calls": _speed(f"Decode: {COUNTERS['python_calls']}", "calls", in_markdown=True),
    "decode.c_calls": Shown(f"Decode: {COUNTERS['c_calls']}"),
    "prefill_device_s": Shown("Device time of the prefill"),
    "prefill_collectives_s": Shown("Device time of collectives in the prefill"),
    "prefill_busy_share": Shown("Busy share of the prefill"),
    "script_speed": _speed("The old script's “Speed”", "script's"),
    "tokens_per_s_per_row": _page("Throughput, per row", "per row"),
    "itl_p50_s": _page("Inter-token latency, p50", "ITL p50"),
    "prefill_tokens_per_s": _page("Prefill rate", "prefill/s"),
    "decode_tokens_per_s": _page("Decode rate", "decode/s"),
    "joules_per_token": Shown("Energy per token", "J/token", in_markdown=True),
    "compile_s": Shown("Compiling the decode step", "compile"),
    "load_s": Shown("Loading the model", "load"),
    "weights_bytes": Shown("Weights", "weights"),
    "peak_allocated_bytes": Shown(
        "Peak of device memory, allocated", "allocated", in_markdown=True
    ),
    "peak_reserved_bytes": Shown("Peak of device memory, reserved", "reserved"),
    "peak_resident_bytes": Shown("Peak of host memory", "resident"),
    "decode_bytes": Shown("Bytes read by a decode step", "bytes/step"),
    "speed_of_light_tpot_s": Shown("Speed of light of TPOT", "light"),
    "mbu": Shown("Memory bandwidth utilisation (MBU)", "MBU", is_share=True),
    "cold_start_ratio": Shown("Cold start, first ÷ third", "cold/warm"),
    "decode_weight_bytes": Shown("Weights read by a decode step"),
    "decode_kv_cache_bytes": Shown("KV cache read by a decode step"),
    "logits_relative_error": Shown("Logits, relative error against 16 bits", is_share=True),
    "logits_kl_nats": Shown("Logits, KL divergence from 16 bits"),
    "top1_agreement": Shown("Top-1 agreement with 16 bits", is_share=True),
}


ALL = "all"
# What a terminal shows unless it is asked for more. Host memory stands in for that of a GPU.
BY_DEFAULT = (
    "tokens_per_s",
    "ttft_s",
    "tpot_s",
    "scaling_efficiency",
    "host_cores",
    "decode_device_s",
    "decode_busy_share",
    "decode_collectives_s",
    "decode.python_calls",
    "compile_s",
    "peak_allocated_bytes",
)
WITHOUT_A_GPU = "peak_resident_bytes"


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


def figure(info: Mapping[str, Any], metric: str) -> float | None:
    """Return a metric of a benchmark, or a counter of one decode step; None if unmeasured."""
    phase, dot, counter = metric.partition(".")
    if not dot:
        value: float | None = info["metrics"].get(metric)
        return value
    total = ((info.get("counters") or {}).get(phase) or {}).get(counter)
    steps = measures.counted_steps(info)
    return None if total is None or steps is None else float(total / steps)


def title(metric: str) -> str:
    """Return what a metric is called; a counter by its phase, one that isn't known as it is."""
    phase, dot, counter = metric.partition(".")
    if not dot:
        return METRICS[metric].title if metric in METRICS else metric
    return f"{phase.capitalize()}: {COUNTERS.get(counter, counter.replace('_', ' '))}"


def known(records: Records, table: str) -> list[str]:
    """Return the metrics of a table of the page that some benchmark has a number for."""
    return [
        metric
        for metric, each in METRICS.items()
        if each.column and each.table == table and _is_known(metric, records)
    ]


def markdown_rows(records: Records) -> list[list[str]]:
    """Return a header, and a row for each benchmark, of name and record: what matters most.

    A column that no benchmark has a number for is left out.
    """
    metrics = [metric for metric, each in METRICS.items() if each.in_markdown]
    return _table(records, [each for each in metrics if _is_known(each, records)])


def chosen(names: str | None) -> tuple[str, ...] | None:
    """Return the metrics whose columns are asked for, by header or stored name; None by default.

    Raises InputError for a name that no column has.
    """
    if names is None:
        return None
    known = {metric: metric for metric, each in METRICS.items() if each.column}
    known |= {METRICS[metric].column.lower(): metric for metric in known}
    asked = [name.strip().lower() for name in names.split(",")]
    if asked == [ALL]:
        return tuple(metric for metric, each in METRICS.items() if each.column)
    if unknown := [name for name in asked if name not in known]:
        headers = ", ".join(each.column for each in METRICS.values() if each.column)
        raise InputError(
            f"--columns: expected {ALL} or names of columns, got {unknown[0]!r}; "
            f"the columns are {headers}"
        )
    return tuple(dict.fromkeys(known[name] for name in asked))


def terminal_rows(records: Records, metrics: Sequence[str] | None = None) -> list[list[str]]:
    """Return a header and a row for each benchmark: what was chosen, or by default what matters.

    A column that no benchmark has a number for is left out.
    """
    if metrics is None:
        on_gpu = _is_known("peak_allocated_bytes", records)
        metrics = BY_DEFAULT if on_gpu else (*BY_DEFAULT, WITHOUT_A_GPU)
    return _table(records, [each for each in metrics if _is_known(each, records)])


def _is_known(metric: str, records: Records) -> bool:
    return any(figure(info, metric) is not None for _, info in records)


def _table(records: Records, metrics: Sequence[str]) -> list[list[str]]:
    header = ["benchmark", *(METRICS[each].column for each in metrics)]
    return [header, *([name, *(shown(each, info) for each in metrics)] for name, info in records)]


def doubts(info: Mapping[str, Any]) -> Sequence[str]:
    """Return why the device time of a benchmark can't be trusted; empty if it can."""
    validity = (info.get("device_time") or {}).get("validity") or {}
    found: Sequence[str] = validity.get("reasons") or ()
    return found or (("its file says INVALID",) if validity.get("valid") is False else ())


def mark(info: Mapping[str, Any]) -> str:
    """Return what stands beside a device time of a benchmark: nothing if it can be trusted."""
    return " !" if doubts(info) else ""


def shown(metric: str, info: Mapping[str, Any]) -> str:
    """Return a metric of a benchmark as its column has it; `!` beside doubtful device times."""
    value = figure(info, metric)
    marked = value is not None and measures.is_of_the_device(metric)
    return cell(metric, value) + (mark(info) if marked else "")


def cell(metric: str, value: float | None) -> str:
    """Return a value as a column has it: a rate without its unit, which the header says."""
    if value is None:
        return "-"
    if metric.endswith("_ratio"):
        return f"{value:.3g}x"
    if metric.endswith("_calls"):
        return f"{value:,.0f}"
    found = unit(metric, [value]).name
    return rate(value) if found.endswith("/s") or found == "J" else text(metric, value)


def _is_share(metric: str) -> bool:
    known = METRICS.get(metric)
    return bool(known and known.is_share) or metric.endswith("_share") or metric == "utilization"


def unit(metric: str, values: Iterable[float]) -> Unit:
    """Return the largest unit in which the largest of the values is at least one."""
    if _is_share(metric):
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
    if _is_share(metric):
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
