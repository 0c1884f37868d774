"""The control: a fixed piece of work that uses none of the code under test.

When its time moves, the machine moved.
"""

from __future__ import annotations

from itertools import repeat
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

REPEATS = 9  # a disturbance of 40 ms must not be the median
HOST_STEPS = 600_000
CPU_SIDE, CPU_PRODUCTS = 384, 12
# 24 MiB in half precision: small beside any model, and large enough to fill a GPU.
CUDA_SIDE, CUDA_PRODUCTS = 2048, 100


def measure(device: torch.device, repeats: int = REPEATS) -> dict[str, float]:
    """Return the median seconds of the device's and of the host's piece of work.

    On CUDA it allocates for a moment: call it while no peak of memory is measured.
    """
    return {
        "device_s": _median_s(_products(device), repeats),
        "host_s": _median_s(_count, repeats),
    }


def _median_s(work: Callable[[], object], repeats: int) -> float:
    work()  # untimed: libraries load on the first call
    times = []
    for _ in range(repeats):
        start = clock.now()
        work()
        times.append(clock.now() - start)
    return median(times)


def _count() -> float:
    """Let the interpreter do some arithmetic, without objects that need the allocator."""
    total = 0.0
    for _ in repeat(None, HOST_STEPS):
        total = total * 0.5 + 1.0
    return total


def _products(device: torch.device) -> Callable[[], None]:
    """Return a function that multiplies a fixed matrix with itself, without random numbers."""
    import torch

    cuda = device.type == "cuda"
    side, products = (CUDA_SIDE, CUDA_PRODUCTS) if cuda else (CPU_SIDE, CPU_PRODUCTS)
    dtype = torch.float16 if cuda else torch.float32
    matrix = torch.linspace(-1, 1, side * side, dtype=dtype, device=device).view(side, side)
    result = torch.empty_like(matrix)

    def work() -> None:
        for _ in range(products):
            torch.mm(matrix, matrix, out=result)

    return work
