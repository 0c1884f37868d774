"""The caches of the generation modes: built for a generation, and looked into afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.config.generation import MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

# What a quantized layer keeps in few bits; its other tensors are the newest tokens, in 16 bits.
QUANTIZED = ("_quantized_keys", "_quantized_values")


@dataclass(frozen=True)
class Held:
    """What a cache holds after a generation."""

    kind: str  # its class
    layers: Mapping[str, int]  # by class
    tokens: int  # of each row
    bytes: int
    quantized_bytes: int  # of them, those in few bits
    unquantized_tokens: int  # of each row, those that are kept in 16 bits

    def record(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {
            "cache": self.kind,
            "layers": dict(self.layers),
            "tokens_held": self.tokens,
            "bytes_held": self.bytes,
        }


def build(mode: str, config: Any, room: int, backend: str | None) -> Any:
    """Return the new cache that a generation in this mode is given; None if `generate` has its own.

    `room`: tokens of a row that a static cache must have room for. `backend`: of a quantized one.
    """
    if MODES[mode].is_static:
        from transformers.cache_utils import StaticCache

        return StaticCache(config=config, max_cache_len=room)
    if mode == "quantized":
        from transformers.cache_utils import QuantizedCache

        return QuantizedCache(backend=backend, config=config)
    return None


def look_into(cache: Any) -> Held:
    """Return what a cache holds. Call it outside of what is timed: it waits for the device."""
    layers = list(cache.layers)
    residual = [getattr(layer, "keys", None) for layer in layers]
    return Held(
        kind=type(cache).__name__,
        layers=dict(Counter(type(layer).__name__ for layer in layers)),
        tokens=int(cache.get_seq_length()),
        bytes=_bytes(layers),
        quantized_bytes=_bytes(
            [getattr(layer, name, None) for layer in layers for name in QUANTIZED]
        ),
        unquantized_tokens=max(
            (each.shape[-2] for each in residual if each is not None and each.dim() == 4), default=0
        ),
    )


def _bytes(value: Any) -> int:
    found = {each.data_ptr(): each.numel() * each.element_size() for each in _tensors(value)}
    return sum(found.values())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the plain tensors in a layer, in the state of a backend, or in its own tensor class."""
    import torch

    if isinstance(value, torch.Tensor):
        if hasattr(value, "__tensor_flatten__"):  # of a class that wraps others
            for name in value.__tensor_flatten__()[0]:
                yield from _tensors(getattr(value, name))
        elif value.numel():
            yield value
        return
    parts: Any = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif type(value).__module__.startswith("transformers") and hasattr(value, "__dict__"):
        parts = vars(value).values()
    for each in parts:
        yield from _tensors(each)
