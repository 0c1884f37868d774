"""Tensors in a checkpoint's files: under the names that a model has for them, and all of them."""

from __future__ import annotations

import functools
import hashlib
import re
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import count
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.model import skeleton

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import torch

    from benchmarks.model.checkpoint import Checkpoint

SCALES = (".SCB", ".absmax")  # ends of tensors' names, of weights that are quantized
FLOATS = ("F16", "BF16", "F32", "F64")  # safetensors' names for what weights are stored in
LAYER = re.compile(r"(.*?)\.(\d+)\.(.*)")  # of a tensor's name: stack, number, and the rest


def check(checkpoint: Checkpoint, model: Any, idle: Collection[str] = ()) -> None:
    """Raise InputError if files have other weights than a model, which is given without any.

    `idle` are its modules that don't run.
    """
    _check_said(checkpoint)
    _check_shapes(checkpoint, model)
    _check_complete(checkpoint, model)
    _check_layers(checkpoint, model, idle)


def rows_of(
    checkpoint: Checkpoint, name: str, bands: Sequence[slice], part: Sequence[slice] = ()
) -> list[torch.Tensor] | None:
    """Return bands of rows of a checkpoint's matrix, or of a vector's values, in float32.

    None if it has none. With `part`, a slice of rows and one of columns, those of that part.
    """
    from safetensors import safe_open

    stored = stored_name(checkpoint.files, name)
    if stored is None:
        return None
    with safe_open(checkpoint.path / checkpoint.files[stored], framework="pt") as stream:
        tensor = stream.get_slice(stored)
        down, *across = part or (slice(None),)
        rows = range(*down.indices(tensor.get_shape()[0]))
        inside = [rows[band] for band in bands]
        return [tensor[(slice(each.start, each.stop), *across)].float() for each in inside]


def stored_name(stored: Collection[str], name: str) -> str | None:
    """Return what a model's tensor is called in its files; None if they don't have it.

    Of a model with a vision tower, files may name its parts in another order, or leave one out:
    `language_model.model.layers.0` is `model.language_model.layers.0`. From the first number on
    both are the same.
    """
    if name in stored:
        return name
    words, rest = _split(name)
    shared = {}
    for other in stored:
        front, end = _split(other)
        if end == rest and (words <= front or front <= words):
            shared[other] = len(words & front)
    best = [other for other, count in shared.items() if count == max(shared.values())]
    return best[0] if len(best) == 1 else None


@functools.cache
def _split(name: str) -> tuple[set[str], str]:
    """Return the words of a tensor's name before its first number, and all that follows them."""
    parts = name.split(".")
    cut = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts) - 2)
    return set(parts[:cut]), ".".join(parts[cut:])


def _check_said(checkpoint: Checkpoint) -> None:
    """Refuse quantized files whose config.json doesn't say so: codes would be read as weights."""
    if checkpoint.quantization:
        return
    if scales := next((name for name in checkpoint.files if name.endswith(SCALES)), None):
        raise InputError(
            f"--model {checkpoint.name}: expected a quantization_config in its config.json, since "
            f"its files have {scales}, got none; fetch both files again"
        )
    if other := _no_floats(checkpoint):
        raise InputError(
            f"--model {checkpoint.name}: expected weights in {', '.join(FLOATS)}, since its "
            f"config.json has no quantization_config, got {other}; give the original model"
        )


