"""One wrong place in a model of Llama's architecture: what agreement has to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitsandbytes.nn.modules import Int8Params, Params4bit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ZERO_CODES = 0x77  # two weights of NF4 in a byte: its eighth value is 0


def zero(linear: Any) -> None:
    """Let all weights of a linear be 0."""
    weight = linear.weight
    weight.data.fill_(ZERO_CODES if isinstance(weight, Params4bit) else 0)


def scale(linear: Any, by: float = 2) -> None:
    """Let all scales of a linear be so many times what they are; without scales, its weights."""
    weight = linear.weight
    if isinstance(weight, Int8Params):
        weight.SCB.mul_(by)
    elif not isinstance(weight, Params4bit):
        weight.data.mul_(by)
    elif weight.quant_state.nested:  # its scales are quantized: those of the scales, and their mean
        weight.quant_state.state2.absmax.mul_(by)
        weight.quant_state.offset.mul_(by)
    else:
        weight.quant_state.absmax.mul_(by)


def swap_down(layers: Any, one: int, other: int) -> None:
    """Let two layers have each other's `down_proj`."""
    a, b = layers[one].mlp, layers[other].mlp
    a.down_proj, b.down_proj = b.down_proj, a.down_proj


def swap(layers: Any, one: int, other: int) -> None:
    """Let two layers be in each other's place."""
    layers[one], layers[other] = layers[other], layers[one]


# Of a model of 30 layers: what is done to them.
DAMAGES: Mapping[str, Callable[[Any], None]] = {
    "`down_proj` of layer 2 zeroed": lambda layers: zero(layers[2].mlp.down_proj),
    "`down_proj` of layer 15 zeroed": lambda layers: zero(layers[15].mlp.down_proj),
    "`down_proj` of layer 27 zeroed": lambda layers: zero(layers[27].mlp.down_proj),
    "scales of that of layer 15 doubled": lambda layers: scale(layers[15].mlp.down_proj),
    "`q_proj` of layer 15, scales doubled": lambda layers: scale(layers[15].self_attn.q_proj),
    "`down_proj` of layers 14 and 15 swapped": lambda layers: swap_down(layers, 14, 15),
    "layers 14 and 15 swapped": lambda layers: swap(layers, 14, 15),
}
