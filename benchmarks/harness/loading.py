"""From options to a loaded model: device, checkpoint and tokenizer, then an engine."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.harness import checkpoint as checkpoints
from benchmarks.harness import clock, device, quantizing
from benchmarks.harness.engine import (
    Engine,
    free_bytes,
    generation_config,
    is_out_of_memory,
    out_of_memory,
)
from benchmarks.harness.errors import HarnessError, InputError, plain
from benchmarks.harness.workload import Workload, build_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import torch

    from benchmarks.harness.checkpoint import Checkpoint
    from benchmarks.harness.settings import Settings

# Of LLM.int8(), by quantization: 6.0 is that of Dettmers et al. (2022), and of the old script.
THRESHOLDS = {"int8-decomp": 6.0, "int8": 0.0}
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


def find_target(settings: Settings, say: Callable[[str], None]) -> Target:
    """Find device, checkpoint and tokenizer, and check that the prompts fit the model.

    Raises InputError, whose message is one line, for whatever can't be used.
    """
    import bitsandbytes  # noqa: F401 (imported before any load, so that no load's time has it)
    import torch
    from transformers import PreTrainedModel  # noqa: F401 (likewise)

    where = device.resolve(settings.device, settings.device_map)
    if settings.threads or where.type == "cpu":
        # One thread on the CPU: two wait for each other at the end of every operator, and with a
        # busy neighbour on one of two cores a generation took up to 150 times longer.
        torch.set_num_threads(settings.threads or 1)
    model = settings.model or checkpoints.default_model(where.type)
    checkpoint = checkpoints.resolve(model, settings.revision, settings.cache_dir, say)
    target = Target(settings, where, checkpoint, _tokenizer(checkpoint))
    _check_linears(checkpoint, settings, _checked_skeleton(checkpoint))
    prompt = target.workload(1, settings.new_tokens).prompt_tokens
    if checkpoint.positions and prompt + settings.new_tokens > checkpoint.positions:
        raise InputError(
            f"prompt and --new-tokens: expected at most {checkpoint.positions} tokens together, "
            f"the positions of {checkpoint.name}; got {prompt} + {settings.new_tokens}; "
            "shorten one of them"
        )
    if settings.artifacts:
        _make_folder(settings.artifacts)
    return target


def load(target: Target, quantization: str, *, cold: bool) -> Engine:
    """Load the model with a quantization; `cold`: nothing was generated in this process yet.

    Raises OutOfMemoryError or InputError where it can't be loaded, and leaves nothing behind.
    """
    import torch
    from transformers import AutoModelForCausalLM

    settings, checkpoint = target.settings, target.checkpoint
    dtype = getattr(torch, dtype_name(settings, quantization))
    failure: HarnessError
    free = free_bytes(target.device)
    with quantizing.on_device() as seen:
        start = clock.now()
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                checkpoint.path,
                quantization_config=quantization_config(quantization, dtype),
                attn_implementation=settings.attn_implementation,
                dtype=dtype,
                device_map="auto" if settings.device_map == "auto" else {"": target.device},
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # whatever transformers and its loaders raise
            failure = _failure(target, quantization, [*seen.errors, plain(error)], free)
        else:
            load_s = clock.now() - start
            if target.device.type == "cuda":
                torch.cuda.empty_cache()  # what loading took for a while is no peak of a benchmark
            engine = Engine(model, target, quantization=quantization, load_s=load_s, cold=cold)
            engine.quantized_on_device = len(seen.on_device)
            # `generate` fills what a config leaves open from the model's own: make that ours too.
            model.generation_config = generation_config(engine.pad_token_id)
            return _checked(engine, checkpoint, info)
    # Raised out here: inside of `except` it would keep the frames that hold the tensors.
    gc.collect()
    if target.device.type == "cuda":
        torch.cuda.empty_cache()
    raise failure


def _failure(
    target: Target, quantization: str, errors: Sequence[Exception], free: int | None
) -> HarnessError:
    """Return what a load failed of: that memory ran out, if one of the errors says so."""
    checkpoint = target.checkpoint
    ran_out = next(filter(is_out_of_memory, errors), None)
    if ran_out is None:
        return _not_loaded(checkpoint, quantization, errors[0])
    needed = f"about {checkpoint.estimated_bytes(quantization) / 1e9:.3g} GB for weights"
    sharded = target.settings.device_map == "auto"
    advice = "free the GPU, or choose another --quantization"
    return out_of_memory(
        f"loading {checkpoint.name} with {quantization} ({needed})",
        ran_out,
        free,
        advice if sharded else f"{advice}, or use --device-map auto",
    )


def dtype_name(settings: Settings, quantization: str) -> str:
    """Return the name of the dtype of activations, and of what isn't quantized."""
    return {"fp16": "float16", "bf16": "bfloat16"}.get(quantization, settings.dtype)


