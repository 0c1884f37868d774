"""Which files a model is loaded from: found, complete, and readable, before anything is loaded."""

from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.config.quantization import QUANTIZATIONS, name_of
from benchmarks.model import synthetic
from benchmarks.model.hub import HUB_MODEL, config_folder, download

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


REPAIR = "fetch it again, or delete the folder if the suite wrote it"

# On the hub, a pull request's branch is a revision as well.
CONVERTED = "its page may list a pull request that adds them: refs/pr/N"
AGAIN = f"give its hub id and a --revision with safetensors ({CONVERTED}), or save it anew"
# What a folder may have instead of weights that can be loaded: what that is, and what helps.
INSTEAD = {
    "adapter_model*": ("an adapter", "merge it into its model, save that, and give its folder"),
    "pytorch_model*.bin": ("an older format", f"{AGAIN} with transformers"),
    "*.pth": ("an older format", f"{AGAIN} with transformers"),
    "*.gguf": ("llama.cpp's format", "give the original model"),
    "*.safetensors": ("none of transformers' names", "give a folder that save_pretrained wrote"),
}

# What architectures call the longest sequence in their config.json.
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
# And its other sizes, each with the least that a model can have.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
WIDTHS = ("hidden_size", "n_embd", "d_model", "head_dim", "vocab_size")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_key_value_heads")
SIZES = dict.fromkeys((*LAYERS, *WIDTHS, *HEADS, *POSITIONS), 1) | {"intermediate_size": 0}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine's disk."""

    name: str  # as the user gave it
    path: Path
    revision: str | None  # the commit of a hub model
    outlier_channels: int | None  # planted ones; None: real weights
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]  # of every tensor in its files
    files: Mapping[str, str] = field(default_factory=dict)  # the file of each
    quantization: str | None = None  # its own, if it is quantized already

    @property
    def weights(self) -> str:
        """`real`, or `synthetic`: made from a seed."""
        return "real" if self.outlier_channels is None else "synthetic"

    @property
    def title(self) -> str:
        """Its name, and what its weights are, for a person."""
        return f"{self.name} ({self.weights} weights)"

    @property
    def positions(self) -> int | None:
        """The longest sequence that the model was made for, in tokens."""
        inner = self.config.get("text_config") or {}
        values = (part.get(name) for part in (self.config, inner) for name in POSITIONS)
        return next((int(value) for value in values if value), None)

    @property
    def half(self) -> str | None:
        """The dtype of its weights by its config.json, if that has 16 bits."""
        inner = self.config.get("text_config") or {}
        found = [
            part.get(name) for part in (self.config, inner) for name in ("dtype", "torch_dtype")
        ]
        return next((name for name in found if name in ("float16", "bfloat16")), None)

    def estimated_bytes(self, quantization: str) -> int:
        """Estimate the bytes of the loaded weights: quantized linears, and the rest in 16 bits.

        A matrix is a quantized linear if its name isn't an embedding's or the output head's.
        """
        bits = QUANTIZATIONS[quantization].bits
        total = 0.0
        for name, shape in self.shapes.items():
            kept = len(shape) != 2 or "embed" in name or "lm_head" in name
            total += prod(shape) * (16 if kept else bits) / 8
        return round(total)


def default_model(device: str) -> str:
    """Return the model that is measured if the user names none."""
    return HUB_MODEL if device == "cuda" else "synthetic:tiny"


def local(model: str, revision: str | None) -> Checkpoint | None:
    """Return the checkpoint in a folder, or None for a model to be written or fetched.

    Raises InputError, whose message is one line, for a name or a folder that can be no model. It
    needs no torch, so it is quick.
    """
    folder = Path(os.path.expanduser(model))  # noqa: PTH111 (pathlib's raises for ~nobody)
    shown = _shown(model)
    if model.startswith("synthetic:"):
        _no_revision(shown, revision)
        synthetic.recipe_for(shown)
    elif folder.is_dir():
        _no_revision(shown, revision)
        return read(shown, folder)
    elif folder.is_file():
        raise InputError(
            f"--model: expected a folder with a checkpoint, got the file {shown}; give the folder "
            "that has its config.json"
        )
    elif model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InputError(
            f"--model: expected a folder with a checkpoint; {shown} does not exist; a hub model is "
            "named ORG/NAME"
        )
    return None


def resolve(
    model: str, revision: str | None, cache_dir: Path, say: Callable[[str], None]
) -> Checkpoint:
    """Find a model's files, downloading or writing them where they are missing, and check them.

    Raises InputError, whose message is one line, if the model can't be had or is damaged.
    """
    if found := local(model, revision):
        return found
    if model.startswith("synthetic:"):
        path, commit = synthetic.ensure(synthetic.recipe_for(model), cache_dir, say), None
    else:
        path, commit = download(model, revision, say)
    return read(_shown(model), path, commit)


def _shown(model: str) -> str:
    """Return a model's name without credentials, which belong in no message and no result."""
    return re.sub(r"//[^/@]*@", "//", model)


