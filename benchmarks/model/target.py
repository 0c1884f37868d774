"""What is measured: device, checkpoint and tokenizer, found and checked before a load."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import first_line
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.workload import Workload, build_workload
from benchmarks.machine import device
from benchmarks.model.checkpoint import default_model, local, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from benchmarks.config.settings import Settings
    from benchmarks.model.checkpoint import Checkpoint
LEFT_OUT = 0.01  # share of the weights: small convolutions and the like


@dataclass(frozen=True)
class Target:
    """What is measured, found and checked before the first benchmark: all but the loaded model."""

    settings: Settings
    device: torch.device
    checkpoint: Checkpoint
    tokenizer: Any

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, special tokens included."""
        return list(self.tokenizer(text)["input_ids"])

    def workload(self, batch_size: int, new_tokens: int) -> Workload:
        """Return the workload with the prompts that the settings ask for."""
        return build_workload(
            self.encode,
            batch_size=batch_size,
            new_tokens=new_tokens,
            prompt_tokens=self.settings.prompt_tokens,
            prompt=self.settings.prompt,
        )


def check(settings: Settings) -> None:
    """Raise InputError for what can't be used, as far as that is known without torch: at once."""
    _ = settings.cache_dir  # raises if there is none
    if settings.device == "cpu":
        device.check_map("cpu", settings.device_map)
    if settings.model:
        local(settings.model, settings.revision)


def find_target(settings: Settings, say: Callable[[str], None]) -> Target:
    """Find device, checkpoint and tokenizer, and check that the prompts fit the model.

    Raises InputError, whose message is one line, for whatever can't be used.
    """
    check(settings)
    import bitsandbytes  # noqa: F401 (imported before any load, so that no load's time has it)
    import torch
    from transformers import PreTrainedModel  # noqa: F401 (likewise)

    where = device.resolve(settings.device, settings.device_map)
    if settings.threads or where.type == "cpu":
        # One thread on the CPU: two wait for each other at the end of every operator, and with a
        # busy neighbour on one of two cores a generation took up to 150 times longer.
        torch.set_num_threads(settings.threads or 1)
    model = settings.model or default_model(where.type)
    checkpoint = resolve(model, settings.revision, settings.cache_dir, say)
    target = Target(settings, where, checkpoint, _tokenizer(checkpoint))
    _check_linears(checkpoint, settings, _checked_skeleton(checkpoint))
    prompt = target.workload(1, settings.new_tokens).prompt_tokens
    if checkpoint.positions and prompt + settings.new_tokens > checkpoint.positions:
        raise InputError(
            f"prompt and --new-tokens: expected at most {checkpoint.positions} tokens together, "
            f"the positions of {checkpoint.name}; got {prompt} + {settings.new_tokens}; "
            "shorten one of them"
        )
    return target


def skeleton(checkpoint: Checkpoint) -> Any:
    """Return the model that a checkpoint's config.json describes, without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(checkpoint.path))


def _checked_skeleton(checkpoint: Checkpoint) -> Any:
    """Return the model without weights, if config.json and files have the same shapes.

    bitsandbytes would load a matrix of another shape.
    """
    try:
        model = skeleton(checkpoint)
    except Exception as error:
        raise InputError(
            f"--model {checkpoint.name}: transformers can't build it from its config.json: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    for name, tensor in model.state_dict().items():
        got = checkpoint.shapes.get(name, tuple(tensor.shape))  # a missing one shows at the load
        if got != tuple(tensor.shape):
            raise InputError(
                f"--model {checkpoint.name}: expected {name} of shape {tuple(tensor.shape)} by its "
                f"config.json, got {got}; fetch both files again"
            )
    return model


def _check_linears(checkpoint: Checkpoint, settings: Settings, model: Any) -> None:
    """Refuse to quantize a model whose weights are largely in no linear: experts stay as they are.

    Embeddings and the head stay in 16 bits by design, as bitsandbytes and transformers have it.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    quantized = [name for name in settings.quantizations if QUANTIZATIONS[name].weights]
    if any(isinstance(module, Conv1D) for module in model.modules()):
        raise InputError(
            f"--model {checkpoint.name}: expected linears, got GPT-2's transposed ones (Conv1D), "
            "which the suite can't attest; choose another model"
        )
    kinds = (torch.nn.Linear, torch.nn.Embedding)
    modules = [module for module in model.modules() if isinstance(module, kinds)]
    known = {id(weight) for module in modules for weight in module.parameters(recurse=False)}
    others = {
        name: weight.numel()
        for name, weight in model.named_parameters()
        if weight.dim() > 1 and id(weight) not in known
    }
    share = sum(others.values()) / max(1, sum(each.numel() for each in model.parameters()))
    if quantized and share > LEFT_OUT:
        raise InputError(
            f"--quantization {quantized[0]}: expected linears, but {share:.0%} of the weights of "
            f"{checkpoint.name} are in none, such as {max(others, key=others.__getitem__)}, and "
            "would stay in 16 bits; choose a dense model, or fp16"
        )


def _tokenizer(checkpoint: Checkpoint) -> Any:
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    # The advice and the progress bars of third parties would drown the result. bitsandbytes logs
    # a line per call of a linear if activations aren't float16: milliseconds per token.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        return AutoTokenizer.from_pretrained(checkpoint.path)
    except Exception as error:
        raise InputError(
            f"--model {checkpoint.name}: can't read its tokenizer ({type(error).__name__}: "
            f"{first_line(error)})"
        ) from error
