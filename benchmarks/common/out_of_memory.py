"""Memory that runs out: recognised among other errors, and reported in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.common.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed: in torch's allocator, outside of it, or on the host."""
    texts = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return any(text in str(error) for text in texts)


def within_memory(
    compute: Callable[[], torch.Tensor], what: str, device: torch.device, next_step: str
) -> torch.Tensor:
    """Return what is computed without gradients; raise OutOfMemoryError if memory runs out."""
    import torch

    try:
        with torch.inference_mode():
            return compute()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        failure = out_of_memory(what, error, free_bytes(device), next_step)
    # Raised out here: inside of `except` it would keep the frames that hold the tensors.
    raise failure


def free_bytes(device: torch.device) -> int | None:
    """Return the bytes that are free on a GPU, None for the CPU."""
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def out_of_memory(
    what: str, error: BaseException, free: int | None, next_step: str
) -> OutOfMemoryError:
    """Return the error that says how much was needed and free, and what to lower."""
    asked = re.search(r"ried to allocate ([\d.]+ \w+)", str(error))
    needed = f"needed {asked[1]} more" if asked else "needed more"
    had = "an unknown amount" if free is None else f"{free / 1e9:.3g} GB"
    return OutOfMemoryError(f"out of memory while {what}: {needed}, {had} free; {next_step}")
