"""The reference: a checkpoint's own logits in 16 bits, computed once, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError, OutputError
from benchmarks.common.files import beside
from benchmarks.config.options import TENSOR
from benchmarks.config.settings import dtype_name
from benchmarks.evidence.output import computed, not_finite
from benchmarks.machine import device, software
from benchmarks.model import loading
from benchmarks.model.tensors import index_sha256

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchmarks.model.target import Target

FORMAT = 2  # of the stored references


def reference_name(target: Target) -> str:
    """Return what the reference is computed with: the checkpoint's own dtype if that is a half.

    Otherwise fp16. A model that was trained in bfloat16 may have values beyond float16. Of a
    checkpoint that is quantized already it is its origin's.
    """
    return "bf16" if _origin(target).checkpoint.half == "bfloat16" else "fp16"


def ensure_reference(target: Target) -> Path:
    """Return the reference's logits of the fixed text, computing them if the cache lacks them.

    Loads the unquantized model and frees it, so call it before another model is loaded. A damaged
    file is computed again. Raises OutputError if the logits aren't finite.
    """
    from safetensors.torch import save

    key = reference_key(target)
    path = target.settings.cache_dir / "references" / f"{key}.safetensors"
    if read_reference(path, key) is not None:
        return path
    with loading.load(_origin(target), reference_name(target), cold=False) as engine:
        expected = computed(engine, _origin(target)).cpu().contiguous()
    if wrong := not_finite(expected):
        raise OutputError(_nothing(target, wrong))
    metadata = {"key": key, "sha256": _tensor_sha256(expected)}
    with beside(path) as partial:
        partial.write_bytes(save({"logits": expected}, metadata))
    return path


def _nothing(target: Target, wrong: str) -> str:
    """Return why a reference is nothing to compare with, and what would be."""
    name = reference_name(target)
    says = f"the reference, {_origin(target).checkpoint.name} in {name}, isn't finite: {wrong}"
    if name == "bf16":
        return f"{says}; look for damaged weights"
    return (
        f"{says}, so its values are beyond float16; give a copy of it in bfloat16, whose reference "
        "is bf16"
    )


def _origin(target: Target) -> Target:
    """Return the target with the 16-bit checkpoint that its reference is computed with."""
    if target.origin is None:
        raise InputError(
            f"{target.checkpoint.name} is quantized already; name the 16-bit checkpoint that it "
            "was made from by --reference"
        )
    settings = target.settings
    if settings.device_map == TENSOR:  # its reference is what one device makes of it
        settings = replace(settings, device_map="single")
    return replace(target, checkpoint=target.origin, settings=settings)


def reference_key(target: Target) -> str:
    """Return what the reference depends on, as one hash: the weights' files, how, and where."""
    import torch

    checkpoint = _origin(target).checkpoint
    files = [file.resolve() for file in sorted(checkpoint.path.glob("*.safetensors"))]
    facts = {
        "format": FORMAT,
        "index": index_sha256(checkpoint.path),
        # The index holds names only, which a fine-tuned checkpoint shares with its base.
        "files": [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files],
        "config": dict(checkpoint.config),
        "ids": target.agreement_ids,
        "dtype": dtype_name(target.settings, reference_name(target)),
        "attn_implementation": target.settings.attn_implementation,
        "device": device.describe(target.device)
        if target.device.type == "cuda"
        else target.device.type,
        "versions": [torch.__version__, software.versions()["transformers"]],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def read_reference(path: Path, key: str) -> torch.Tensor | None:
    """Return the stored logits, or None if the file is missing, damaged or another's."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # A copy: what the file gives is mapped, and changes or crashes when the file does.
            logits: torch.Tensor = file.get_tensor("logits").clone()
    except (OSError, SafetensorError):
        return None
    whole = metadata.get("key") == key and metadata.get("sha256") == _tensor_sha256(logits)
    return logits if whole else None


def _tensor_sha256(tensor: torch.Tensor) -> str:
    import torch

    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
