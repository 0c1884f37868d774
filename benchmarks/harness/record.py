"""What is stored of a benchmark: `extra_info`, as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import device as devices
from benchmarks.harness import footprint
from benchmarks.harness.loading import THRESHOLDS, dtype_name
from benchmarks.harness.metrics import (
    Machine,
    Metric,
    Round,
    Unmeasured,
    as_stored,
    generation_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness.engine import Engine
    from benchmarks.harness.loading import Target
    from benchmarks.harness.workload import Workload

SCHEMA = 1


def extra_info(
    target: Target,
    engine: Engine,
    workload: Workload,
    rounds: Sequence[Round],
    more: Mapping[str, Metric],
) -> dict[str, Any]:
    """Return everything that is stored of a benchmark beside pytest-benchmark's own times.

    `more` are metrics that this benchmark alone has.
    """
    placement = place(engine.model)
    metrics = generation_metrics(
        rounds,
        batch_size=workload.batch_size,
        prompt_tokens=workload.prompt_tokens,
        new_tokens=workload.new_tokens,
        cost=engine.cost(),
        machine=_machine(engine, placement),
    )
    values, reasons = as_stored({**metrics, **more})
    return {
        "schema": SCHEMA,
        "workload": describe(target, engine, workload),
        "metrics": values,
        "unmeasured": reasons,
        "placement": placement,
        "rounds": [each.record() for each in rounds],
    }


def describe(target: Target, engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return what was measured: two records that differ here measured different things."""
    checkpoint, quantization = target.checkpoint, engine.quantization
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "weights": checkpoint.weights,
        "outlier_channels": checkpoint.outlier_channels,
        "quantization": quantization,
        "threshold": THRESHOLDS.get(quantization),
        "dtype": dtype_name(target.settings, quantization),
        "attn_implementation": target.settings.attn_implementation,
        "device": engine.device.type,
        "device_map": target.settings.device_map,
        "batch_size": workload.batch_size,
        "prompt_tokens": workload.prompt_tokens,
        "new_tokens": workload.new_tokens,
        "distinct_prompts": workload.distinct_prompts,
        "prompts_sha256": workload.prompts_sha256,
    }


def place(model: Any) -> dict[str, dict[str, int | None]]:
    """Return, by device, the bytes of weights there, and the peak bytes since the last reset."""
    import torch

    placement: dict[str, dict[str, int | None]] = {}
    for name, weights in footprint.weights_bytes_by_device(model).items():
        entry = placement.setdefault(name, {"weights_bytes": weights})
        cuda = name.startswith("cuda")
        entry["peak_allocated_bytes"] = torch.cuda.max_memory_allocated(name) if cuda else None
        entry["peak_reserved_bytes"] = torch.cuda.max_memory_reserved(name) if cuda else None
    return placement


def _machine(engine: Engine, placement: Mapping[str, Mapping[str, int | None]]) -> Machine:
    return Machine(
        peak_allocated_bytes=_total(placement, "peak_allocated_bytes"),
        peak_reserved_bytes=_total(placement, "peak_reserved_bytes"),
        peak_resident_bytes=devices.peak_resident_bytes()
        if engine.knows_peak_resident
        else Unmeasured("the peak of one benchmark needs Linux's /proc/self/clear_refs"),
        bandwidth_bytes_per_s=devices.memory_bandwidth_bytes_per_s(engine.device),
    )


def _total(placement: Mapping[str, Mapping[str, int | None]], name: str) -> Metric:
    """Add a peak over all devices; on several GPUs each peak counts, whenever it came."""
    values = [entry[name] for entry in placement.values()]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Unmeasured("torch counts the bytes of CUDA devices only")
    return sum(known)
