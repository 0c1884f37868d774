"""How many bytes a loaded model holds and needs, and how many of them a decode step reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def weights_bytes(model: Any) -> int:
    """Return the bytes of all weights, scales and buffers, each storage once."""
    return sum(_sizes(model.modules()).values())


def weights_bytes_by_device(model: Any) -> dict[str, int]:
    """Return the bytes of all weights, scales and buffers by the device that holds them."""
    placement: dict[str, int] = {}
    for (device, _), size in _sizes(model.modules()).items():
        placement[device] = placement.get(device, 0) + size
    return placement


def decode_weight_bytes(model: Any) -> int:
    """Return the bytes that one decode step reads: all but the embedding.

    Of the embedding a step reads one row for each token. If the output head shares its
    storage, the head's share counts.
    """
    import torch

    modules = (each for each in model.modules() if not isinstance(each, torch.nn.Embedding))
    return sum(_sizes(modules).values())


def kv_bytes_per_token(model: Any) -> int:
    """Return the bytes of keys and values of one token: 2 x layers x KV heads x head size."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    if getattr(config, "multi_query", False) and not getattr(
        config, "new_decoder_architecture", False
    ):
        kv_heads = 1  # the first Falcons
    return int(2 * config.num_hidden_layers * kv_heads * head_dim * model.dtype.itemsize)


def partly_read(config: Any) -> Unmeasured | None:
    """Return why a decode step reads less than all weights, or all keys; None if it reads all.

    Then the bytes above are no lower bound of what a step reads. A window is another matter: it
    may be longer than what is generated.
    """
    text = config.get_text_config()
    inner = getattr(text, "ffn_config", None)
    if any(getattr(each, name, None) for each in (text, inner) for name in EXPERTS):
        return Unmeasured("a step reads only some of the experts")
    kinds = set(getattr(text, "layer_types", None) or [])
    if kinds - {"full_attention", "sliding_attention"}:
        return Unmeasured("not all layers attend to tokens one by one")
    return None


def window_tokens(config: Any) -> int | None:
    """Return to how many tokens the layers of least sight attend; None if all see all."""
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None) or getattr(text, "attention_layers", None) or []
    local = {"sliding_attention", "local"} & set(kinds)
    if kinds and not local:
        return None
    return getattr(text, "sliding_window", None) or (text.window_size if "local" in local else None)


def _sizes(modules: Iterator[Any]) -> dict[tuple[str, int], int]:
    """Return the bytes of each storage, by its device and address."""
    sizes: dict[tuple[str, int], int] = {}
    for module in modules:
        for tensor in _tensors(module):
            key = (str(tensor.device), tensor.data_ptr())
            sizes[key] = max(sizes.get(key, 0), tensor.numel() * tensor.element_size())
    return sizes


def _tensors(module: Any) -> Iterator[torch.Tensor]:
    """Yield what a module holds itself, bitsandbytes' scales and tables included."""
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is None:
            continue
        yield tensor
        for holder in (tensor, getattr(module, "state", None)):  # Int8Params, MatmulLtState
            for name in ("CB", "SCB"):
                if getattr(holder, name, None) is not None:
                    yield getattr(holder, name)
        state = getattr(tensor, "quant_state", None)  # Params4bit
        while state is not None:
            yield from (t for t in (state.absmax, state.code, state.offset) if t is not None)
            state = getattr(state, "state2", None)
