"""Whether the machine could be believed while rounds were timed. Pure: readings in, reasons out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from benchmarks.harness import observe
from benchmarks.harness.host import Reading
from benchmarks.harness.metrics import as_stored
from benchmarks.harness.observe import Observations

STOP_OTHERS = "stop what else runs on this machine, or measure when it is done"
COOL = "let the GPU cool down, or set its clocks lower (nvidia-smi --lock-gpu-clocks)"


def _bound(default: float, what: str, next_step: str) -> Any:
    """Declare a bound that its reading must not exceed, and what to say if it does."""
    return field(default=default, metadata={"what": what, "next_step": next_step})


@dataclass(frozen=True)
class Bounds:
    """The largest value of each reading, by its name, at which the machine is believed.

    "Quiet" are 20 processes with 5 rounds of a one-thread torch workload on a shared 2-core
    machine; "neighbour" are 4 more, with another process spinning on the same core.
    """

    # Quiet: 1.7 to 6.9; neighbour: 124 to 125. Beside one on the other core, 14 runs
    # above 60 took 8 % longer than 16 quiet ones, and 9 runs between 30 and 60 no longer.
    involuntary_switches_per_s: float = _bound(
        60, "involuntary context switches per second", STOP_OTHERS
    )
    # Quiet: at most 0.004; neighbour: 0.50.
    core_wait_share: float = _bound(
        0.05, "share of the time in which threads waited for a core", STOP_OTHERS
    )
    # Quiet: at most 0.004; neighbour: 0.50.
    off_core_share: float = _bound(
        0.1,
        "share of the time in which this process had no core (1 - CPU time / wall time)",
        STOP_OTHERS,
    )
    # A neighbour on the other of two cores (excess 0.02) moved the median by 1 to 6 %, three on
    # two cores (0.5) doubled it.
    crowding_cores: float = _bound(
        0.25, "cores that others and this process used beyond those of the machine", STOP_OTHERS
    )
    # One task too many on average. The load average lags by a minute, so it counts only where
    # the machine doesn't tell how busy others were.
    excess_load: float = _bound(1, "load average beyond the cores of the machine", STOP_OTHERS)
    # No throttling is harmless: it stops every thread for the rest of a period, 100 ms as a rule.
    throttled_share: float = _bound(
        0,
        "share of the time in which a CPU quota stopped this process",
        "raise the quota of the container, or lower --threads",
    )
    # The machine neither swapped nor waited for memory in any quiet run: both 0.
    memory_stall_share: float = _bound(
        0.01, "share of the time in which processes waited for memory", "free memory"
    )
    swapped_pages_per_s: float = _bound(100, "pages swapped per second", "free memory")
    # Two threads with a busy neighbour on one of two cores took up to 150 times longer.
    threads_over_cores: float = _bound(
        0,
        "torch threads beyond the cores that this process may use",
        "lower --threads, or raise the quota or affinity",
    )
    # Quiet: at most 0.11 on the device, and 0.17 on the host but for one run of 0.31; neighbour:
    # 0.8 to 1.2. The exceptions are real: now and then, for tenths of a second to some seconds, a
    # core of that virtual machine was slow without any counter that told so, and then Python took
    # 1.5 times longer, small operators of torch 1.4 times, and matrix products 1.02 times.
    control_device_slowdown: float = _bound(
        0.25, "slowdown of the control on the device", "measure again when the machine is steady"
    )
    control_host_slowdown: float = _bound(
        0.25, "slowdown of the control on the host", "measure again when the machine is steady"
    )
    # Of 40 recorded sessions of 20 rounds 4 drifted by more, over slow stretches of the machine; of
    # the same 40 cut to 5 rounds, one.
    trend_size: float = _bound(
        0.15,
        "drift from the first round to the last, as a share of the median",
        "measure again when the machine is steady",
    )
    # The most in the first five rounds of those 40 sessions is 0.135. After five warm-up rounds.
    first_round_excess: float = _bound(
        0.15,
        "excess of the first round over the median of the others",
        "raise --warmup-rounds",
    )
    # A median bears them; the 40 sessions have 0.15 at most.
    outlier_share: float = _bound(
        0.2, "share of rounds far from the median", "measure again when the machine is steady"
    )
    # On an idle H100, 5 sets of rounds: no throttling, a clock that never moved, 51 degrees below
    # the limit, no error. A sample stands for a tenth of a second, and a reason to lower clocks is
    # none of the software under test.
    throttled_samples_share: float = _bound(
        0, "share of samples in which the GPU held its clocks down", COOL
    )
    # Of the highest, over at least a quarter of the samples, which then can move the median; a
    # step of the clock is 15 MHz, or 1 %.
    clock_drop: float = _bound(0.05, "drop of the SM clock", COOL)
    # Within two degrees of where the driver slows the GPU down.
    degrees_over_limit: float = _bound(
        -2, "degrees Celsius above the GPU's slowdown temperature", COOL
    )
    other_gpu_processes: float = _bound(
        0, "other processes on the GPU", "stop them, or use another GPU (CUDA_VISIBLE_DEVICES)"
    )
    ecc_errors: float = _bound(
        0, "memory errors of the GPU during the rounds", "reset the GPU; if they stay, replace it"
    )


@dataclass(frozen=True)
class Validity:
    """The judgement, why, and everything that it looked at."""

    valid: bool
    reasons: tuple[str, ...]
    readings: Mapping[str, Reading]
    lifted: tuple[str, ...] = ()  # bounds that the user took away

    def as_record(self) -> dict[str, Any]:
        """Return it as it is stored: null where unmeasured, and the reasons for that by name."""
        values, unmeasured = as_stored(self.readings)  # type: ignore[arg-type]
        return {
            "valid": self.valid,
            "reasons": list(self.reasons),
            "bounds_lifted": list(self.lifted),
            "readings": values,
            "unmeasured": unmeasured,
        }


def judge(seen: Observations, bounds: Bounds | None = None) -> Validity:
    """Return whether the rounds count: no reading that was measured exceeds its bound."""
    bounds = bounds or Bounds()
    readings = observe.readings(seen)
    details = {
        "throttled_samples_share": readings["throttle_reasons"],
        "other_gpu_processes": readings["other_gpu_pids"],
    }
    reasons = []
    for each in fields(bounds):
        value, bound = readings[each.name], getattr(bounds, each.name)
        if isinstance(value, (int, float)) and value > bound:
            detail = f" ({details[each.name]})" if each.name in details else ""
            reasons.append(
                f"{each.metadata['what']}: {value:.3g}{detail}, bound {bound:g}; "
                f"{each.metadata['next_step']}"
            )
    lifted = tuple(each.name for each in fields(bounds) if getattr(bounds, each.name) == inf)
    return Validity(not reasons, tuple(reasons), readings, lifted)
