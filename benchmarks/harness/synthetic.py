"""Synthetic checkpoints: real files, made from a seed, for machines without the real weights.

Random weights never take LLM.int8()'s outlier path, so outliers are planted, in about as many
feature dimensions as Dettmers et al. (2022) report for models of this size. How: the residual
stream carries a constant in those channels that no layer changes, and each layer's norm amplifies
it beyond the threshold of 6.0. One row of v_proj, and one of gate_proj and up_proj, read such a
channel, so that o_proj and down_proj see outlier columns as well.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from benchmarks.harness.errors import InputError
from benchmarks.harness.vocabulary import write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

FORMAT = 2  # part of the folder's name: raise it when the same seed would give other files
DEFAULT_OUTLIER_CHANNELS = 6
MARKER = "synthetic.json"

AMPLIFIED = 20.0  # an outlier's value behind a norm, well beyond the threshold of 6.0
STD = 0.02  # Llama's own initializer range
CHUNK = 1 << 24  # elements generated at once
AT_ONCE = 8  # tensors; the threads of each share the work on its chunks

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
SHARD_BYTES = {"tiny": 16_000_000, "llama-3.1-8b": 2_000_000_000}


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


def recipe_for(model: str) -> Recipe:
    """Return the recipe that `synthetic:NAME` stands for. Raises InputError for another NAME."""
    name = model.removeprefix("synthetic:")
    if name not in CONFIGS:
        known = ", ".join(f"synthetic:{known}" for known in CONFIGS)
        raise InputError(f"--model: expected one of {known}; got {model!r}")
    return Recipe(name)


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


def ensure(recipe: Recipe, cache_dir: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of this checkpoint, writing it first where the cache lacks it.

    It is written beside its place and moved there when complete: an interrupted write leaves no
    checkpoint, and of two processes the second waits for the first. Raises InputError where the
    disk is too small or the folder can't be written.
    """
    from filelock import FileLock

    folder = cache_dir / "checkpoints" / recipe.folder
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if folder.is_dir():  # another process wrote it while this one waited
                return folder
            shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
            try:
                _check_space(recipe, folder.parent, say)
                partial.mkdir()
                write(recipe, partial, say)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except Exception as error:
        if is_disk_full(error):
            raise _too_small(recipe, folder.parent) from error
        if isinstance(error, OSError):
            raise InputError(
                f"can't write {folder.parent}: {error.strerror or type(error).__name__}; "
                "set XDG_CACHE_HOME to a folder that can be written"
            ) from error
        raise
    return folder


def write(recipe: Recipe, folder: Path, say: Callable[[str], None]) -> None:
    """Write config, tokenizer and sharded safetensors of a recipe into an existing folder."""
    from safetensors.torch import save_file

    _write_json(folder / "config.json", recipe.config)
    _write_json(folder / "generation_config.json", {"do_sample": False})
    write_tokenizer(recipe.config, folder)
    marker = {"outlier_channels": recipe.outlier_channels, "seed": recipe.seed, "format": FORMAT}
    _write_json(folder / MARKER, marker)
    shards = list(_shards(tensor_shapes(recipe.config), SHARD_BYTES[recipe.name]))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = pool.map(make_tensor, repeat(recipe), shard, shard.values())
            tensors = dict(zip(shard, made, strict=True))
        save_file(tensors, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file_name)
        say(f"writing synthetic:{recipe.name}: shard {number} of {len(shards)}")
    index = {"metadata": {"total_size": total_bytes(recipe)}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)


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


def _shards(shapes: dict[str, tuple[int, ...]], limit: int) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    size = 0
    for name, shape in shapes.items():
        tensor_bytes = 2 * prod(shape)
        if shard and size + tensor_bytes > limit:
            yield shard
            shard, size = {}, 0
        shard[name] = shape
        size += tensor_bytes
    yield shard


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _check_space(recipe: Recipe, folder: Path, say: Callable[[str], None]) -> None:
    needed = total_bytes(recipe)
    if needed > 1e9:
        say(
            f"writing synthetic:{recipe.name} once: {needed / 1e9:.1f} GB to {folder}, "
            "a few minutes; about 6 GB of host memory"
        )
    if shutil.disk_usage(folder).free < needed:
        raise _too_small(recipe, folder)


def is_disk_full(error: BaseException) -> bool:
    """Say whether a write failed for want of space; Rust's errors carry the text and no errno."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in full or "No space left on device" in str(error)


def _too_small(recipe: Recipe, folder: Path) -> InputError:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return InputError(
        f"--model synthetic:{recipe.name}: expected {total_bytes(recipe) / 1e9:.3g} GB free in "
        f"{folder}, got {free / 1e9:.3g} GB; free some, or set XDG_CACHE_HOME to a larger disk"
    )
