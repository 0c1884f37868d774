"""The engine: a quantized model on its device, which generates exactly what a workload asks."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import WorkError
from benchmarks.common.out_of_memory import within_memory
from benchmarks.config.generation import MODES
from benchmarks.machine import clock, host, ranges
from benchmarks.machine.steadiness import needs_more_warmup
from benchmarks.modes import caches
from benchmarks.modes.compiling import Compiled, DecodeStep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.target import Target


@dataclass(frozen=True)
class Generation:
    """One finished generation: token ids of shape (batch, prompt + new), and its marks."""

    tokens: torch.Tensor
    marks: clock.StepMarks
    compiled: Compiled | None = None  # what was compiled meanwhile; None in modes that don't

    @property
    def seconds(self) -> float:
        """How long it took, by its own marks."""
        return self.marks.elapsed_s()[-1]


class Engine:
    """One loaded model. As a context manager it frees the model at the end, whatever happens."""

    def __init__(
        self, model: Any, target: Target, *, quantization: str, load_s: float, cold: bool
    ) -> None:
        self.model = model
        self.tokenizer = target.tokenizer
        self.device = target.device
        self.quantization = quantization
        self.load_s = load_s
        self.cold = cold  # nothing was generated in this process yet
        self.idle = target.idle
        self.quantized_on_device = 0  # weights that skipped the way over the host
        self.knows_peak_resident = False  # whether the host's peak is this workload's alone
        self.decode_step = DecodeStep(model)
        self.cache: Any = None  # that the last generation was given, in modes that give one
        self.ranges: ranges.Ranges | None = None  # with --nvtx
        self.new_marks: Callable[[torch.device], clock.StepMarks] = clock.StepMarks
        self.generations: Counter[Workload] = Counter()
        self.backend = target.backend  # of the quantized cache
        self._compiled: defaultdict[Workload, Compiled] = defaultdict(Compiled)
        self._last_compiled: Compiled | None = None
        self._inputs: dict[tuple[tuple[int, ...], ...], dict[str, torch.Tensor]] = {}  # by prompts

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pad_token_id(self) -> int:
        """The id that would pad: all rows have one length, but `generate` wants one."""
        candidates = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return int(next(value for value in candidates if value is not None))

    def prepare(self, workload: Workload) -> None:
        """Put a workload's prompts on the device, and forget what other modes have compiled."""
        import torch

        if not MODES[workload.generation].is_compiled:
            self.decode_step.undo()
        if workload.prompts not in self._inputs:
            ids = torch.tensor(workload.prompts, dtype=torch.long, device=self.device)
            self._inputs[workload.prompts] = {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
            }

    def reset_peaks(self) -> None:
        """Let the peaks of memory, on the device and on the host, start again."""
        import torch

        self.knows_peak_resident = host.reset_peak_resident()
        if self.device.type == "cuda":
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)

    def generate(self, workload: Workload, log: list[Generation] | None = None) -> Generation:
        """Generate exactly `workload.new_tokens` tokens for every row, and append it to `log`.

        Raises WorkError if another number of tokens comes out, OutOfMemoryError if the
        device has too little memory.
        """
        marks = self.new_marks(self.device)
        tokens = self.run(workload, workload.new_tokens, marks)
        marks.mark()
        check_work(workload, tokens.shape, steps=marks.count - 2)  # less the start and the end
        self.generations[workload] += 1
        generation = Generation(tokens, marks, self._last_compiled)
        if log is not None:
            log.append(generation)
        return generation

    def run(
        self, workload: Workload, new_tokens: int, *processors: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """Generate greedily from a prepared workload's prompts, in its mode.

        The processors are called with (input_ids, scores) at each step. Returns token ids of
        shape (batch, prompt + new_tokens).
        """
        self.cold = False
        self.cache = None  # before there is another one
        arguments = self.arguments(workload, new_tokens)
        self.cache = arguments.get("past_key_values")
        is_compiled = MODES[workload.generation].is_compiled
        with self.decode_step.compiling() if is_compiled else nullcontext() as compiled:
            tokens = within_memory(
                lambda: self.model.generate(**arguments, logits_processor=list(processors)),
                f"generating {new_tokens} tokens for each of {workload.batch_size} rows with "
                f"{self.quantization}",
                self.device,
                "lower --batch-size, --new-tokens or --prompt-tokens",
            )
        self._last_compiled = compiled
        if compiled is not None:
            self.compiled(workload).add(compiled)
        return tokens

    def compiled(self, workload: Workload) -> Compiled:
        """Return what was compiled for the decode step of a workload so far."""
        return self._compiled[replace(workload, new_tokens=0)]

    def decode_logits(
        self, workload: Workload, steps: int, forced: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of so many steps, of shape (rows, steps), and their decodes' logits.

        Logits are on the host, of shape ((steps - 1) x rows, vocabulary): the first token is the
        prefill's. With `forced`, those tokens are taken, whatever the logits say.
        """
        import torch

        found: list[torch.Tensor] = []

        def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            found.append(scores.cpu())
            if forced is None:
                return scores
            chosen = forced[:, len(found) - 1 : len(found)]
            return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

        tokens = self.run(workload, steps, step)
        return tokens[:, workload.prompt_tokens :], torch.cat(found[1:steps])

    def arguments(self, workload: Workload, new_tokens: int) -> dict[str, Any]:
        """Return what `generate` is called with, for this workload's prompts."""
        mode, options = MODES[workload.generation], {}
        if mode.is_static:
            options = self.decode_step.options(compiled=mode.is_compiled)
        config = generation_config(self.pad_token_id, new_tokens, **options)
        arguments = {**self._inputs[workload.prompts], "generation_config": config}
        cache = caches.build(workload.generation, self.model.config, workload.room, self.backend)
        return arguments if cache is None else {**arguments, "past_key_values": cache}

    @ranges.named("warm-up")
    def warm_up(
        self, workload: Workload, rounds: int, show: Callable[[str], None] = lambda _: None
    ) -> None:
        """Generate untimed until this workload, or a longer one, was generated `rounds` times.

        While generations still get faster it goes on, up to twice as many.
        """
        seconds: list[float] = []
        while (done := self.generated(workload)) < rounds or (
            seconds and done < 2 * rounds and needs_more_warmup(seconds)
        ):
            show(f"warm-up {done + 1} of {max(done + 1, rounds)}")
            seconds.append(self.generate(workload).seconds)

    def generated(self, workload: Workload) -> int:
        """Return how often this workload, or a longer one of its prompts, was generated."""
        return sum(
            count
            for other, count in self.generations.items()
            if replace(other, new_tokens=workload.new_tokens) == workload
            and other.new_tokens >= workload.new_tokens
        )

    def decode(self, row: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self.tokenizer.decode(row))

    def close(self) -> None:
        """Free the model: drop every reference, and give the device's memory back.

        A traceback of a failed benchmark may hold the model for as long as the session lasts, so
        its modules are emptied as well.
        """
        import torch

        self._inputs.clear()
        self.cache = None
        self.decode_step.undo()
        if self.model is not None:
            for module in list(self.model.modules()):
                module._parameters.clear()
                module._buffers.clear()
                module.__dict__.pop("state", None)  # bitsandbytes' quantized weights and scales
            self.model = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def generation_config(pad_token_id: int, new_tokens: int | None = None, **more: Any) -> Any:
    """Return a greedy generation config of exactly so many tokens, without an end of sequence."""
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        use_cache=True,
        min_new_tokens=new_tokens,
        max_new_tokens=new_tokens,
        pad_token_id=pad_token_id,
        eos_token_id=None,
        **more,
    )


def check_work(workload: Workload, shape: Sequence[int], steps: int) -> None:
    """Raise WorkError unless the output has the shape that was asked for, and each step a mark."""
    if tuple(shape) != (workload.batch_size, workload.prompt_tokens + workload.new_tokens):
        raise WorkError(
            f"generated {shape[1] - workload.prompt_tokens} new tokens for each of {shape[0]} "
            f"rows, expected {workload.new_tokens} for each of {workload.batch_size}: the "
            "generation stopped early or ran on; report this as a bug of the engine"
        )
    # One more is possible: transformers' DeferredStopCheck makes a pass whose token is dropped.
    if steps not in (workload.new_tokens, workload.new_tokens + 1):
        raise WorkError(
            f"saw {steps} steps, expected {workload.new_tokens}: this version of transformers "
            "doesn't call logits processors once a step; report this as a bug of the engine"
        )
