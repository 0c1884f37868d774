"""The memory of a benchmark: what its model weighs, where it is, and its peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Metric, Unmeasured
from benchmarks.machine import host, nvml
from benchmarks.measure.metrics import ModelCost, Peaks
from benchmarks.model import footprint
from benchmarks.model.footprint import weights_bytes_by_device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.model.engine import Engine


def model_cost(engine: Engine) -> ModelCost:
    """Return what this model weighs, and what a decode step reads of it."""
    cache = footprint.cache_bytes(engine.model)
    return ModelCost(
        load_s=engine.load_s,
        weights_bytes=footprint.weights_bytes(engine.model),
        decode_weight_bytes=footprint.decode_weight_bytes(engine.model),
        kv_bytes_per_token=cache.per_token,
        state_bytes=cache.state,
        partly_read=footprint.partly_read(engine.model.config),
        window_tokens=footprint.window_tokens(engine.model.config),
    )


def place(model: Any) -> dict[str, dict[str, int | None]]:
    """Return, by device, the bytes of weights there, and the peak bytes since the last reset."""
    import torch

    placement: dict[str, dict[str, int | None]] = {}
    for name, weights in weights_bytes_by_device(model).items():
        entry = placement.setdefault(name, {"weights_bytes": weights})
        cuda = name.startswith("cuda")
        entry["peak_allocated_bytes"] = torch.cuda.max_memory_allocated(name) if cuda else None
        entry["peak_reserved_bytes"] = torch.cuda.max_memory_reserved(name) if cuda else None
    return placement


def peaks(engine: Engine, placement: Mapping[str, Mapping[str, int | None]]) -> Peaks:
    """Return the peaks of memory since the last reset, and the device's memory bandwidth."""
    gpu = nvml.find(engine.device)
    return Peaks(
        peak_allocated_bytes=_total(placement, "peak_allocated_bytes"),
        peak_reserved_bytes=_total(placement, "peak_reserved_bytes"),
        peak_resident_bytes=host.peak_resident_bytes()
        if engine.knows_peak_resident
        else Unmeasured("the peak of one benchmark needs Linux's /proc/self/clear_refs"),
        bandwidth_bytes_per_s=gpu
        if isinstance(gpu, Unmeasured)
        else gpu.memory_bandwidth_bytes_per_s(),
    )


def _total(placement: Mapping[str, Mapping[str, int | None]], name: str) -> Metric:
    """Add a peak over all devices; on several GPUs each peak counts, whenever it came."""
    values = [entry[name] for entry in placement.values()]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Unmeasured("torch counts the bytes of CUDA devices only")
    return sum(known)