def _no_floats(checkpoint: Checkpoint) -> str | None:
    """Return a matrix whose codes transformers would take for weights, with its dtype."""
    from safetensors import safe_open

    for file in sorted(set(checkpoint.files.values())):
        with safe_open(checkpoint.path / file, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118 (it is no mapping)
                dtype = stream.get_slice(name).get_dtype()
                if name.endswith(".weight") and dtype not in FLOATS:
                    return f"{name} in {dtype}"
    return None


def _check_shapes(checkpoint: Checkpoint, model: Any) -> None:
    """Refuse files and a config.json of other shapes: bitsandbytes would load the matrices."""
    linears = skeleton.linears(model) if checkpoint.quantization else ()
    for name, tensor in model.state_dict().items():
        if name.rpartition(".")[0] in linears:  # packed: of a shape of its own
            continue
        got = checkpoint.shapes.get(name, tuple(tensor.shape))  # a missing one shows at the load
        if got != tuple(tensor.shape):
            raise InputError(
                f"--model {checkpoint.name}: expected {name} of shape {tuple(tensor.shape)} by its "
                f"config.json, got {got}; fetch both files again"
            )


def _check_complete(checkpoint: Checkpoint, model: Any) -> None:
    """Refuse files that lack a linear's weight or scales: the load would take minutes to say so.

    A linear that the files have in no layer may go by another name in them; of those that share a
    weight they have one.
    """
    own = checkpoint.config.get("quantization_config") or {}
    names, _ = skeleton.quantizable(model, own.get("llm_int8_skip_modules") or ())
    scales = QUANTIZATIONS[checkpoint.quantization].parts if checkpoint.quantization else ()
    weights = {name: id(model.get_submodule(name).weight) for name in names}
    often = Counter(weights.values())
    alone = [name for name in names if often[weights[name]] == 1]
    stored = {name: stored_name(checkpoint.files, f"{name}.weight") for name in alone}
    known = {_in_any_layer(name) for name, weight in stored.items() if weight}
    lacking = []
    for name, weight in stored.items():
        if weight is None and _in_any_layer(name) in known:
            lacking.append(f"{name}.weight")
        elif weight:
            needed = (weight.removesuffix("weight") + part for part in scales)
            lacking += [each for each in needed if each not in checkpoint.files]
    if lacking:
        raise InputError(
            f"--model {checkpoint.name}: expected the weight and the scales of every linear in its "
            f"files, got none of {lacking[0]} ({len(lacking)} missing in all); fetch it again"
        )


def _in_any_layer(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _check_layers(checkpoint: Checkpoint, model: Any, idle: Collection[str]) -> None:
    """Refuse files with more layers than a config.json says: transformers leaves the rest out.

    It leaves out rightly what predicts tokens further ahead, by a list of its own, or by that
    config.json: such layers come last. Of what doesn't run, as a vision tower, some may be cut off.
    """
    text = checkpoint.config.get("text_config") or checkpoint.config
    ahead = text.get("num_nextn_predict_layers") or 0
    ignored = [re.compile(each) for each in model._keys_to_ignore_on_load_unexpected or ()]
    for stack, layers in _stacks(model, idle).items():
        first = (stored_name(checkpoint.files, name) for name in layers[min(layers)])
        known = LAYER.match(next(filter(None, first), ""))
        stored = [
            (int(found[2]), f"{stack}.{found[2]}.{found[3]}")
            for found in filter(None, map(LAYER.match, checkpoint.files))
            if known and found[1] == known[1]
        ]
        last = max((number for number, _ in stored), default=0) - ahead
        beyond = [
            number
            for number, name in stored
            if max(layers) < number <= last and not any(each.search(name) for each in ignored)
        ]
        if beyond:
            raise InputError(
                f"--model {checkpoint.name}: expected {count(max(layers) + 1, 'layer')} in "
                f"{stack} by its config.json, got {max(beyond) + 1} in its files; fetch both "
                "again, from one place"
            )


def _stacks(model: Any, idle: Collection[str]) -> dict[str, dict[int, list[str]]]:
    """Return the names of a model's weights by stack and layer, without what doesn't run."""
    stacks: dict[str, dict[int, list[str]]] = {}
    for name in model.state_dict():
        if (found := LAYER.match(name)) and name.rpartition(".")[0] not in idle:
            stacks.setdefault(found[1], {}).setdefault(int(found[2]), []).append(name)
    return stacks


def index_sha256(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's index, or of its safetensors headers without one."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return hashlib.sha256(index.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(folder.glob("model*.safetensors")):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            digest.update(file.name.encode() + stream.read(length))
    return digest.hexdigest()
