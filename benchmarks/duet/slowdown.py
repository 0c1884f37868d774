"""A real slowdown, put into an engine on purpose: how a duet proves what it can find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine


class ExtraWork:
    """Works for a share of the time that each step took, right after it. A logits processor."""

    def __init__(self, share: float) -> None:
        """Begin with the first step."""
        self._share = share
        self._last = clock.now()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 (transformers' signature)
        """Spin on the host once the device is done: then it costs what it takes, on any device."""
        end = clock.now()
        end += self._share * (end - self._last)
        while (at := clock.now()) < end:
            pass
        self._last = at
        return scores


@contextmanager
def slower(engine: Engine, share: float) -> Iterator[None]:
    """Let each step of the engine, the prefill included, take longer by this share of itself."""
    if not share:
        yield
        return
    run = engine.run

    def run_slower(
        workload: Workload, new_tokens: int, *processors: Callable[..., Any]
    ) -> torch.Tensor:
        # Before the marks: the extra work of a step belongs to it.
        return run(workload, new_tokens, ExtraWork(share), *processors)

    engine.run = run_slower  # type: ignore[method-assign]
    try:
        yield
    finally:
        del engine.run
