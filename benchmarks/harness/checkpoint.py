"""Which files a model is loaded from: found, complete, and readable, before anything is loaded."""

from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import synthetic
from benchmarks.harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HUB_MODEL = "meta-llama/Llama-3.1-8B"
NEXT_STEP = "use --model synthetic:llama-3.1-8b (or synthetic:tiny), which needs no download"
REPAIR = "fetch it again, or delete the folder if the suite wrote it"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine's disk."""

    name: str  # as the user gave it
    path: Path
    revision: str | None  # the commit of a hub model
    outlier_channels: int | None  # planted ones; None: real weights
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]  # of every tensor in its files

    @property
    def weights(self) -> str:
        """`real`, or `synthetic`: made from a seed."""
        return "real" if self.outlier_channels is None else "synthetic"

    @property
    def positions(self) -> int | None:
        """The longest sequence that the model was made for, in tokens."""
        value = self.config.get("max_position_embeddings")
        return int(value) if value else None

    def estimated_bytes(self, quantization: str) -> int:
        """Estimate the bytes of the loaded weights: quantized linears, and the rest in 16 bits.

        A matrix is a quantized linear where its name isn't an embedding's or the output head's.
        """
        bits = {"int8-decomp": 8, "int8": 8, "nf4": 4.5, "nf4-dq": 4.127}.get(quantization, 16)
        total = 0.0
        for name, shape in self.shapes.items():
            kept = len(shape) != 2 or "embed" in name or "lm_head" in name
            total += prod(shape) * (16 if kept else bits) / 8
        return round(total)


def default_model(device: str) -> str:
    """Return the model that is measured where the user names none."""
    return HUB_MODEL if device == "cuda" else "synthetic:tiny"


def resolve(
    model: str, revision: str | None, cache_dir: Path, say: Callable[[str], None]
) -> Checkpoint:
    """Find a model's files, downloading or writing them where they are missing, and check them.

    Raises InputError, whose message is one line, where the model can't be had or is damaged.
    """
    commit = None
    folder = Path(os.path.expanduser(model))  # noqa: PTH111 (pathlib's raises for ~nobody)
    model = re.sub(r"//[^/@]*@", "//", model)  # credentials have no place in messages and results
    if model.startswith("synthetic:"):
        _no_revision(model, revision)
        path = synthetic.ensure(synthetic.recipe_for(model), cache_dir, say)
    elif folder.is_dir():
        _no_revision(model, revision)
        path = folder
    elif model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise InputError(f"--model: expected a folder with a checkpoint; {model} does not exist")
    else:
        path, commit = _download(model, revision, say)
    return read(model, path, commit)


def read(name: str, path: Path, revision: str | None = None) -> Checkpoint:
    """Read what a checkpoint's folder says of itself. Raises InputError where it isn't one."""
    config = _read_json(path, "config.json")
    if "quantization_config" in config:
        raise InputError(
            f"--model {name}: expected unquantized weights, got a checkpoint that is quantized "
            "already; give the original model, and --quantization to choose"
        )
    if not any((path / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        raise InputError(f"--model {name}: expected a tokenizer.json in {path}; found none")
    marker = path / synthetic.MARKER
    outliers = _read_json(path, synthetic.MARKER)["outlier_channels"] if marker.exists() else None
    return Checkpoint(name, path, revision, outliers, config, _shapes(name, path))


def _no_revision(model: str, revision: str | None) -> None:
    if revision is not None:
        raise InputError(
            f"--revision: expected a model from the hub, got {model}; leave the option away"
        )


def _read_json(path: Path, file_name: str) -> dict[str, Any]:
    try:
        value = json.loads((path / file_name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--model: expected a checkpoint with a readable {file_name} in {path}; "
            "give a folder that save_pretrained wrote, or a hub id"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"--model: expected a JSON object in {path / file_name}")
    return value


def _shapes(name: str, path: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of every safetensors file, and check that the file is as long as it says."""
    if (path / "model.safetensors.index.json").exists():
        weight_map = _read_json(path, "model.safetensors.index.json").get("weight_map")
        files = sorted(set(weight_map.values())) if isinstance(weight_map, dict) else []
    else:
        files = sorted(file.name for file in path.glob("model*.safetensors"))
    if not files:
        raise InputError(f"--model {name}: expected *.safetensors files in {path}; found none")
    shapes: dict[str, tuple[int, ...]] = {}
    for file_name in files:
        shapes |= _header(path / file_name)
    return shapes


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


def _download(model: str, revision: str | None, say: Callable[[str], None]) -> tuple[Path, str]:
    """Fetch a hub model's safetensors, configuration and tokenizer; returns folder and commit."""
    from huggingface_hub import errors, snapshot_download

    say(f"looking for {model}")
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=["*.json", "model*.safetensors", "tokenizer*", "*.txt"],
            ignore_patterns=["original/*", "consolidated*"],
        )
    except errors.GatedRepoError as error:
        raise InputError(
            f"--model {model}: access is restricted; ask for it on the model's page and log in "
            f"with `hf auth login`, or {NEXT_STEP}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"--revision: {model} has no revision {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"--model {model}: no such model on the hub, or no access; check the name, log in "
            f"with `hf auth login`, or {NEXT_STEP}"
        ) from error
    except errors.HFValidationError as error:
        raise InputError(
            f"--model: expected a hub id, a folder or synthetic:NAME; got {model!r}"
        ) from error
    except Exception as error:  # the hub's client raises what its HTTP library does
        if synthetic.is_disk_full(error):
            raise InputError(
                f"--model {model}: the disk is full; free some, or set HF_HOME to a larger disk"
            ) from error
        if isinstance(error, PermissionError):
            raise InputError(
                f"--model {model}: can't write the hub's cache; "
                "set HF_HOME to a folder that can be written"
            ) from error
        if getattr(getattr(error, "response", None), "status_code", None) == 401:
            raise InputError(
                f"--model {model}: the hub refused the access token; log in with "
                f"`hf auth login`, or {NEXT_STEP}"
            ) from error
        raise InputError(
            f"--model {model}: can't reach the hub, and this machine's cache lacks the model "
            f"({type(error).__name__}); connect, or {NEXT_STEP}"
        ) from error
    return Path(folder), Path(folder).name
