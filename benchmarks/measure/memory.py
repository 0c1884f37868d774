"""The memory of a benchmark: what its model weighs, where it is, and its peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NOT_COMPILED, Metric, Unmeasured
from benchmarks.config.generation import MODES
from benchmarks.machine import host, nvml
from benchmarks.measure.metrics import ModelCost, Peaks, bandwidth_in_turn
from benchmarks.model import footprint
from benchmarks.model.footprint import weights_bytes_by_device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

FEWER_BITS = Unmeasured("a quantized cache keeps its tokens in fewer bits")


def model_cost(engine: Engine, workload: Workload) -> ModelCost:
    """Return what this model weighs, what a decode step reads of it, and what it took to compile.

    So far: what is compiled for a workload is compiled in its first generation.
    """
    compiled = MODES[workload.generation].is_compiled
    cache = footprint.cache_bytes(engine.model)
    return ModelCost(
        load_s=engine.load_s,
        weights_bytes=footprint.weights_bytes(engine.model),
        decode_weight_bytes=footprint.decode_weight_bytes(engine.model, engine.idle),
        kv_bytes_per_token=cache.per_token,
        state_bytes=cache.state,
        partly_read=footprint.partly_read(engine.model.config),
        window_tokens=footprint.window_tokens(engine.model.config),
        cache_unread=FEWER_BITS if workload.generation == "quantized" else None,
        compile_s=engine.compiled(workload).seconds if compiled else NOT_COMPILED,
    )


def place(model: Any) -> dict[str, dict[str, Any]]:
    """Return, by device, the bytes of weights there, their peak since the last reset, its name."""
    import torch

    placement: dict[str, dict[str, Any]] = {}
    for name, weights in weights_bytes_by_device(model).items():
        entry = placement.setdefault(name, {"weights_bytes": weights})
        cuda = name.startswith("cuda")
        entry["peak_allocated_bytes"] = torch.cuda.max_memory_allocated(name) if cuda else None
        entry["peak_reserved_bytes"] = torch.cuda.max_memory_reserved(name) if cuda else None
        if cuda:
            entry["gpu"] = torch.cuda.get_device_name(name)
    return placement


def peaks(engine: Engine, placement: Mapping[str, Mapping[str, Any]]) -> Peaks:
    """Return the peaks of memory since the last reset, and the memory bandwidth of the devices."""
    return Peaks(
        peak_allocated_bytes=_total(placement, "peak_allocated_bytes"),
        peak_reserved_bytes=_total(placement, "peak_reserved_bytes"),
        peak_resident_bytes=host.peak_resident_bytes()
        if engine.knows_peak_resident
        else Unmeasured("the peak of one benchmark needs Linux's /proc/self/clear_refs"),
        bandwidth_bytes_per_s=bandwidth_in_turn(
            {name: each["weights_bytes"] for name, each in placement.items()},
            {name: bandwidth(name) for name in placement},
        ),
    )


def bandwidth(name: str) -> Metric:
    """Return the memory bandwidth of a device, or why it is not known."""
    import torch

    gpu = nvml.find(torch.device(name))
    return gpu if isinstance(gpu, Unmeasured) else gpu.memory_bandwidth_bytes_per_s()


def _total(placement: Mapping[str, Mapping[str, Any]], name: str) -> Metric:
    """Add a peak over all devices; on several GPUs each peak counts, whenever it came."""
    values = [entry[name] for entry in placement.values()]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Unmeasured("torch counts the bytes of CUDA devices only")
    return int(sum(known))
