"""The peaks of memory of a workload, by phase, and what holds them."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.allocator import replay
from benchmarks.allocator.on_cpu import OnCpu
from benchmarks.allocator.on_cuda import OnCuda
from benchmarks.common.quantity import ONE_TOKEN, Unmeasured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from benchmarks.allocator.replay import Recorded
    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

STEPS = 2  # decode steps of a history: of an 8B model each has 16,000 events, and a KB for each
TOLERANCE = 0.02  # of the measured peak, by which what is replayed may be off
SEEN = (replay.WEIGHTS, replay.CACHE, replay.ACTIVATIONS, replay.WORKSPACE)  # on the CPU


def measure(
    engine: Engine, workload: Workload, folder: Path | None
) -> dict[str, dict[str, Any] | Unmeasured]:
    """Return what is stored of the peak of each phase, or why there is nothing.

    The workload must be prepared. Snapshots go into `folder`, for pytorch.org/memory_viz.
    """
    import torch

    if engine.device.type != "cuda" and torch._C._autograd._profiler_enabled():
        busy = Unmeasured("another profiler is active in this process")
        return {"prefill": busy, "decode": busy}
    found = record(engine, workload)
    if folder:
        write(found, folder)
    return {"prefill": ONE_TOKEN, "decode": ONE_TOKEN} | {
        phase: summary(each) for phase, each in found.items()
    }


def record(engine: Engine, workload: Workload) -> dict[str, Recorded]:
    """Generate once from a prepared workload, untimed, and return the histories by phase.

    On CUDA the decode steps are the last ones, in which the KV cache is largest. On the CPU they
    are the first ones: what began before the recording isn't seen to end there.
    """
    cuda = engine.device.type == "cuda"
    first = max(1, workload.new_tokens - STEPS) if cuda else 1
    steps = range(first, min(workload.new_tokens, first + STEPS))
    recorder = OnCuda(engine.model) if cuda else OnCpu(engine.model)
    passes = itertools.count(1)  # forward passes: the prefill is the first

    def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        number = next(passes)
        if number == 1:
            recorder.end("prefill", None)
        if steps and number == steps.start:
            recorder.begin()
        return scores

    try:
        recorder.begin()
        engine.run(workload, steps.stop, step)
        if steps:
            recorder.end("decode", steps)
    finally:
        found = recorder.close()
    return found


def write(found: Mapping[str, Recorded], folder: Path) -> None:
    """Write the snapshots; on the CPU there is none."""
    for phase, each in found.items():
        if each.snapshot:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{phase}.memory.pickle").write_bytes(each.snapshot)


def summary(recorded: Recorded) -> dict[str, Any] | Unmeasured:
    """Return the measured peak of a phase, and its parts in bytes, which add up to it.

    Unmeasured if they don't, within TOLERANCE. Without an allocator that counts there is no
    measured peak, and the parts are those that were seen.
    """
    parts: Counter[str] = Counter()
    for each in recorded.histories:
        parts += replay.at_peak(each.before, each.events)[0]
    peaks = recorded.peaks
    if peaks:
        parts[replay.ROUNDING] = peaks.allocated_bytes - peaks.requested_bytes
        off = parts.total() - peaks.allocated_bytes
        if abs(off) > TOLERANCE * peaks.allocated_bytes:
            return Unmeasured(
                f"its parts add up to {parts.total():,} bytes, and the peak that the allocator "
                f"measured is {peaks.allocated_bytes:,}"
            )
    steps = recorded.steps
    return {
        "decode_steps": [steps.start, steps.stop] if steps else None,
        "peak_allocated_bytes": peaks.allocated_bytes if peaks else None,
        "parts": {f"{name}_bytes": parts[name] for name in (replay.HOLDERS if peaks else SEEN)},
    }
