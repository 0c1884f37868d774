"""What ranks say to each other, and their turns: one of them decides how often all generate.

What is counted and recorded on one rank may be recorded again, which the others can't know. They
have to generate as often: a rank that goes on alone waits for them for ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

LOADING = timedelta(minutes=30)  # ranks read a checkpoint at different rates
PATIENCE = timedelta(hours=1)  # the parent ends processes that are silent for less
END = 0  # tokens: the turn is over


class Turns:
    """What ranks say to each other through the store of their group: no operator, no collective."""

    def __init__(
        self, store: Any, number: int, count: int, show: Callable[[str], None] = lambda _: None
    ) -> None:
        """Say everything through this store, which all ranks have; `show` tells the parent."""
        store.set_timeout(PATIENCE)
        self._store = store
        self._show = show
        self._number = number
        self._others = [each for each in range(count) if each != number]
        self._said = 0

    @contextmanager
    def lead(self, engine: Engine) -> Iterator[None]:
        """Let the others follow whatever is generated inside."""
        run = engine.run

        def led(workload: Workload, new_tokens: int, *processors: Any) -> torch.Tensor:
            self._show(f"generating {new_tokens} tokens that are recorded")
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
        """Say it, and wait until all have heard it: whoever records begins last.

        So its GPU doesn't wait in the first collective for ranks that have yet to begin.
        """
        self._said += 1
        self._store.set(f"turn {self._said}", str(new_tokens))
        self._store.wait([f"heard {self._said} by {each}" for each in self._others])

    def _hear(self) -> int:
        self._said += 1
        said = int(self._store.get(f"turn {self._said}"))
        self._store.set(f"heard {self._said} by {self._number}", "")
        return said


@dataclass
class Group:
    """The ranks: a group for what the model exchanges, one on the host for words, and turns."""

    turns: Turns
    host: Any

    @classmethod
    def join(cls, where: torch.device, show: Callable[[str], None]) -> Group:
        """Meet the other ranks."""
        import torch.distributed

        own: Any = torch.distributed  # it doesn't list all that it exports
        store, number, count = next(own.rendezvous("env://", timeout=LOADING))
        torch.distributed.init_process_group(
            "nccl" if where.type == "cuda" else "gloo",
            store=store,
            rank=number,
            world_size=count,
            timeout=LOADING,
        )
        host = torch.distributed.new_group(backend="gloo", timeout=LOADING)
        return cls(Turns(own.PrefixStore("turns", store), number, count, show), host)

    def gather(self, found: Any) -> list[Any]:
        """Return what each rank has found, on all of them."""
        import torch.distributed

        each: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(each, found, self.host)
        return each
