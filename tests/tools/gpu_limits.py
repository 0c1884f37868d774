"""What nothing on a GPU's machine can be faster than, and that it quantizes to the same bits."""

from __future__ import annotations

from contextlib import nullcontext
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.machine import clock
from benchmarks.model import loading, quantizing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from benchmarks.model.target import Target


def read_rate(files: Sequence[Path]) -> float:
    """Return the bytes per second that files are read with, from memory if they are cached."""
    buffer = bytearray(1 << 24)
    start = clock.read()
    count = 0
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while part := stream.readinto(buffer):
                count += part
    return count / (clock.read() - start)


def device_limits(device: torch.device) -> dict[str, Any]:
    """Return copy rates, the seconds of a launch and of a wait, and what a sample costs."""
    import torch

    from benchmarks.machine import nvml, watch

    def per_call(work: Callable[[], object], times: int) -> float:
        work()
        torch.cuda.synchronize()
        start = clock.read()
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        return (clock.read() - start) / times

    size = 1 << 30
    there = torch.empty(size, dtype=torch.uint8, device=device)
    pageable = torch.ones(size, dtype=torch.uint8)
    pinned = pageable.pin_memory()
    one = torch.ones(1, device=device)
    found: dict[str, Any] = {
        "pageable_copy_bytes_per_s": size / per_call(lambda: there.copy_(pageable), 3),
        "pinned_copy_bytes_per_s": size / per_call(lambda: there.copy_(pinned), 3),
        "launch_s": per_call(lambda: one.add_(1), 2000),
        "launch_and_wait_s": per_call(lambda: one.add_(1).item(), 2000),
    }
    watched = nvml.find(device)
    if isinstance(watched, nvml.Gpu):
        plain = _median_s(lambda: watched.sample(processes=False), 200)
        listing = _median_s(watched.sample, 200)
        every = watch.PROCESSES_EVERY
        found["nvml_sample_s"], found["nvml_sample_with_processes_s"] = plain, listing
        found["nvml_share"] = (plain * (1 - 1 / every) + listing / every) / watch.INTERVAL_S
    return found


def _median_s(work: Callable[[], object], times: int) -> float:
    """Return the seconds of a call: a stall of the host, which hits one of them, doesn't count."""
    found = []
    for _ in range(times):
        start = clock.read()
        work()
        found.append(clock.read() - start)
    return median(found)


def weights_agree(target: Target) -> dict[str, Any]:
    """Compare the bits of quantizing on the device with those of transformers' own way."""
    import torch

    with loading.load(target, "int8-decomp", cold=True) as engine:
        ours = {name: each.clone() for name, each in engine.model.state_dict().items()}
        count = engine.quantized_on_device
    with (
        mock.patch.object(quantizing, "on_device", return_value=nullcontext(quantizing.Seen())),
        loading.load(target, "int8-decomp", cold=False) as engine,
    ):
        theirs = engine.model.state_dict()
        equal = ours.keys() == theirs.keys() and all(
            torch.equal(ours[name], theirs[name]) for name in ours
        )
    return {"model": target.checkpoint.name, "weights": count, "equal": equal}