def read(name: str, path: Path, revision: str | None = None) -> Checkpoint:
    """Read what a checkpoint's folder says of itself. Raises InputError if it isn't one."""
    config = _read_json(path, "config.json")
    _check_sizes(name, config)
    quantization = _own_quantization(name, config)
    if not any((path / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        raise InputError(
            f"--model {name}: expected a tokenizer.json in {path}; found none; {_elsewhere(path)}"
            "copy the tokenizer*.json of the model that it was made from into "
            f"{'a copy of that folder, and give that' if revision else 'it'}"
        )
    marker = path / synthetic.MARKER
    outliers = _read_json(path, synthetic.MARKER)["outlier_channels"] if marker.exists() else None
    shapes, where = _shapes(name, path, revision)
    return Checkpoint(name, path, revision, outliers, config, shapes, where, quantization)


def _check_sizes(name: str, config: Mapping[str, Any]) -> None:
    """Refuse sizes that no model has. Lists of them, one for each layer, are transformers' own."""
    for part in (config, config.get("text_config") or {}):
        for size, least in SIZES.items():
            value = part.get(size)
            if isinstance(value, (int, float)) and value < least:
                raise InputError(
                    f"--model {name}: expected {size} of at least {least} in its config.json, got "
                    f"{value}; fetch it again"
                )


def own_quantization(model: str | None, revision: str | None, *, fetch: bool) -> str | None:
    """Return the quantization of a model that is quantized already; None of all others.

    Of a hub model with `fetch` the config.json is looked up on the hub, and InputError is raised if
    it can't be had. What is wrong with a folder is said when it is measured.
    """
    if model is None or model.startswith("synthetic:"):
        return None
    try:
        if found := local(model, revision):
            return found.quantization
    except InputError:
        return None
    folder = config_folder(model, revision, fetch=fetch)
    return _own_quantization(model, _read_json(folder, "config.json")) if folder else None


def _own_quantization(name: str, config: Mapping[str, Any]) -> str | None:
    own = config.get("quantization_config")
    if own is None:
        return None
    own = own if isinstance(own, dict) else {"quant_method": "an unknown method"}
    found = name_of(own) if own.get("quant_method", "bitsandbytes") == "bitsandbytes" else None
    if found is None:
        kind = own.get("quant_method", "bitsandbytes")
        kind = f"{kind} with other settings" if kind == "bitsandbytes" else kind
        kind = kind if own else "an empty quantization_config in its config.json"
        raise InputError(
            f"--model {name}: expected weights in 16 bits, or quantized by bitsandbytes as one of "
            f"{', '.join(each for each, known in QUANTIZATIONS.items() if known.options)}; got "
            f"{kind}; give the original model, and --quantization to choose"
        )
    return found


def _no_revision(model: str, revision: str | None) -> None:
    if revision is not None:
        raise InputError(
            f"--revision: expected a model from the hub, got {model}; leave the option out"
        )


def _read_json(path: Path, file_name: str) -> dict[str, Any]:
    try:
        value = json.loads((path / file_name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--model: expected a checkpoint with a readable {file_name} in {path}; "
            f"{_elsewhere(path)}give a folder that save_pretrained wrote, or a hub id"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"--model: expected a JSON object in {path / file_name}")
    return value


def _shapes(
    name: str, path: Path, revision: str | None
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return the shape and the file of every tensor, by the headers of the safetensors files.

    Each file is checked to be as long as its header says.
    """
    if (path / "model.safetensors.index.json").exists():
        weight_map = _read_json(path, "model.safetensors.index.json").get("weight_map")
        files = sorted(set(map(str, weight_map.values()))) if isinstance(weight_map, dict) else []
    else:
        files = sorted(file.name for file in path.glob("model*.safetensors"))
    if not files:
        raise InputError(f"--model {name}: {_no_weights(path, revision)}")
    shapes: dict[str, tuple[int, ...]] = {}
    where: dict[str, str] = {}
    for file_name in files:
        found = _header(path / file_name)
        shapes |= found
        where |= dict.fromkeys(found, file_name)
    return shapes, where


def _no_weights(path: Path, revision: str | None) -> str:
    """Return what a folder has instead of weights that can be loaded, and what helps."""
    expected = f"expected model*.safetensors files in {path}"
    for pattern, (what, next_step) in INSTEAD.items():
        if found := sorted(file.name for file in path.glob(pattern)):
            return f"{expected}, got {found[0]}, {what}; {next_step}"
    if revision:
        return f"{expected}; found none; give a --revision that has them ({CONVERTED})"
    return f"{expected}; found none; {_elsewhere(path)}fetch them again"


def _elsewhere(path: Path) -> str:
    """Return the advice to give the folder below that has a checkpoint, if one has."""
    inside = (*path.glob("*/config.json"), *path.glob("snapshots/*/config.json"))
    folders = sorted(file.parent for file in inside if any(file.parent.glob("model*.safetensors")))
    return f"give {folders[-1]}, or " if folders else ""


def _header(file: Path) -> dict[str, tuple[int, ...]]:
    """Read one file's header (github.com/huggingface/safetensors, "Format")."""
    damaged = f"{file}: expected a whole safetensors file, got a truncated or damaged one"
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, size)))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        missing = f"{file}: expected this file of the checkpoint; it is missing"
        message = missing if isinstance(error, FileNotFoundError) else damaged
        raise InputError(f"{message}; {REPAIR}") from error
    expected = 8 + length + end
    if size != expected:
        raise InputError(f"{damaged} ({size:,} bytes of {expected:,}); {REPAIR}")
    return shapes
