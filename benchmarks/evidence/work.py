"""The work of a workload: what is asked of the host, and how long the GPU works. Untimed runs.

The wall time of a round is the host's if the host is slow, and noisy if the host is shared. What
the host is asked to do can be counted, and what the GPU does has a clock of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Metric, Unmeasured
from benchmarks.config.generation import MODES
from benchmarks.evidence import attestation, counters, device_time
from benchmarks.evidence.tracing import DECODE_STEPS
from benchmarks.modes import attested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.config.settings import Settings
    from benchmarks.config.workload import Workload
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine, Generation

METRICS = ("prefill_device_s", "decode_device_s", "prefill_busy_share", "decode_busy_share")
SETTLING = 2  # generations in which what is compiled becomes CUDA graphs, before it is counted
NO_DEVICE = Unmeasured("on the CPU kernels run on the wall, and have no time of their own")
WALL = {"prefill": "ttft_s", "decode": "tpot_s"}  # that the device time of a phase is a part of


@dataclass(frozen=True)
class Work:
    """What is stored of the work of one workload, and the path that its linears took."""

    counters: dict[str, Any]
    path: dict[str, Any]
    device_time: dict[str, Any] | None
    no_device_time: Unmeasured | None
    uncalled: str | None  # why calls were not counted


def play(benchmark: Any, engine: Engine, workload: Workload) -> list[Generation]:
    """Generate as many tokens as the counters need, once, as the only round of a benchmark.

    pytest-benchmark wants a round. Nothing reads how long it took.
    """
    tokens = min(workload.new_tokens, DECODE_STEPS.stop)
    short = replace(workload, new_tokens=tokens)
    engine.prepare(short)
    return [benchmark.pedantic(engine.generate, args=(short,), rounds=1)]


def measure(
    engine: Engine, workload: Workload, gpu: Gpu | Unmeasured | None, settings: Settings
) -> Work:
    """Count, watch the path, and measure the device time of a prepared workload.

    Raises AttestationError if another path was taken, and ProfilerError.
    """
    engine.prepare(workload)  # a mode before may have left what it compiled
    is_compiled = MODES[workload.generation].is_compiled
    if is_compiled:
        for _ in range(SETTLING):
            engine.run(workload, DECODE_STEPS.stop)
    counted = counters.count(engine, workload)
    if is_compiled and not counted.record["decode"].get("compiled_regions"):
        raise attested.ran_eagerly(engine.quantization, workload, "no traced step called a graph")
    steps = range(*counted.record["decode_steps"])
    path = attestation.attest_workload(engine, workload, counted.record)
    spent: dict[str, Any] | Unmeasured = NO_DEVICE
    if engine.device.type == "cuda":
        spent = device_time.measure(
            counters.phases(engine, workload, steps),
            {"prefill": 1, "decode": len(steps)},
            counted.events,
            gpu=gpu,
            count=settings.device_repeats,
            bounds=settings.bounds,
        )
    if isinstance(spent, Unmeasured):
        return Work(counted.record, path, None, spent, counted.uncalled)
    return Work(counted.record, path, spent, None, counted.uncalled)


def metrics(
    work: Work, timed: Mapping[str, float | None], untimed: Mapping[str, str]
) -> dict[str, Metric]:
    """Return device time in seconds, and as the share of the wall; `timed` are the metrics of it.

    Of the prefill, and of a decode step. The share is of TTFT and TPOT as they were timed, without
    tracing: what is left is the host's. `untimed` says why a metric of the wall is missing.
    """
    found: dict[str, Metric] = {}
    for phase, wall in WALL.items():
        wall_s = timed.get(wall)
        spent = work.no_device_time or Unmeasured("")
        if work.device_time:
            spent = device_time.middle_s(work.device_time[phase])  # type: ignore[assignment]
        found[f"{phase}_device_s"] = spent
        found[f"{phase}_busy_share"] = (
            spent
            if isinstance(spent, Unmeasured)
            else spent / wall_s
            if wall_s
            else Unmeasured(untimed.get(wall, f"there is no {wall} to compare with"))
        )
    return found
