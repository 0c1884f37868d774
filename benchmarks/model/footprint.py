"""How many bytes a loaded model holds and needs, and how many of them a decode step reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.quantity import Unmeasured
from benchmarks.model import fitness, skeleton
from benchmarks.model.checkpoint import POSITIONS
from benchmarks.splitting import shards

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import torch


SHORT, LONG = 4, 8  # tokens of the passes that the cache is measured by; less than any window
# Layers that read all that they keep: keys and values of each token, or a state.
ONE_BY_ONE = frozenset(
    {
        "full_attention",
        "sliding_attention",
        "attention",
        "mamba",
        "conv",
        "linear_attention",
        "recurrent",
    }
)
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def tensors(model: Any) -> Iterator[torch.Tensor]:
    """Yield all weights, scales and buffers of a model; some share a storage."""
    for module in model.modules():
        yield from _tensors(module)


def weights_bytes(model: Any) -> int:
    """Return the bytes of all weights, scales and buffers, each storage once."""
    return sum(_sizes(model.modules()).values())


def kept_bytes(model: Any, quantizable: Collection[str]) -> int:
    """Return the bytes of all weights and buffers that aren't of these modules, by their names."""
    rest = (module for name, module in model.named_modules() if name not in quantizable)
    return sum(_sizes(rest).values())


def weights_bytes_by_device(model: Any) -> dict[str, int]:
    """Return the bytes of all weights, scales and buffers by the device that holds them."""
    placement: dict[str, int] = {}
    for (device, _), size in _sizes(model.modules()).items():
        placement[device] = placement.get(device, 0) + size
    return placement


def gpus(model: Any) -> list[torch.device]:
    """Return the GPUs that hold weights of the model, in their order; none on the CPU."""
    import torch

    held = map(torch.device, weights_bytes_by_device(model))
    return sorted((each for each in held if each.type == "cuda"), key=lambda each: each.index)


def decode_weight_bytes(model: Any, idle: Collection[str] = ()) -> int:
    """Return the bytes that one decode step reads: all but the embedding, and tables by position.

    `idle` are the modules that text doesn't reach: a vision tower's. Of the embedding a step reads
    one row for each token, and so it does of masks and of angles that are kept for each position.
    If the output head shares the embedding's storage, the head's share counts.
    """
    import torch

    longest = positions(model.config.get_text_config())
    tables = {
        id(buffer)
        for buffer in model.buffers()
        if buffer.dim() > 1 and any(longest and size >= longest for size in buffer.shape)
    }
    modules = (
        module
        for name, module in model.named_modules()
        if name not in idle and not isinstance(module, torch.nn.Embedding)
    )
    return sum(_sizes(modules, tables).values())


def positions(config: Any) -> int | None:
    """Return the longest sequence that a model was made for, by whatever name; None if open."""
    values = (getattr(config, name, None) for name in POSITIONS)
    return next((int(value) for value in values if value), None)


@dataclass(frozen=True)
class CacheBytes:
    """What one row keeps between two tokens: so much for each token, and states that don't grow."""

    per_token: int
    state: int


def cache_bytes(model: Any) -> CacheBytes:
    """Return the bytes of a row's cache, measured by two short passes.

    So what a model shares between layers, compresses, or keeps as a state is seen as it is.
    Raises InputError if a pass returns no cache.
    """
    short, long = (_row_cache_bytes(model, tokens) for tokens in (SHORT, LONG))
    per_token = (long - short) // (LONG - SHORT)
    return CacheBytes(per_token, short - SHORT * per_token)


def _row_cache_bytes(model: Any, tokens: int) -> int:
    import torch

    ids = torch.zeros(
        1, tokens, dtype=torch.long, device=model.get_input_embeddings().weight.device
    )
    with torch.inference_mode():
        cache = skeleton.cache_of(model(input_ids=ids, use_cache=True))
    if cache is None:
        raise InputError(fitness.no_cache(model.name_or_path, model))
    found = {each.data_ptr(): each.numel() * each.element_size() for each in kept(cache)}
    return sum(found.values())


def kept(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of a cache: of its layers, by whatever names."""
    import torch

    parts: Iterable[Any] = ()
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.numel():  # others keep its account
            yield value
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif hasattr(value, "layers"):
        parts = value.layers
    elif hasattr(value, "__dict__"):  # a layer, whose tensors are its own
        kinds = (torch.Tensor, Mapping, list, tuple)
        parts = [each for each in vars(value).values() if isinstance(each, kinds)]
    for each in parts:
        yield from kept(each)


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
    if kinds - ONE_BY_ONE:
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


def _sizes(modules: Iterator[Any], but: Collection[int] = ()) -> dict[tuple[str, int], int]:
    """Return the bytes of each storage, by its device and address, without these tensors' own."""
    sizes: dict[tuple[str, int], int] = {}
    for module in modules:
        for tensor in _tensors(module):
            if id(tensor) in but:
                continue
            key = (str(tensor.device), tensor.data_ptr())
            sizes[key] = max(sizes.get(key, 0), tensor.numel() * tensor.element_size())
    return sizes


def _tensors(module: Any) -> Iterator[torch.Tensor]:
    """Yield what a module holds itself, bitsandbytes' scales and tables included."""
    for tensor in (*module._parameters.values(), *module._buffers.values()):
        if tensor is None:
            continue
        yield shards.own(tensor)
        for holder in (tensor, getattr(module, "state", None)):  # Int8Params, MatmulLtState
            for name in ("CB", "SCB"):
                if getattr(holder, name, None) is not None:
                    yield getattr(holder, name)
        state = getattr(tensor, "quant_state", None)  # Params4bit
        while state is not None:
            yield from (t for t in (state.absmax, state.code, state.offset) if t is not None)
            state = getattr(state, "state2", None)
