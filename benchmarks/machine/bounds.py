"""The bounds that readings must not exceed, each with what it was measured by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

IDLE = "measure on an idle machine"
LATER = "measure again later"
COOL = "let it cool, or use nvidia-smi -lgc"


class Cause(Enum):
    """What was wrong with the machine. Several readings can show one cause.

    In the order in which they are said: first what the user's own settings explain.
    """

    QUOTA = "CPU quota"
    THREADS = "threads"
    MEMORY = "memory"
    OTHER_PROGRAMS = "other programs"
    GPU_SHARED = "GPU shared"
    GPU_SLOWED = "GPU slowed"
    GPU_ERRORS = "GPU errors"
    SLOWER = "slower machine"
    UNSTEADY = "unsteady rounds"


def _bound(default: float, cause: Cause, says: str, what: str, next_step: str) -> Any:
    """Declare a bound that its reading must not exceed.

    `says` is the cause in a user's words, with its figure: `{share}`, `{number}`, or `{degrees}`.
    `what` names the reading itself.
    """
    return field(
        default=default,
        metadata={"cause": cause, "says": says, "what": what, "next_step": next_step},
    )


@dataclass(frozen=True)
class Bounds:
    """The largest value of each reading, by its name, at which the machine is trusted.

    If several readings show one cause, the words of the first are used. "Quiet" are 20
    processes with 5 rounds of a one-thread torch workload on a shared 2-core machine; "neighbour"
    are 4 more, with another process spinning on the same core.
    """

    # Quiet: at most 0.004; neighbour: 0.50.
    core_wait_share: float = _bound(
        0.05,
        Cause.OTHER_PROGRAMS,
        "other programs used {share} of this core",
        "share of the time in which threads waited for a core",
        IDLE,
    )
    # Quiet: at most 0.004; neighbour: 0.50.
    off_core_share: float = _bound(
        0.1,
        Cause.OTHER_PROGRAMS,
        "this process had no core {share} of the time",
        "share of the time in which this process had no core (1 - CPU time / wall time)",
        IDLE,
    )
    # A neighbour on the other of two cores (excess 0.02) moved the median by 1 to 6 %, three on
    # two cores (0.5) doubled it.
    crowding_cores: float = _bound(
        0.25,
        Cause.OTHER_PROGRAMS,
        "other programs took {number} of this process's cores",
        "cores that others and this process used beyond those of the machine",
        IDLE,
    )
    # One task too many on average. The load average lags by a minute, so it counts only if
    # the machine doesn't tell how busy others were.
    excess_load: float = _bound(
        1,
        Cause.OTHER_PROGRAMS,
        "{number} more tasks than cores wanted to run",
        "load average beyond the cores of the machine",
        IDLE,
    )
    # Quiet: 1.7 to 6.9; neighbour: 124 to 125. Beside one on the other core, 14 runs
    # above 60 took 8 % longer than 16 quiet ones, and 9 runs between 30 and 60 no longer.
    involuntary_switches_per_s: float = _bound(
        60,
        Cause.OTHER_PROGRAMS,
        "this process was interrupted {number} times/s",
        "involuntary context switches per second",
        IDLE,
    )
    # No throttling is harmless: it stops every thread for the rest of a period, 100 ms as a rule.
    throttled_share: float = _bound(
        0,
        Cause.QUOTA,
        "a CPU quota took {share} of the time",
        "share of the time in which a CPU quota stopped this process",
        "raise the quota, or lower --threads",
    )
    # Two threads with a busy neighbour on one of two cores took up to 150 times longer.
    threads_over_cores: float = _bound(
        0,
        Cause.THREADS,
        "torch's threads exceeded the cores by {number}",
        "torch threads beyond the cores that this process may use",
        "lower --threads",
    )
    # The machine neither swapped nor waited for memory in any quiet run: both 0.
    memory_stall_share: float = _bound(
        0.01,
        Cause.MEMORY,
        "programs waited for memory {share} of the time",
        "share of the time in which processes waited for memory",
        "free memory",
    )
    swapped_pages_per_s: float = _bound(
        100,
        Cause.MEMORY,
        "{number} pages of memory were swapped a second",
        "pages swapped per second",
        "free memory",
    )
    other_gpu_processes: float = _bound(
        0,
        Cause.GPU_SHARED,
        "other programs used the GPU: {number}",
        "other processes on the GPU",
        "stop them, or set CUDA_VISIBLE_DEVICES",
    )
    # On an idle H100, 5 sets of rounds: no throttling, a clock that never moved, 51 degrees below
    # the limit, no error. A sample stands for a tenth of a second, and a reason to lower clocks is
    # none of the software under test.
    throttled_samples_share: float = _bound(
        0,
        Cause.GPU_SLOWED,
        "the GPU was throttled {share} of the time",
        "share of samples in which the GPU held its clocks down",
        COOL,
    )
    # Of the highest, over at least a quarter of the samples, which then can move the median; a
    # step of the clock is 15 MHz, or 1 %.
    clock_drop: float = _bound(
        0.05, Cause.GPU_SLOWED, "the GPU's clock fell by {share}", "drop of the SM clock", COOL
    )
    # Within two degrees of where the driver slows the GPU down.
    degrees_over_limit: float = _bound(
        -2,
        Cause.GPU_SLOWED,
        "the GPU was {degrees} its limit",
        "degrees Celsius above the GPU's slowdown temperature",
        COOL,
    )
    ecc_errors: float = _bound(
        0,
        Cause.GPU_ERRORS,
        "errors of the GPU's memory: {number}",
        "memory errors of the GPU during the rounds",
        "reset the GPU; if they stay, replace it",
    )
    # Quiet: at most 0.17 in Python but for one run of 0.31, and 0.11 in matrix products;
    # neighbour: 0.8 to 1.2. The exceptions are real: now and then, for tenths of a second to some
    # seconds, a core of that virtual machine was slow without any counter that told so, and then
    # Python took 1.5 times longer, small operators of torch 1.4 times, and matrix products 1.02
    # times.
    control_host_slowdown: float = _bound(
        0.25,
        Cause.SLOWER,
        "the same work took {share} longer than at best",
        "slowdown of the control on the host",
        LATER,
    )
    control_device_slowdown: float = _bound(
        0.25,
        Cause.SLOWER,
        "matrix products took {share} longer than at their best",
        "slowdown of the control in matrix products",
        LATER,
    )
    # The most in the first five rounds of 40 recorded sessions of 20 rounds is 0.135. After five
    # warm-up rounds.
    first_round_excess: float = _bound(
        0.15,
        Cause.UNSTEADY,
        "the first round took {share} longer than the others",
        "excess of the first round over the median of the others",
        "raise --warmup-rounds",
    )
    # Of those 40 sessions 4 drifted by more, over slow stretches of the machine; of the same 40
    # cut to 5 rounds, one.
    trend_size: float = _bound(
        0.15,
        Cause.UNSTEADY,
        "the rounds drifted by {share} from first to last",
        "drift from the first round to the last, as a share of the median",
        LATER,
    )
    # A median bears them; the 40 sessions have 0.15 at most.
    outlier_share: float = _bound(
        0.2,
        Cause.UNSTEADY,
        "{share} of the rounds were far from the others",
        "share of rounds far from the median",
        LATER,
    )


@dataclass(frozen=True)
class Finding:
    """A reading beyond its bound."""

    reading: str  # the name of its bound
    value: float
    bound: float
    detail: str = ""  # which processes, which reasons of the driver's

    def as_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if value != ""}


ABOUT: Mapping[str, Mapping[str, Any]] = {each.name: each.metadata for each in fields(Bounds)}
# Of the rounds of one process. In a duet its partner's are held to the same.
UNSTEADY = tuple(name for name, each in ABOUT.items() if each["cause"] is Cause.UNSTEADY)
