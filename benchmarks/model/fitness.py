"""Whether a model can be measured at all, and as it is asked for: said before it is loaded."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.model import skeleton, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.model.checkpoint import Checkpoint

LEFT_OUT = 0.01  # share of the weights: small convolutions and the like


def check(
    checkpoint: Checkpoint, quantizations: Sequence[str], model: Any, done: skeleton.Pass | None
) -> None:
    """Raise InputError for a model, given without weights, that can't be measured as asked.

    `done` is what one pass of it did, None if that isn't known.
    """
    tensors.check(checkpoint, model, done.idle if done else ())
    _check_own(checkpoint, quantizations)
    if done and not done.has_cache:
        raise InputError(no_cache(checkpoint.name, model))
    quantized = [name for name in quantizations if QUANTIZATIONS[name].weights]
    if quantized:
        option = f"--quantization {quantized[0]}"
        _check_classes(option, checkpoint, model, done)
        if done:
            _check_calls(option, checkpoint, model, done)
            _check_inputs(quantized, checkpoint, done)
        _check_share(option, checkpoint, model)


def no_cache(name: str, model: Any) -> str:
    """Return the line that refuses a model which keeps nothing from one token to the next."""
    return (
        f"--model {name}: expected a decoder, which keeps a cache from one token to the next; got "
        f"{type(model).__name__}, whose pass returns none; an encoder's config.json may say "
        "is_decoder: false; choose another model"
    )


def check_ids(checkpoint: Checkpoint, model: Any, ids: Iterable[int]) -> None:
    """Raise InputError if the tokenizer gives ids that the model has no embedding for."""
    rows, highest = model.get_input_embeddings().num_embeddings, max(ids, default=0)
    if highest >= rows:
        raise InputError(
            f"--model {checkpoint.name}: expected token ids below {rows}, its vocabulary, got "
            f"{highest} from its tokenizer; fetch tokenizer and model again, from one place"
        )


def _check_own(checkpoint: Checkpoint, quantizations: Sequence[str]) -> None:
    """Refuse another quantization than the one that a checkpoint has already."""
    own = checkpoint.quantization
    if own and tuple(quantizations) != (own,):
        raise InputError(
            f"--quantization {','.join(quantizations)}: expected {own}, by which "
            f"{checkpoint.name} is quantized already; write --quantization {own}, or give the "
            "original model"
        )


def check_reference(checkpoint: Checkpoint, reference: Checkpoint | None) -> None:
    """Raise InputError for a reference that can't be what a checkpoint was made from."""
    if reference is None:
        return
    if checkpoint.quantization is None:
        raise InputError(
            f"--reference {reference.name}: expected a model that is quantized already, got "
            f"{checkpoint.name}, which is compared with itself in 16 bits; leave the option away"
        )
    own, other = checkpoint.config.get("model_type"), reference.config.get("model_type")
    if reference.quantization:
        got = f"one that is quantized as {reference.quantization}"
    elif own != other:
        got = f"a model of type {other} instead of {own}"
    elif _sizes(checkpoint) != _sizes(reference):
        got = "one with weights of other names or sizes"
    else:
        return
    raise InputError(
        f"--reference {reference.name}: expected the 16-bit checkpoint that {checkpoint.name} was "
        f"made from, got {got}; give its origin"
    )


def check_kind(checkpoint: Checkpoint) -> None:
    """Raise InputError for an encoder with a decoder: as a decoder alone it would be half of it."""
    if checkpoint.config.get("is_encoder_decoder"):
        raise InputError(
            f"--model {checkpoint.name}: expected a decoder, got an encoder and a decoder, by "
            "is_encoder_decoder in its config.json; choose another model"
        )


