"""The decode step, compiled: by `generate` itself if it does that, by `torch.compile` otherwise."""

from __future__ import annotations

import functools
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What transformers leaves on a model that `generate` compiled.
OF_GENERATE = ("_compiled_call", "_last_compile_config")


@dataclass
class Compiled:
    """What was compiled in some generations of one shape."""

    graphs: int = 0
    frames: int = 0  # functions that were tried; each graph break begins another one
    breaks: dict[str, int] = field(default_factory=dict)  # how often, by their first reason
    seconds: float = 0.0  # tracing, code generation and the backend's own compiler
    from_cache: int = 0  # graphs whose code an earlier process had left on the disk
    recorded: int = 0  # CUDA graphs

    def add(self, other: Compiled) -> None:
        """Add what was compiled in other generations."""
        self.graphs += other.graphs
        self.frames += other.frames
        self.seconds += other.seconds
        self.from_cache += other.from_cache
        self.recorded += other.recorded
        for why, count in other.breaks.items():
            self.breaks[why] = self.breaks.get(why, 0) + count


class DecodeStep:
    """Compiles the decode step of one model, and undoes it. Shapes are compiled one by one.

    The prefill stays as it is, as `generate` has it: it runs once, and each length would be
    compiled anew.
    """

    def __init__(self, model: Any) -> None:
        """Take the model; nothing is compiled before the first generation."""
        self._model = model
        self._forward: Callable[..., Any] | None = None
        self.is_live = False  # something is compiled

    @property
    def by_generate(self) -> bool:
        """Whether `generate` compiles this model by itself: not on a CPU, and not what is INT8."""
        quantizer = getattr(self._model, "hf_quantizer", None)
        can = quantizer is None or bool(getattr(quantizer, "is_compileable", False))
        return can and self._model.device.type == "cuda"

    @property
    def compile_mode(self) -> str:
        """Return the mode of `torch.compile`: `generate`'s own uses CUDA graphs, ours doesn't."""
        return str(_compile_config().mode) if self.by_generate else "default"

    def options(self, *, compiled: bool) -> dict[str, Any]:
        """Return what the generation config says of compilation."""
        if compiled and self.by_generate:
            return {"compile_config": _compile_config()}
        return {"disable_compile": True}

    @contextmanager
    def compiling(self) -> Iterator[Compiled]:
        """Let one generation use the compiled decode step; what it compiles is added up."""
        import torch._dynamo

        if not self.is_live:
            torch._dynamo.reset()  # of another model's code, which would count as compiled
            self.is_live = True
        found, before = Compiled(), _counts()
        # LLM.int8() looks for outliers, whose number is known while it runs: without this a graph
        # ends at each linear.
        with (
            torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True),
            nullcontext() if self.by_generate else self._in_place(),
        ):
            yield found
        if (after := _counts()) != before:
            found.add(_since(before, after))

    def undo(self) -> None:
        """Forget all that was compiled, and give back what CUDA graphs hold."""
        import torch._dynamo

        if self.is_live:
            self.is_live = False
            self._forward = None
            for name in OF_GENERATE:
                self._model.__dict__.pop(name, None)
            torch._dynamo.reset()

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Put the compiled forward into the model, for all passes but the first one."""
        import torch

        model = self._model
        original, own = model.forward, model.__dict__.get("forward")
        if self._forward is None:
            self._forward = torch.compile(original, dynamic=False)
        compiled, passes = self._forward, 0

        @functools.wraps(original)  # `generate` reads its signature
        def forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal passes
            passes += 1
            return (compiled if passes > 1 else original)(*args, **kwargs)

        model.forward = forward
        try:
            yield
        finally:
            del model.forward
            if own is not None:  # of a library that hooks into models
                model.forward = own


def _compile_config() -> Any:
    """Return transformers' default, but with fixed shapes: what was compiled before changes none.

    Otherwise a second batch size would be compiled for any, and be slower than in its own process.
    """
    from transformers import CompileConfig

    return CompileConfig(dynamic=False)


def _counts() -> dict[str, Any]:
    from torch._dynamo.utils import counters

    return {
        "graphs": counters["stats"]["unique_graphs"],
        "frames": counters["frames"]["total"],
        "breaks": dict(counters["graph_break"]),
        "from_cache": counters["inductor"]["fxgraph_cache_hit"],
        "recorded": len(_times("CUDAGraphNode.record")),
        "seconds": sum(_times("_compile.compile_inner")),
    }


def _times(part: str) -> list[float]:
    """Return the seconds of each time that torch did a part of its compilation in this process."""
    from torch._dynamo.utils import compilation_time_metrics

    return list(map(float, compilation_time_metrics.get(part, ())))


def _since(before: Mapping[str, Any], after: Mapping[str, Any]) -> Compiled:
    gained = {name: after[name] - before[name] for name in after if name != "breaks"}
    breaks: dict[str, int] = {}
    for why, count in after["breaks"].items():
        if more := count - before["breaks"].get(why, 0):
            line = why.strip().splitlines()[0]
            breaks[line] = breaks.get(line, 0) + more
    return Compiled(breaks=breaks, **gained)