def skeleton(checkpoint: Checkpoint) -> Any:
    """Return the model that a checkpoint's config.json describes, without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(checkpoint.path))


def quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    """Return the BitsAndBytesConfig of a quantization, None for the unquantized ones."""
    from transformers import BitsAndBytesConfig

    if quantization in THRESHOLDS:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=THRESHOLDS[quantization])
    if quantization in ("nf4", "nf4-dq"):
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=quantization == "nf4-dq",
        )
    return None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--artifacts: expected a folder that can be written, got {folder} ({error.strerror})"
        ) from error


def _checked_skeleton(checkpoint: Checkpoint) -> Any:
    """Return the model without weights, if config.json and files have the same shapes.

    bitsandbytes would load a matrix of another shape.
    """
    try:
        model = skeleton(checkpoint)
    except Exception as error:
        raise InputError(
            f"--model {checkpoint.name}: transformers can't build it from its config.json: "
            f"{type(error).__name__}: {_first_line(error)}"
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

    quantized = [name for name in settings.quantizations if name not in ("fp16", "bf16")]
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
    # a line per call of a linear where activations aren't float16: milliseconds per token.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        return AutoTokenizer.from_pretrained(checkpoint.path)
    except Exception as error:
        raise InputError(
            f"--model {checkpoint.name}: can't read its tokenizer ({type(error).__name__}: "
            f"{_first_line(error)})"
        ) from error


def _checked(engine: Engine, checkpoint: Checkpoint, info: Mapping[str, Any]) -> Engine:
    """Return the engine, unless parts of its model are not loaded, or left on host or disk."""
    for kind in ("missing_keys", "mismatched_keys", "error_msgs"):
        if bad := sorted(map(str, info.get(kind) or ())):
            engine.close()
            raise InputError(
                f"--model {checkpoint.name}: expected every weight of its architecture, got "
                f"{len(bad)} {kind.replace('_', ' ')}, such as {bad[0]}; fetch it again"
            )
    where = {str(place) for place in getattr(engine.model, "hf_device_map", {}).values()}
    left = sorted(where & {"cpu", "disk", "meta"})
    if left and engine.device.type != "cpu":
        engine.close()
        raise _does_not_fit(checkpoint, f"parts of it went to {' and '.join(left)}")
    return engine


def _not_loaded(checkpoint: Checkpoint, quantization: str, error: Exception) -> HarnessError:
    if "dispatched on the CPU or the disk" in str(error):
        return _does_not_fit(checkpoint, f"not even with {quantization}")
    return InputError(
        f"--model {checkpoint.name}: transformers can't load it with {quantization}: "
        f"{_first_line(error)}"
    )


def _does_not_fit(checkpoint: Checkpoint, how: str) -> InputError:
    import torch

    free = sum(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
    sizes = ", ".join(
        f"{name} {checkpoint.estimated_bytes(name) / 1e9:.3g} GB"
        for name in ("fp16", "int8-decomp", "nf4")
    )
    return InputError(
        f"--model {checkpoint.name} doesn't fit on the visible GPUs ({how}): expected {sizes} for "
        f"weights, got {free / 1e9:.3g} GB free; use a smaller quantization or more GPUs"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
