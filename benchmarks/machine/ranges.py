"""Names for what runs, on the timelines of profilers: NVTX on CUDA, and torch's own everywhere.

Only sessions with --nvtx have any. In others nothing of this module is called in a round.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import torch


class Ranges:
    """The ranges that are open, one inside the other.

    Each holds what the GPU does for it: at its end the GPU has finished.
    """

    def __init__(self, device: torch.device) -> None:
        """Begin without any."""
        import torch

        self._nvtx = torch.cuda.nvtx if device.type == "cuda" else None
        self._open: list[Any] = []

    def begin(self, name: str) -> None:
        """Open a range inside of those that are open."""
        from torch.profiler import record_function

        self._open.append(record_function(name))
        self._open[-1].__enter__()
        if self._nvtx:
            self._nvtx.range_push(name)

    def end(self) -> None:
        """Close the innermost one."""
        if self._nvtx:
            clock.now()  # waits for the GPU
            self._nvtx.range_pop()
        self._open.pop().__exit__(None, None, None)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a range; what a failure inside left open is closed with it."""
        depth = len(self._open)
        self.begin(name)
        try:
            yield
        finally:
            while len(self._open) > depth:
                self.end()


def inside(ranges: Ranges | None, name: str) -> AbstractContextManager[None]:
    """Be in a range, if there are any."""
    return ranges.inside(name) if ranges else nullcontext()


def named(name: str) -> Callable[[Any], Any]:
    """Let a method run in a range of this name, if its object has `ranges`."""

    def within(method: Any) -> Any:
        @wraps(method)
        def run(self: Any, *arguments: Any, **options: Any) -> Any:
            with inside(self.ranges, name):
                return method(self, *arguments, **options)

        return run

    return within


class RangedMarks(clock.StepMarks):
    """Marks of a generation of so many tokens that also name what is between them.

    Decode step k makes the token k + 1 of each row.
    """

    def __init__(self, ranges: Ranges, new_tokens: int, device: torch.device) -> None:
        """Mark the start, and begin the prefill."""
        self._ranges, self._new_tokens = ranges, new_tokens
        super().__init__(device)

    def mark(self) -> None:
        """Leave a mark now, end the range before it, and begin the one after it."""
        super().mark()
        steps = self.count - 1  # whose logits are there
        if 0 < steps <= self._new_tokens:
            self._ranges.end()
        if steps < self._new_tokens:
            self._ranges.begin(f"decode step {steps}" if steps else "prefill")
