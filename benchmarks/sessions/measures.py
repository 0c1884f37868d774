"""What a session measured, by benchmark and metric: the value, its unit, and which way is better.

Pure. Histories, exports, the page, and the steps of a creep take their numbers from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.sessions import schema
from benchmarks.sessions.outcome import TIMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.sessions.session import Measured, Record, Session

# Multiples of another metric, for one workload: a history of them says nothing.
MULTIPLES = frozenset(
    {"script_speed", "tokens_per_s_per_row", "prefill_tokens_per_s", "decode_tokens_per_s"}
)
DEVICE_TIMES = {"prefill": "prefill_device_s", "decode": "decode_device_s"}  # by phase
DEVICE_PHASES = {metric: phase for phase, metric in DEVICE_TIMES.items()}
HOST_COPY = re.compile(r"Memcpy (DtoH|HtoD)")  # a kernel that copies between card and host
AGREEMENT = ("logits_relative_error", "logits_kl_nats", "top1_agreement")
# More is better.
RISES = frozenset({"tokens_per_s", "mbu", "scaling_efficiency", "top1_agreement", *MULTIPLES})
# Of neither more nor less is better: what a machine can do or is asked to, and how times divide.
FACTS = frozenset(
    {"speed_of_light_tpot_s", "decode_busy_share", "prefill_busy_share", "host_cores"}
)
UNITS = {
    "tokens_per_s": "tokens/s",
    "script_speed": "tokens/s",
    "joules_per_token": "J",
    "host_cores": "cores",
}
SUFFIXES = {"tokens_per_s": "tokens/s", "_s": "s", "_bytes": "B", "_nats": "nats"}
COUNT, RATIO = "count", "ratio"
KINDS = ("device", "counter", "memory", "agreement", "time")  # work before the wall
MEMORY = ("weights_bytes", "peak_allocated_bytes")  # that is judged; so are peaks of a phase


class Better(StrEnum):
    """Which way a metric gets better."""

    MORE = "more"
    LESS = "less"
    NEITHER = "neither"


@dataclass(frozen=True)
class Measure:
    """One metric of one benchmark of one session, in its base unit."""

    benchmark: str  # fullname
    metric: str
    value: float
    unit: str
    better: Better


def of_session(session: Session) -> Iterator[Measure]:
    """Yield all that a session measured, less what can't be trusted."""
    for name, measured in session.measured.items():
        for metric, value in trusted(measured).items():
            yield Measure(name, metric, value, unit(metric), better(metric))


def trusted(measured: Measured) -> dict[str, float]:
    """Return what a benchmark measured, by name, less what can't be trusted."""
    found = values(measured).items()
    return {metric: value for metric, value in found if is_trusted(measured, metric)}


def has_untrusted(session: Session) -> bool:
    """Whether some metric of a session can't be trusted."""
    return any(
        not is_trusted(measured, metric)
        for measured in session.measured.values()
        for metric in values(measured)
    )


def values(measured: Measured) -> dict[str, float]:
    """Return what a benchmark measured, by name: times, other metrics, and counters.

    A time is the median of its rounds or repeats. Counters are those of the prefill, and of a
    decode step, as in the tables of metrics.
    """
    rounds = {"round_s": median(measured.rounds_s)} if measured.rounds_s else {}
    if rounds and measured.info.get("cold_process"):
        rounds["cold_round_s"] = measured.rounds_s[0]
    metrics = {
        name: value
        for name, value in measured.metrics.items()
        if value is not None and name not in MULTIPLES
    }
    return rounds | metrics | _device_times(measured) | _counters(measured)


def _device_times(measured: Measured) -> dict[str, float]:
    spent = measured.device_time
    return {
        metric: median(spent[phase]["repeats_s"])
        for phase, metric in DEVICE_TIMES.items()
        if spent and spent[phase]["repeats_s"]
    }


def _counters(measured: Measured) -> dict[str, float]:
    found: dict[str, float] = {}
    for phase in ("decode", "prefill"):
        counted: dict[str, int] = {}
        for name, count in measured.counters(phase).items():
            total = name.partition(".")[0]
            counted[total] = counted.get(total, 0) + count
        steps = counted_steps(measured.info) if phase == "decode" else 1
        for name in schema.COUNTERS:
            if name in counted and name.endswith("_bytes"):  # a peak
                found[f"{phase}.{name}"] = counted[name]
            elif name in counted and steps:
                found[f"{phase}.{name}"] = counted[name] / steps
    return found


def name_of(metric: str) -> str:
    """Return under which name a judged metric is here: synchronizations of all kinds are one."""
    return ".".join(metric.split(".")[:2])


def counted_steps(info: Record) -> int | None:
    """Return over how many decode steps was counted; None if that isn't known."""
    first, stop = (info.get("counters") or {}).get("decode_steps") or (0, 0)
    return int(stop) - int(first) if stop > first else None


def unit(metric: str) -> str:
    """Return the base unit in which a metric is stored."""
    if metric in UNITS:
        return UNITS[metric]
    fallback = COUNT if "." in metric else RATIO
    return next((name for end, name in SUFFIXES.items() if metric.endswith(end)), fallback)


def better(metric: str) -> Better:
    """Return which way a metric gets better."""
    if metric in FACTS:
        return Better.NEITHER
    return Better.MORE if metric in RISES else Better.LESS


def kind(metric: str) -> str:
    """Return what a metric is of, as verdicts have it."""
    if metric in DEVICE_PHASES:
        return "device"
    if metric.endswith("_bytes"):
        return "memory"
    return "counter" if "." in metric else "agreement" if metric in AGREEMENT else "time"


def is_of_the_wall(metric: str) -> bool:
    """Whether a busy machine touches a metric: no counter, memory, agreement or device time."""
    return kind(metric) == "time"


def is_of_the_device(metric: str) -> bool:
    """Whether a metric is a device time, a part of one, or a share of the wall."""
    return metric in DEVICE_PHASES or metric.endswith(("_busy_share", "_collectives_s"))


def is_judged(measured: Measured, metric: str) -> bool:
    """Whether sessions are judged by a metric; others follow from those, or are noisier."""
    known = kind(metric)
    if known == "time":
        cold = "cold_process" in measured.info  # what follows its first round isn't steady yet
        return metric == "cold_round_s" if cold else metric in TIMES
    return known != "memory" or _gates(metric)


def has_noise(metric: str) -> bool:
    """Whether sessions of the same code differ in a metric."""
    known = kind(metric)
    return known in ("device", "time") or (known == "memory" and not _gates(metric))


def _gates(of_bytes: str) -> bool:
    """Whether bytes are judged: those of the host, and of a cache that only grows, are not."""
    return of_bytes.rpartition(".")[2] in MEMORY


def is_trusted(measured: Measured, metric: str) -> bool:
    """Whether the machine, or for device time the GPU, could be trusted while it was measured."""
    if is_of_the_device(metric) and measured.device_validity.get("valid") is False:
        return False
    return not (is_of_the_wall(metric) and measured.doubts)
