"""Ranks take turns: one of them decides how often all of them generate.

What is counted and recorded on one rank may be recorded again, which the others can't know. They
have to generate as often: a rank that goes on alone waits for them for ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

PATIENCE = timedelta(hours=1)  # the parent ends processes that are silent for less
END = 0  # tokens: the turn is over


class Turns:
    """What ranks say to each other through the store of their group: no operator, no collective."""

    def __init__(self, store: Any) -> None:
        """Say everything through this store, which all ranks have."""
        store.set_timeout(PATIENCE)
        self._store = store
        self._said = 0

    @contextmanager
    def lead(self, engine: Engine) -> Iterator[None]:
        """Let the others follow whatever is generated inside."""
        run = engine.run

        def led(workload: Workload, new_tokens: int, *processors: Any) -> torch.Tensor:
            self._say(new_tokens)
            return run(workload, new_tokens, *processors)

        engine.run = led  # type: ignore[method-assign]
        try:
            yield
            self._say(END)
        finally:
            engine.run = run  # type: ignore[method-assign]

    def follow(self, engine: Engine, workload: Workload) -> None:
        """Generate what the one that leads generates, until its turn is over."""
        while (new_tokens := self._hear()) != END:
            engine.run(workload, new_tokens)

    def _say(self, new_tokens: int) -> None:
        self._said += 1
        self._store.set(f"turn {self._said}", str(new_tokens))

    def _hear(self) -> int:
        self._said += 1
        return int(self._store.get(f"turn {self._said}"))
