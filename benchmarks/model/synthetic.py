"""Synthetic checkpoints: real files, made from a seed, for machines without the real weights.

Random weights never take LLM.int8()'s outlier path, so outliers are planted, in about as many
feature dimensions as Dettmers et al. (2022) report for models of this size. How: the residual
stream carries a constant in those channels that no layer changes, and each layer's norm amplifies
it beyond the threshold of 6.0. One row of v_proj, and one of gate_proj and up_proj, read such a
channel, so that o_proj and down_proj see outlier columns as well.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from math import prod
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.common.files import is_disk_full
from benchmarks.model.synthetic_tokenizer import write_tokenizer
from benchmarks.model.synthetic_weights import (
    CONFIGS,
    FORMAT,
    Recipe,
    make_tensor,
    tensor_shapes,
    total_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MARKER = "synthetic.json"

AT_ONCE = 8  # tensors; the threads of each share the work on its chunks


SHARD_BYTES = {"tiny": 16_000_000, "llama-3.1-8b": 2_000_000_000}


def recipe_for(model: str) -> Recipe:
    """Return the recipe that `synthetic:NAME` stands for. Raises InputError for another NAME."""
    name = model.removeprefix("synthetic:")
    if name not in CONFIGS:
        known = ", ".join(f"synthetic:{known}" for known in CONFIGS)
        raise InputError(f"--model: expected one of {known}; got {model!r}")
    return Recipe(name)


def ensure(recipe: Recipe, cache_dir: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of this checkpoint, writing it first if the cache lacks it.

    It is written beside its place and moved there when complete: an interrupted write leaves no
    checkpoint, and of two processes the second waits for the first. Raises InputError if the
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


def _too_small(recipe: Recipe, folder: Path) -> InputError:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return InputError(
        f"--model synthetic:{recipe.name}: expected {total_bytes(recipe) / 1e9:.3g} GB free in "
        f"{folder}, got {free / 1e9:.3g} GB; free some, or set XDG_CACHE_HOME to a larger disk"
    )
