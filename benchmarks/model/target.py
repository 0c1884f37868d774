"""What is measured: device, checkpoint and tokenizer, found and checked before a load."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.common import foreign
from benchmarks.common.errors import InputError
from benchmarks.config.generation import DEFAULT, MODES
from benchmarks.config.options import TENSOR
from benchmarks.config.workload import Workload, build_workload, shipped_text
from benchmarks.machine import device
from benchmarks.model import fitness, skeleton
from benchmarks.model.checkpoint import default_model, local, own_quantization, resolve
from benchmarks.modes import possible
from benchmarks.splitting import possible as splitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from benchmarks.config.settings import Settings
    from benchmarks.model.checkpoint import Checkpoint

AGREEMENT_TOKENS = 512  # of the shipped text: the standard error of a share is 0.02 at most
LEAST_ROOM = 8  # new tokens of a static cache: as many as evidence is gathered over


def with_own_quantization(settings: Settings, *, fetch: bool) -> Settings:
    """Return settings with the quantization that their only model has already, if it has one.

    Of a hub model with `fetch` its config.json is looked up; raises InputError if it can't be had.
    """
    model = settings.models[0] if len(settings.models) == 1 else None
    own = own_quantization(model, settings.revision, fetch=fetch)
    return replace(settings, quantizations=(own,)) if own else settings


@dataclass(frozen=True)
class Target:
    """What is measured, found and checked before the first benchmark: all but the loaded model."""

    settings: Settings
    device: torch.device
    checkpoint: Checkpoint
    tokenizer: Any
    reference: Checkpoint | None = None  # of a checkpoint that is quantized already: its origin
    idle: frozenset[str] = frozenset()  # modules that text doesn't reach: a vision tower's
    backend: str | None = None  # of the quantized cache, if that is asked for

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, special tokens included."""
        return list(self.tokenizer(text)["input_ids"])

    @property
    def origin(self) -> Checkpoint | None:
        """The checkpoint whose 16-bit weights were quantized, if it is known."""
        return self.reference if self.checkpoint.quantization else self.checkpoint

    @property
    def agreement_ids(self) -> list[int]:
        """The token ids that outputs are compared over: as many as text and model have."""
        ids = self.encode(shipped_text())[:AGREEMENT_TOKENS]
        return ids[: self.checkpoint.positions]

    def workload(self, batch_size: int, new_tokens: int, generation: str = DEFAULT) -> Workload:
        """Return the workload with the prompts that the settings ask for.

        A static cache is the same for all workloads of a batch size: attention reads all of it.
        """
        plain = build_workload(
            self.encode,
            batch_size=batch_size,
            new_tokens=new_tokens,
            prompt_tokens=self.settings.prompt_tokens,
            prompt=self.settings.prompt,
        )
        longest = max(self.settings.new_tokens, new_tokens, LEAST_ROOM)
        room = plain.prompt_tokens + longest if MODES[generation].is_static else 0
        return replace(plain, generation=generation, room=room)


def check(settings: Settings) -> None:
    """Raise InputError for what can't be used, as far as that is known without torch: at once."""
    _ = settings.cache_dir  # raises if there is none
    if settings.device == "cpu":
        device.check_map("cpu", settings.device_map)
    if settings.device_map == TENSOR:
        splitting.check_options(settings)
    for model in filter(None, settings.models):
        local(model, settings.revision)
    if settings.reference:
        with _of_reference():
            local(settings.reference, None)


def find_target(settings: Settings, say: Callable[[str], None]) -> Target:
    """Find device, checkpoint and tokenizer, and check that the prompts fit the model.

    Raises InputError, whose message is one line, for whatever can't be used.
    """
    check(settings)
    import bitsandbytes  # noqa: F401 (imported before any load, so that no load's time has it)
    import torch
    from transformers import PreTrainedModel  # noqa: F401 (likewise)

    where = device.resolve(settings.device, settings.device_map)
    ranks = splitting.ranks(where) if settings.device_map == TENSOR else 1
    if settings.threads or where.type == "cpu":
        # One thread on the CPU: two wait for each other at the end of every operator, and with a
        # busy neighbour on one of two cores a generation took up to 150 times longer.
        torch.set_num_threads(settings.threads or 1)
    name = settings.model or default_model(where.type)
    checkpoint = resolve(name, settings.revision, settings.cache_dir, say)
    fitness.check_kind(checkpoint)
    settings = replace(settings, dtype=fitness.own_dtype(checkpoint, settings.dtype))
    _quieten()
    model = skeleton.build(checkpoint, settings.attn_implementation)
    done = skeleton.dry_pass(model)
    fitness.check(checkpoint, settings.quantizations, model, done)
    if ranks > 1:
        splitting.check_model(checkpoint.name, model, ranks)
    devices = torch.cuda.device_count() if settings.device_map == "auto" else 1
    backend = possible.check(settings.generations, checkpoint.name, model, where, devices)
    idle = done.idle if done else frozenset()
    with _of_reference():
        given = settings.reference
        reference = resolve(given, None, settings.cache_dir, say) if given else None
    fitness.check_reference(checkpoint, reference)
    tokenizer = _tokenizer(checkpoint)
    target = Target(settings, where, checkpoint, tokenizer, reference, idle, backend)
    workload = target.workload(max(settings.batch_sizes), settings.new_tokens)
    fitness.check_ids(checkpoint, model, chain(target.agreement_ids, *workload.prompts))
    prompt = workload.prompt_tokens
    new_tokens = max(settings.new_tokens, LEAST_ROOM)
    if checkpoint.positions and prompt + new_tokens > checkpoint.positions:
        least = f" (evidence takes {LEAST_ROOM})" if new_tokens > settings.new_tokens else ""
        raise InputError(
            f"prompt and --new-tokens: expected at most {checkpoint.positions} tokens together, "
            f"the positions of {checkpoint.name}; got {prompt} + {new_tokens}{least}; "
            "shorten one of them"
        )
    return target


@contextmanager
def _of_reference() -> Iterator[None]:
    """Let what is wrong with a checkpoint be said of the option that gave it."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("--model", "--reference", 1)) from error


def _quieten() -> None:
    """Turn off the advice and the progress bars of third parties, which would drown the result.

    bitsandbytes logs a line per call of a linear if activations aren't float16: milliseconds per
    token.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _tokenizer(checkpoint: Checkpoint) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(checkpoint.path, trust_remote_code=False)
    except Exception as error:
        what = f"--model {checkpoint.name}: transformers can't read its tokenizer"
        raise foreign.wrapped(what, error) from error
