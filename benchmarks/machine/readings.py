"""From what was seen around the timed rounds to the readings that are judged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from benchmarks.common.quantity import NO_GPU, Reading, Unmeasured, percentile
from benchmarks.machine import steadiness

# A cap of power is what much work brings on many cards; what it costs, the drop of the clock tells.
HARMLESS_CLOCK_REASONS = frozenset(
    {"gpu_idle", "applications_clocks_setting", "display_clock_setting", "sw_power_cap"}
)
SHORTEST_WINDOW_S = 1.0  # events of less than this count as events of one second
SHORTEST_SHARE_S = 0.25  # of less, the steps of the kernel's clocks are a large share


@dataclass(frozen=True)
class Observations:
    """What was seen around the timed rounds; a reading that isn't there counts as unmeasured.

    `facts` don't change; `counts` are how far counters moved, and the load average at the end;
    `samples` came in between; `controls` are the seconds of the control, in order: at the start of
    the session, before, after. `cold` rounds are meant to include the first of a process, so they
    needn't be steady. `no_gpu` is why there are no readings of a GPU, if there are none.
    """

    device: str
    rounds_s: Sequence[float]
    facts: Mapping[str, Reading]
    counts: Mapping[str, Reading]
    samples: Sequence[Mapping[str, Reading]] = ()
    controls: Sequence[Mapping[str, float]] = ()
    cold: bool = False
    no_gpu: Unmeasured = NO_GPU


def readings_of(seen: Observations) -> dict[str, Reading]:
    """Return every reading by name; those that a bound limits have the bound's name."""
    return {
        **seen.facts,
        **_host(seen),
        **_gpu(seen),
        **_control(seen.controls),
        **_rounds(seen.rounds_s, cold=seen.cold),
    }


def _host(seen: Observations) -> dict[str, Reading]:
    passed = seen.counts.get
    wall_s, cpu_s = _given(passed("wall_s")), _given(passed("cpu_s"))

    def rate(name: str) -> Reading:
        return _per(wall_s, passed(name), SHORTEST_WINDOW_S)

    def share(name: str) -> Reading:
        return _per(wall_s, passed(name), SHORTEST_SHARE_S)

    busy_s = combine(lambda busy, own: busy - own, passed("machine_busy_s"), cpu_s)
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "load_average": _given(passed("load_average")),
        "involuntary_switches_per_s": rate("involuntary_switches"),
        "voluntary_switches_per_s": rate("voluntary_switches"),
        # The sum over all threads of this process, so that it can exceed the time.
        "core_wait_share": combine(lambda waited: min(1, waited), share("core_wait_s")),
        "steal_share": share("machine_steal_s"),
        "throttled_share": share("throttled_s"),
        "memory_stall_share": share("memory_stall_s"),
        "swapped_pages_per_s": rate("swapped_pages"),
        **_threads(seen, wall_s, cpu_s),
        **_crowding(seen, _per(wall_s, busy_s, SHORTEST_SHARE_S)),
    }


def _per(wall_s: Reading, value: Reading | None, shortest_s: float) -> Reading:
    return combine(lambda count, whole: count / max(whole, shortest_s), value, wall_s)


def _threads(seen: Observations, wall_s: Reading, cpu_s: Reading) -> dict[str, Reading]:
    """Return whether the threads had the cores that they need; on a GPU the host works in one."""
    if seen.device != "cpu":
        return {
            "off_core_share": Unmeasured(
                "on a GPU the host may sleep while it waits for the device"
            ),
            "threads_over_cores": Unmeasured("on a GPU the host works in one thread"),
        }
    away_s = combine(lambda wall, cpu: max(0, wall - cpu), wall_s, cpu_s)
    threads, cores = seen.facts.get("threads"), seen.facts.get("available_cores")
    return {
        "off_core_share": _per(wall_s, away_s, SHORTEST_SHARE_S),
        "threads_over_cores": combine(lambda used, have: max(0, used - have), threads, cores),
    }