def own_dtype(checkpoint: Checkpoint, dtype: str | None) -> str | None:
    """Return the dtype of what isn't quantized: that of its files, if a checkpoint is quantized.

    transformers loads it as it is stored. Raises InputError if another one was asked for.
    """
    stored = checkpoint.half if checkpoint.quantization else None
    if stored and dtype not in (stored, None):
        raise InputError(
            f"--dtype {dtype}: expected {stored}, in which {checkpoint.name} keeps what isn't "
            f"quantized; write --dtype {stored}"
        )
    return stored or dtype


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Return how many values the weights of the layers have.

    Embeddings and heads are left out, since either may be missing where they are the same.
    """
    own = checkpoint.config.get("quantization_config") or {}
    storage = str(own.get("bnb_4bit_quant_storage", "uint8"))
    packed = 2 * {"float32": 4, "float16": 2, "bfloat16": 2}.get(storage, 1)
    return {
        # Four bits are stored without a shape.
        name: prod(shape) * (packed if own.get("load_in_4bit") and shape[1:] == (1,) else 1)
        for name, shape in checkpoint.shapes.items()
        if name.endswith(".weight") and any(part.isdigit() for part in name.split("."))
    }


def _check_classes(
    option: str, checkpoint: Checkpoint, model: Any, done: skeleton.Pass | None
) -> None:
    """Refuse linears that run and that transformers doesn't quantize, since they are others'."""
    import torch
    from transformers.pytorch_utils import Conv1D

    found = {n: m for n, m in model.named_modules() if isinstance(m, (torch.nn.Linear, Conv1D))}
    run = {n: m for n, m in found.items() if done is None or done.linears.get(n, 1)}
    others = Counter(type(m).__name__ for m in run.values() if type(m) is not torch.nn.Linear)
    if others:
        classes = ", ".join(f"{count} {name}" for name, count in others.items())
        raise InputError(
            f"{option}: expected linears of torch's own class, which are quantized and attested; "
            f"got {classes} in {checkpoint.name}; write --quantization fp16, or choose another "
            "model"
        )


def _check_share(option: str, checkpoint: Checkpoint, model: Any) -> None:
    """Refuse a model whose weights are largely in no linear: experts stay as they are.

    Embeddings and the head stay in 16 bits by design, as bitsandbytes and transformers have it.
    """
    import torch

    kinds = (torch.nn.Linear, torch.nn.Embedding)
    modules = [module for module in model.modules() if isinstance(module, kinds)]
    known = {id(weight) for module in modules for weight in module.parameters(recurse=False)}
    others = {
        name: weight.numel()
        for name, weight in model.named_parameters()
        if weight.dim() > 1 and id(weight) not in known
    }
    share = sum(others.values()) / max(1, sum(each.numel() for each in model.parameters()))
    if share > LEFT_OUT:
        raise InputError(
            f"{option}: expected linears, but {share:.0%} of the weights of "
            f"{checkpoint.name} are in none, such as {max(others, key=others.__getitem__)}, and "
            "would stay in 16 bits; write --quantization fp16, or choose another model"
        )


def _check_calls(option: str, checkpoint: Checkpoint, model: Any, done: skeleton.Pass) -> None:
    """Refuse linears that don't run once in a pass: which work was quantized isn't known then."""
    names, _ = skeleton.quantizable(model)
    often = [name for name in names if done.linears[name] > 1]
    beside = [name for name in names if not done.linears[name] and name not in done.idle]
    for wrong, what in (
        (often, "run more than once"),
        (beside, "have their weights read directly"),
    ):
        if wrong:
            raise InputError(
                f"{option}: expected linears that run once in a step, got {len(wrong)} of "
                f"{checkpoint.name} that {what}, such as {wrong[0]}; write --quantization fp16, "
                "or choose another model"
            )


def _check_inputs(quantized: Sequence[str], checkpoint: Checkpoint, done: skeleton.Pass) -> None:
    """Refuse INT8 for inputs that bitsandbytes loses a dimension of: latent attention has them."""
    int8 = [name for name in quantized if not QUANTIZATIONS[name].is_4bit]
    if int8 and done.deep:
        raise InputError(
            f"--quantization {int8[0]}: expected inputs of 2 or 3 dimensions, which bitsandbytes "
            f"multiplies in INT8; {len(done.deep)} linears of {checkpoint.name} have 4, such as "
            f"{min(done.deep)}; write --quantization nf4 or fp16"
        )
