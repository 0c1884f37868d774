"""Let INT8 weights be quantized where they are: transformers sends each back to the host first.

It reads a weight, copies it to the device, back to the host, and to the device again, where
bitsandbytes quantizes it. Of the 21 seconds that a load of 16 GB took on an H100, 13 went into
the two copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.foreign import PlainError
from benchmarks.splitting import shards

if TYPE_CHECKING:
    import torch

# Of transformers' loader; the last two load what is quantized already.
STEPS = ("Bnb8bitQuantize", "Bnb4bitQuantize", "Bnb8bitDeserialize", "Bnb4bitDeserialize")


@dataclass
class Seen:
    """What quantizing did during a load."""

    on_device: list[str] = field(default_factory=list)  # weights that were quantized there
    errors: list[Exception] = field(default_factory=list)  # transformers keeps them to itself


@contextmanager
def on_device() -> Iterator[Seen]:
    """Let loads quantize as soon as a weight is on the device; the bits are the same.

    If transformers or bitsandbytes are built in another way, or a weight is on the host,
    transformers' own way is taken. Its loader goes on after an error and raises one of its own,
    which doesn't say that memory ran out: the real ones are kept.
    """
    from transformers.integrations import bitsandbytes as integration

    seen = Seen()
    with ExitStack() as stack:
        for name in STEPS:
            step = getattr(integration, name, None)
            if hasattr(step, "convert"):
                stack.enter_context(_watched(step, seen, ours=name == STEPS[0]))
        yield seen


@contextmanager
def _watched(step: Any, seen: Seen, *, ours: bool) -> Iterator[None]:
    original = step.convert

    def convert(self: Any, input_dict: Any, *more: Any, model: Any = None, **others: Any) -> Any:
        try:
            if ours:
                found = {name: _converted(value, name, model) for name, value in input_dict.items()}
                if all(value is not None for value in found.values()):
                    seen.on_device.extend(found)
                    return found
            return original(self, input_dict, *more, model=model, **others)
        except Exception as error:
            seen.errors.append(PlainError(error))
            raise

    step.convert = convert
    try:
        yield
    finally:
        step.convert = original


def quantized(weight: torch.Tensor, parameter: torch.nn.Parameter) -> torch.nn.Parameter | None:
    """Return a weight of shape (out, in), quantized as `parameter`, an Int8Params, would be.

    By the code of bitsandbytes that a move to the device would call, whatever its release. None
    if it has none, or the parameter is to stay unquantized.
    """
    from bitsandbytes.nn.modules import Int8Params

    options = {name: value for name, value in vars(parameter).items() if name != "SCB"}
    if options.get("has_fp16_weights") or not hasattr(Int8Params, "_quantize"):
        return None
    whole: Any = Int8Params(weight, requires_grad=False, **options)
    found: torch.nn.Parameter = whole._quantize(weight.device)
    return found


def dequantized(module: torch.nn.Module, rows: slice) -> torch.Tensor:
    """Return rows of a linear's weight as its quantization has it, in float32.

    Computed on the host from the weight and its scales, so that no kernel of the device is trusted,
    or loaded.
    """
    from bitsandbytes.nn.modules import Int8Params, Params4bit

    weight: Any = module.weight
    if isinstance(weight, Params4bit):
        return _dequantized_4bit(weight, rows)
    found: torch.Tensor = shards.own(weight)[rows].detach().cpu().float()
    if isinstance(weight, Int8Params):
        state: Any = module.state
        scales = weight.SCB if weight.SCB is not None else state.SCB
        found *= scales[rows].cpu().float()[:, None] / 127
    return found


def _dequantized_4bit(weight: Any, rows: slice) -> torch.Tensor:
    """Return rows of a 4-bit weight: two codes in a byte, the first in the upper half.

    The first of them must have an even number.
    """
    import torch

    state = weight.quant_state
    width = state.shape[1]
    start, stop = (number * width for number in rows.indices(state.shape[0])[:2])
    codes = weight.reshape(-1)[start // 2 : -(-stop // 2)].cpu().view(torch.uint8)
    pairs = torch.stack((codes >> 4, codes & 15), dim=-1).reshape(-1)[: stop - start].long()
    first, last = start // state.blocksize, -(-stop // state.blocksize)  # blocks with a scale each
    scales = state.absmax.reshape(-1)[first:last].cpu()
    if state.nested:
        inner = state.state2
        outer = inner.absmax.cpu()[torch.arange(first, last) // inner.blocksize]
        scales = inner.code.cpu()[scales.long()] * outer + state.offset.cpu()
    each = scales.float()[torch.arange(start, stop) // state.blocksize - first]
    found: torch.Tensor = (state.code.cpu().float()[pairs] * each).reshape(-1, width)
    return found


def _converted(value: Any, name: str, model: Any) -> torch.nn.Parameter | None:
    """Return a loaded weight, quantized; None on the host, or if its linear isn't plain."""
    import torch

    if model is None:
        return None
    weight = value[0] if isinstance(value, list) else value
    module = model.get_submodule(name.rpartition(".")[0])
    plain = getattr(module, "source_cls", None) is torch.nn.Linear
    if weight.device.type == "cpu" or not plain:
        return None
    return quantized(weight, model.get_parameter_or_buffer(name))
