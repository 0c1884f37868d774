"""Which weights of a model are split over processes, and which part of one is here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

SPLITS = re.compile("colwise|rowwise")  # styles of a plan that split a weight


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
