"""The recipe of a synthetic checkpoint, and its tensors. Pure: a seed in, tensors out."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FORMAT = 2  # part of the folder's name: raise it when the same seed would give other files
DEFAULT_OUTLIER_CHANNELS = 6

AMPLIFIED = 20.0  # an outlier's value behind a norm, well beyond the threshold of 6.0
STD = 0.02  # Llama's own initializer range
CHUNK = 1 << 24  # elements generated at once

_LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": STD,
    "mlp_bias": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    # Four layers: a generation takes about a second on one CPU thread.
    "tiny": _LLAMA
    | {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 4096,
        "vocab_size": 2048,
        "bos_token_id": 2032,
        "eos_token_id": 2033,
    },
    # The architecture of meta-llama/Llama-3.1-8B, as its published config.json has it.
    "llama-3.1-8b": _LLAMA
    | {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rope_scaling": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "vocab_size": 128256,
        "bos_token_id": 128000,
        "eos_token_id": 128001,
    },
}


@dataclass(frozen=True)
class Recipe:
    """What a synthetic checkpoint is made from; equal recipes give equal files."""

    name: str
    seed: int = 0
    outlier_channels: int = DEFAULT_OUTLIER_CHANNELS

    @property
    def config(self) -> dict[str, Any]:
        """The architecture, as config.json holds it."""
        return CONFIGS[self.name]

    @property
    def folder(self) -> str:
        """The name of the checkpoint's folder in the cache."""
        return f"{self.name}-f{FORMAT}-seed{self.seed}-outliers{self.outlier_channels}"


def tensor_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a Llama checkpoint, by its published name, in order."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    layer = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden)
    }
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    shapes |= {"model.norm.weight": (hidden,), "lm_head.weight": (config["vocab_size"], hidden)}
    return shapes


def total_bytes(recipe: Recipe) -> int:
    """Return the bytes of all tensors, two for each parameter."""
    return sum(2 * prod(shape) for shape in tensor_shapes(recipe.config).values())


def make_tensor(recipe: Recipe, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return one tensor of the checkpoint in bfloat16; the same for the same recipe and name."""
    import torch

    channels = _pick(recipe, "hidden", recipe.config["hidden_size"], recipe.outlier_channels)
    if name.endswith("norm.weight"):
        tensor = torch.ones(shape, dtype=torch.bfloat16)
        if name != "model.norm.weight":
            tensor[channels] = AMPLIFIED
        return tensor
    tensor = _random(recipe, name, shape, _std(recipe, name))
    if not channels:
        return tensor
    if "embed_tokens" in name:
        tensor[:, channels] = 1.0
    elif "o_proj" in name or "down_proj" in name:
        tensor[channels] = 0.0  # what the embedding put into these channels stays there
    elif "v_proj" in name:
        group = recipe.config["num_attention_heads"] // recipe.config["num_key_value_heads"]
        rows = _pick(recipe, "values", shape[0], max(1, len(channels) // group))
        tensor[rows, channels[0]] = 1.5
    elif "gate_proj" in name or "up_proj" in name:
        tensor[_pick(recipe, "inner", shape[0], len(channels)), channels[0]] = 0.6
    return tensor


def _std(recipe: Recipe, name: str) -> float:
    if "embed_tokens" in name:
        return 1.0
    if "o_proj" in name or "down_proj" in name:  # GPT-2's scaling: the residual stays bounded
        return STD / sqrt(2 * float(recipe.config["num_hidden_layers"]))
    if "_proj" in name:
        # What they make of a normalized, amplified stream has a standard deviation of 0.7: few of
        # its values, and of their products, pass the threshold but for those that are planted.
        energy = recipe.config["hidden_size"] + recipe.outlier_channels * AMPLIFIED**2
        return 0.7 / sqrt(float(energy))
    return STD


def _random(recipe: Recipe, name: str, shape: tuple[int, ...], std: float) -> torch.Tensor:
    """Return normal values; each chunk has a seed of its own, so that threads share the work."""
    import numpy as np
    import torch

    tensor = torch.empty(prod(shape), dtype=torch.bfloat16)

    def fill(start: int) -> None:
        part = tensor[start : start + CHUNK]
        seed = _seed(recipe, f"{name}/{start}")
        generator = np.random.Generator(np.random.SFC64(seed))
        values = generator.standard_normal(part.numel(), dtype=np.float32)
        part.copy_(torch.from_numpy(values).mul_(std))

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, tensor.numel(), CHUNK)))
    return tensor.reshape(shape)


def _pick(recipe: Recipe, what: str, size: int, count: int) -> list[int]:
    import numpy as np

    generator = np.random.Generator(np.random.SFC64(_seed(recipe, what)))
    return sorted(int(index) for index in generator.permutation(size)[:count])


def _seed(recipe: Recipe, what: str) -> int:
    text = f"{FORMAT}/{recipe.name}/{recipe.seed}/{what}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
