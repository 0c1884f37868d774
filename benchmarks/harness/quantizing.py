"""Quantize to INT8 where a weight is: transformers sends each one back to the host first.

It reads a weight, copies it to the device, back to the host, and to the device again, to be
quantized there. Of 21 seconds that a load of 16 GB took on an H100, 13 went into that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@contextmanager
def on_device() -> Iterator[None]:
    """Let loads quantize as soon as a weight is on the device; the result is the same.

    Where transformers is built in another way, or the weight is on the host, its own way is taken.
    """
    from transformers.integrations import bitsandbytes as integration

    step = getattr(integration, "Bnb8bitQuantize", None)
    original = getattr(step, "convert", None)
    if step is None or original is None:
        yield
        return

    def convert(self: Any, input_dict: Any, model: Any = None, **more: Any) -> Any:
        found = {name: _converted(value, name, model) for name, value in input_dict.items()}
        if any(value is None for value in found.values()):
            return original(self, input_dict, model=model, **more)
        return found

    step.convert = convert
    try:
        yield
    finally:
        step.convert = original


def quantized(weight: torch.Tensor, parameter: torch.nn.Parameter) -> torch.nn.Parameter:
    """Return a weight of shape (out, in) as what is to replace a parameter of bitsandbytes.

    As its `Int8Params.to` makes it: codes of the same shape, and a scale for each row.
    """
    import torch
    from bitsandbytes.functional import int8_vectorwise_quant
    from bitsandbytes.nn.modules import Int8Params

    codes, scales, _ = int8_vectorwise_quant(weight.contiguous().to(torch.float16))
    options = vars(parameter) | {"CB": codes, "SCB": scales}
    return Int8Params(codes, requires_grad=False, **options)


def _converted(value: Any, name: str, model: Any) -> torch.nn.Parameter | None:
    """Return a loaded weight, quantized; None on the host, or where its linear isn't plain."""
    import torch

    weight = value[0] if isinstance(value, list) else value
    module = model.get_submodule(name.rpartition(".")[0])
    plain = getattr(module, "source_cls", None) is torch.nn.Linear
    if weight.device.type == "cpu" or not plain:
        return None
    return quantized(weight, model.get_parameter_or_buffer(name))