def _crowding(seen: Observations, others: Reading) -> dict[str, Reading]:
    """Return how far others, which took so many cores, took this process's."""
    threads = seen.facts.get("threads") if seen.device == "cpu" else 1
    cores, load = seen.facts.get("machine_cores"), seen.counts.get("load_average")
    # Threads beyond the available cores wait for each other, not for other programs.
    own_cores = combine(min, threads, seen.facts.get("available_cores", cores))
    crowding = combine(lambda busy, own, have: busy + own - have, others, own_cores, cores)
    excess_load = combine(lambda average, have: average - have, load, cores)
    known = Unmeasured("not needed: crowding_cores tells how busy others were")
    return {
        "others_cores": others,
        "crowding_cores": crowding,
        "excess_load": excess_load if isinstance(crowding, Unmeasured) else known,
    }


def _gpu(seen: Observations) -> dict[str, Reading]:
    def over(name: str, summary: Callable[[list[Any]], Any]) -> Reading:
        values = [sample[name] for sample in seen.samples if name in sample]
        known = [value for value in values if not isinstance(value, Unmeasured)]
        return summary(known) if known else values[0] if values else seen.no_gpu

    hottest = over("temperature_celsius", max)
    limit = seen.facts.get("slowdown_celsius", seen.no_gpu)
    return {
        "gpu_samples": sum("sm_clock_hz" in sample for sample in seen.samples) or seen.no_gpu,
        "sm_clock_hz": over("sm_clock_hz", median),
        "memory_clock_hz": over("memory_clock_hz", median),
        "temperature_celsius": hottest,
        "power_watts": over("power_watts", fmean),
        "utilization": over("utilization", fmean),
        "memory_used_bytes": over("memory_used_bytes", max),
        "energy_joules": seen.counts.get("total_energy_joules", seen.no_gpu),
        "clock_reasons": over("clock_reasons", _union),
        "throttle_reasons": over(
            "clock_reasons", lambda found: ", ".join(sorted(set().union(*map(_harmful, found))))
        ),
        "throttled_samples_share": over(
            "clock_reasons", lambda found: fmean(bool(_harmful(names)) for names in found)
        ),
        "clock_drop": over("sm_clock_hz", lambda hz: 1 - percentile(hz, 25) / max(hz)),
        "degrees_over_limit": combine(lambda now, most: now - most, hottest, limit),
        "other_gpu_processes": over("other_gpu_processes", max),
        "other_gpu_pids": over("other_gpu_pids", _union),
        "ecc_errors": combine(
            lambda corrected, uncorrected: corrected + uncorrected,
            seen.counts.get("total_ecc_corrected_errors", seen.no_gpu),
            seen.counts.get("total_ecc_uncorrected_errors", seen.no_gpu),
        ),
    }


def _control(controls: Sequence[Mapping[str, float]]) -> dict[str, Reading]:
    """Compare the controls before and after, the last two, with the fastest of the session.

    Slower is what counts: a slow start of the session says nothing of rounds that came later.
    """
    found: dict[str, Reading] = {}
    for part in ("device", "host"):
        times = [control[f"{part}_s"] for control in controls]
        found[f"control_{part}_s"] = max(times[-2:]) if times else Unmeasured("no control was run")
        found[f"control_{part}_slowdown"] = (
            max(times[-2:]) / min(times) - 1
            if len(times) > 1
            else Unmeasured("the control was not run twice")
        )
    return found


def _rounds(rounds_s: Sequence[float], *, cold: bool) -> dict[str, Reading]:
    if cold:
        cause = Unmeasured("the rounds include the first ones of a process on purpose")
        return dict.fromkeys(("trend", "trend_size", "first_round_excess", "outlier_share"), cause)

    def attempt(formula: Callable[[Sequence[float]], float]) -> Reading:
        try:
            return formula(rounds_s)
        except ValueError as error:
            return Unmeasured(str(error))

    trend = attempt(steadiness.trend)
    return {
        "trend": trend,
        "trend_size": combine(abs, trend),
        "first_round_excess": attempt(steadiness.first_excess),
        "outlier_share": attempt(steadiness.outlier_share),
    }


def _given(value: Reading | None) -> Reading:
    return Unmeasured("not read") if value is None else value


def combine(formula: Callable[..., float], *values: Reading | None) -> Reading:
    """Apply a formula to readings; if one is unmeasured, the result is, for its reason."""
    for value in map(_given, values):
        if isinstance(value, Unmeasured):
            return value
    return formula(*values)


def _harmful(names: str) -> set[str]:
    return {name for name in names.split(",") if name} - HARMLESS_CLOCK_REASONS


def _union(lists: Sequence[str]) -> str:
    return ", ".join(sorted({name.strip() for names in lists for name in names.split(",")} - {""}))
