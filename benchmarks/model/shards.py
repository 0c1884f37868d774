"""One model in several processes: what can be split so, and which part of a weight is here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.config.generation import DEFAULT
from benchmarks.config.quantization import QUANTIZATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from benchmarks.config.settings import Settings
    from benchmarks.model.checkpoint import Checkpoint

MAP = "tensor"  # --device-map
ON_CPU = 2  # ranks, so that anybody can try it
DIVIDED = ("num_attention_heads", "num_key_value_heads", "intermediate_size")
SPLITS = re.compile("colwise|rowwise")  # styles of a plan that split a weight


def check_options(settings: Settings) -> None:
    """Raise InputError for what no model can be asked for if ranks hold it together."""
    quantized = [name for name in settings.quantizations if QUANTIZATIONS[name].weights]
    if quantized:
        halves = [name for name, each in QUANTIZATIONS.items() if not each.weights]
        raise InputError(
            f"--device-map {MAP}: expected --quantization {' or '.join(halves)}, whose weights "
            f"can be split over devices; got {', '.join(quantized)}; write --device-map auto, "
            "which places whole layers"
        )
    others = [mode for mode in settings.generations if mode != DEFAULT]
    for option, given in (
        (f"--generation {','.join(others)}", others),
        ("--work-only", settings.work_only),
        ("--memory-snapshot", settings.memory_snapshot),
        ("--nvtx", settings.nvtx),
    ):
        if given:
            raise InputError(f"--device-map {MAP} and {option}: expected one of them, got both")


def ranks(where: torch.device) -> int:
    """Return how many processes share a model: one for each visible GPU, two on the CPU.

    Raises InputError if there is one GPU alone.
    """
    import torch

    if where.type != "cuda":
        return ON_CPU
    count = torch.cuda.device_count()
    if count < 2:
        raise InputError(
            f"--device-map {MAP}: expected at least 2 visible GPUs, got {count}; check "
            "CUDA_VISIBLE_DEVICES, or write --device-map single"
        )
    return count


def check_model(checkpoint: Checkpoint, model: Any, count: int) -> None:
    """Raise InputError unless a model, given without weights, can be split into so many parts."""
    if not split_by(model):
        raise InputError(
            f"--device-map {MAP}: expected a model that transformers can split; it has no plan "
            f"for {checkpoint.name} ({type(model).__name__}); write --device-map auto"
        )
    config = model.config.get_text_config()
    for name in DIVIDED:
        size = getattr(config, name, None)
        if isinstance(size, int) and size % count:
            raise InputError(
                f"--device-map {MAP}: expected {name} of {checkpoint.name} to be a multiple of "
                f"{count}, the number of devices; got {size}; let CUDA_VISIBLE_DEVICES name fewer"
            )


def split_by(model: Any) -> Mapping[str, str]:
    """Return how transformers splits the weights of a model, by names with * for a number."""
    plan = getattr(model, "tp_plan", None) or {}
    return {name: style for name, style in plan.items() if SPLITS.search(style)}


def own(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor: its part, if it is split."""
    import torch

    if not hasattr(tensor, "to_local"):
        return tensor
    with torch.no_grad():
        found: torch.Tensor = tensor.to_local()
    return found


def part(tensor: torch.Tensor) -> tuple[slice, ...] | None:
    """Return which part of a tensor is here, by dimension: () if it is not split at all.

    Of n rows each of k ranks has ceil(n / k), the last ones fewer: as torch.chunk has it. None if
    what is here is no such range, as of weights that are several in one.
    """
    if not hasattr(tensor, "to_local"):
        return ()
    from torch.distributed.tensor import Shard

    split: Any = tensor
    found = [slice(0, size) for size in tensor.shape]
    mesh = split.device_mesh
    for axis, placement in enumerate(split.placements):
        if not placement.is_replicate() and type(placement) is not Shard:
            return None
        if isinstance(placement, Shard):
            size = tensor.shape[placement.dim]
            each = -(-size // mesh.size(axis))
            start = min(each * mesh.get_local_rank(axis), size)
            found[placement.dim] = slice(start, min(start + each, size))
    return tuple(found)
