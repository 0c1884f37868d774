"""What a decode step waits for if another process works on the same GPU, beside one that is alone.

Without MPS a GPU gives two processes time in turns. This shows what a turn costs: how long calls
wait for the GPU, and how its kernels follow each other, in decode steps that are traced.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.evidence import kineto, tracing
from benchmarks.evidence.tracing import DECODE_STEPS
from benchmarks.model import loading
from tests.tools import neighbour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.kineto import Event
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

TRACES, GENERATIONS = 2, 4


def measure(
    target: Target, quantizations: Sequence[str], options: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what is seen of each quantization alone, and beside a process that generates the same.

    `options` are the other's: its model and device.
    """
    found = []
    for quantization in quantizations:
        with loading.load(target, quantization, cold=False) as engine:
            workload = target.workload(target.settings.batch_sizes[0], 16)
            engine.prepare(workload)
            engine.generate(workload)
            one = {"quantization": quantization, "batch_size": workload.batch_size}
            one["alone"] = _measure(engine, workload)
            given = [f"--quantization={quantization}", f"--batch-size={workload.batch_size}"]
            with neighbour.beside([*options, *given]):
                one["together"] = _measure(engine, workload)
            found.append(one)
    return found


def _measure(engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return the median seconds of a decode step that isn't traced, and what traces show."""
    steps: list[float] = []
    for _ in range(GENERATIONS):
        marks = engine.generate(workload).marks.elapsed_s()
        steps += [end - start for start, end in pairwise(marks[2:])]
    return {
        "step_s": median(steps),
        "traces": [figures(_traced(engine, workload)) for _ in range(TRACES)],
    }


def _traced(engine: Engine, workload: Workload) -> list[Event]:
    """Return what CUPTI recorded of the decode steps that the suite counts."""
    from torch.profiler import ProfilerActivity, profile

    activity = getattr(ProfilerActivity, engine.device.type.upper())
    trace = profile(activities=[activity])
    tracing.decode_within(engine, workload, DECODE_STEPS, tracing.recording(trace))
    return kineto.read(trace)


def figures(events: Sequence[Event]) -> dict[str, Any]:
    """Return how long kernels took, the GPU paused between them, and calls waited for it."""
    launched = [each.start_ns for each in events if kineto.LAUNCH.match(each.name)]
    start, end = min(launched, default=0), max(launched, default=0)
    # Around them are waits of the recording's own.
    calls = [each for each in events if each.is_call and start <= each.start_ns <= end]
    return {
        "steps": len(DECODE_STEPS),
        "damage": kineto.damage(events),
        "kernels": spread([each.duration_ns for each in events if each.is_work]),
        "pauses": spread(pauses(events)),
        "waits": spread([each.duration_ns for each in calls if "Synchronize" in each.name]),
        "launches": spread([each.duration_ns for each in calls if kineto.LAUNCH.match(each.name)]),
    }


def pauses(events: Sequence[Event]) -> list[int]:
    """Return the nanoseconds between the end of what the GPU did and the start of the next."""
    found, end = [], None
    for each in sorted((one for one in events if one.is_work), key=lambda one: one.start_ns):
        if end is not None and each.start_ns > end:
            found.append(each.start_ns - end)
        end = max(end or 0, each.start_ns + each.duration_ns)
    return found


def spread(durations_ns: Sequence[int]) -> dict[str, float]:
    """Return number, total seconds, and percentiles in microseconds."""
    found: dict[str, float] = {"count": len(durations_ns), "total_s": sum(durations_ns) / 1e9}
    if len(durations_ns) > 1:
        cuts = quantiles(durations_ns, n=20, method="inclusive")
        found |= {f"p{p}_us": cuts[p // 5 - 1] / 1e3 for p in (5, 50, 95)}
    return found
