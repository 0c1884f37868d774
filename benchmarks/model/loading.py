"""From a target to a loaded model: an engine, or one line that says why there is none."""

from __future__ import annotations

import gc
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from benchmarks.common import foreign
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.out_of_memory import free_bytes, is_out_of_memory, out_of_memory
from benchmarks.config.options import TENSOR
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import dtype_name
from benchmarks.machine import clock
from benchmarks.model import quantizing
from benchmarks.model.engine import Engine, generation_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from benchmarks.model.checkpoint import Checkpoint
    from benchmarks.model.target import Target


def load(target: Target, quantization: str, *, cold: bool) -> Engine:
    """Load the model with a quantization; `cold`: nothing was generated in this process yet.

    Raises OutOfMemoryError or InputError if it can't be loaded, and leaves nothing behind.
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
                **_quantized_by(checkpoint, quantization, dtype),
                attn_implementation=settings.attn_implementation,
                dtype=dtype,
                **_placed(target),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # whatever transformers and its loaders raise
            errors = [*seen.errors, foreign.PlainError(error)]
            failure = _failure(target, quantization, errors, free)
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
    sharded = target.settings.device_map != "single"
    advice = "free the GPU, or choose another --quantization"
    return out_of_memory(
        f"loading {checkpoint.name} with {quantization} ({needed})",
        ran_out,
        free,
        advice if sharded else f"{advice}, or use --device-map auto",
    )


def _placed(target: Target) -> dict[str, Any]:
    """Return what tells transformers where weights go.

    Ranks that hold a model together are told by the variables of torch's launcher.
    """
    if target.settings.device_map != TENSOR:
        return {
            "device_map": "auto" if target.settings.device_map == "auto" else {"": target.device}
        }
    from transformers.distributed.configuration_utils import DistributedConfig

    if "tp_plan" in {each.name for each in fields(DistributedConfig)}:
        return {"distributed_config": DistributedConfig(tp_plan="auto")}
    return {"tp_plan": "auto"}  # before transformers 5.13 or so


def _quantized_by(checkpoint: Checkpoint, quantization: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return what lets transformers quantize; nothing for what is quantized already."""
    if checkpoint.quantization:
        return {}
    return {"quantization_config": quantization_config(quantization, dtype)}


def quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    """Return the BitsAndBytesConfig of a quantization, None for the unquantized ones."""
    from transformers import BitsAndBytesConfig

    known = QUANTIZATIONS[quantization]
    computed_in = {"bnb_4bit_compute_dtype": dtype} if known.is_4bit else {}
    return BitsAndBytesConfig(**known.options, **computed_in) if known.options else None


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
    what = f"--model {checkpoint.name}: transformers can't load it with {quantization}"
    return foreign.wrapped(what, error)


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
