"""The clock: the one seam that all times come from, and the marks that a generation leaves."""

from __future__ import annotations

import select
import sys
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TIMER = "benchmarks.machine.clock.now"  # as --benchmark-timer names it


def read() -> float:
    """Return seconds of a steady clock.

    All seconds of the suite are read here, as `clock.read()`, or on CUDA from events. So tests can
    put hands of their own on this clock, and none of them depends on how fast a machine is.
    """
    return perf_counter()


def wait(descriptor: int, seconds: float) -> bool:
    """Return whether there is something to read, as soon as there is, or after so many seconds."""
    ready, _, _ = select.select([descriptor], [], [], None if seconds == inf else seconds)
    return bool(ready)


def now() -> float:
    """Return seconds of this clock, read when every GPU in use has finished its work.

    For pytest-benchmark's `--benchmark-timer`. If torch isn't loaded, or has not touched a
    GPU, there is no work to wait for; and waiting would create a context there.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            if torch._C._cuda_hasPrimaryContext(index):
                torch.cuda.synchronize(index)
    return read()


class StepMarks:
    """The moments at which a generation started, had each step's logits, and ended.

    Handed to `generate` as a logits processor, it is called once a step. On CUDA a mark is an
    event in the stream, which waits for nothing; on the CPU it is a clock read.
    """

    def __init__(self, device: torch.device) -> None:
        """Mark the start."""
        self._cuda = sys.modules["torch"].cuda if device.type == "cuda" else None
        self._stream = self._cuda.current_stream(device) if self._cuda else None
        self._marks: list[Any] = []
        self.mark()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 (transformers' signature)
        """Mark that this step's logits, `scores` of shape (batch, vocabulary), are there."""
        self.mark()
        return scores

    def mark(self) -> None:
        """Leave a mark now, in device time."""
        if self._cuda:
            event = self._cuda.Event(enable_timing=True)
            event.record(self._stream)
            self._marks.append(event)
        else:
            self._marks.append(read())

    @property
    def count(self) -> int:
        """How many marks there are, the start and the end included."""
        return len(self._marks)

    def elapsed_s(self) -> list[float]:
        """Return the seconds from the start to every later mark; waits for the device."""
        start, *later = self._marks
        if not self._cuda:
            return [mark - start for mark in later]
        later[-1].synchronize()
        return [start.elapsed_time(mark) / 1000 for mark in later]
