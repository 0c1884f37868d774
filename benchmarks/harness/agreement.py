"""The output check: how far a quantized model is from fp16 on the same checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.harness import device as devices
from benchmarks.harness import loading
from benchmarks.harness.engine import within_memory
from benchmarks.harness.errors import OutputError
from benchmarks.harness.provenance import index_sha256
from benchmarks.harness.workload import shipped_text

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchmarks.harness.engine import Engine
    from benchmarks.harness.loading import Target

TOKENS = 128  # of the shipped text, that both models are forced through
ROWS = 16  # positions that are compared at once: float64 over a large vocabulary is much memory
FORMAT = 1  # of the stored references


FIGURES = ("logits_relative_error", "logits_kl_nats", "top1_agreement")


@dataclass(frozen=True)
class Bound:
    """How far a quantization may be from fp16 before its output counts as wrong."""

    logits_relative_error: float
    logits_kl_nats: float
    top1_agreement: float


# Two to three times what was measured on synthetic checkpoints of 4 and of 32 layers: errors of
# 0.007 to 0.013 (bf16), 0.011 to 0.012 (int8-decomp), 0.029 to 0.031 (int8), 0.081 to 0.084 (nf4
# with and without double quantization), and the same top token in 96, 98, 95 and 67 % at worst. A
# missing o_proj or down_proj in one of the layers gave 0.06 to 0.24. Random weights make nearly
# flat distributions, so the divergence is small whatever happens: it needs a bound of its own. It
# is larger at 8B widths (2.7e-4 for int8-decomp on an H100), so the bounds on it are four times it.
SYNTHETIC = {
    "fp16": Bound(0.005, 5e-4, 0.98),
    "bf16": Bound(0.03, 1e-3, 0.9),
    "int8-decomp": Bound(0.03, 1e-3, 0.9),
    "int8": Bound(0.08, 5e-3, 0.85),
    "nf4": Bound(0.2, 2e-2, 0.5),
    "nf4-dq": Bound(0.2, 2e-2, 0.5),
}
# Estimates, not measurements: wide enough for a correct model, narrow enough for a broken one
# (several nats, and few equal tokens). Without decomposition, int8 raises the logarithm of the
# perplexity by 0.06 at 6.7B and by 0.28 at 13B parameters, with it by less than 0.01 (Dettmers et
# al., 2022, table 1); 4 bits raise it by some hundredths (Dettmers et al., 2023).
REAL = {
    "fp16": Bound(0.02, 0.01, 0.95),
    "bf16": Bound(0.1, 0.1, 0.9),
    "int8-decomp": Bound(0.2, 0.15, 0.85),
    "int8": Bound(0.5, 1.0, 0.5),
    "nf4": Bound(0.4, 0.5, 0.65),
    "nf4-dq": Bound(0.4, 0.5, 0.65),
}


def ensure_reference(target: Target) -> Path:
    """Return fp16's logits of the fixed text, computing them first where the cache lacks them.

    Loads the fp16 model and frees it, so call it before another model is loaded. A damaged file
    is computed again. Raises OutputError where the logits of fp16 aren't finite.
    """
    from safetensors.torch import save

    key = _key(target)
    path = target.settings.cache_dir / "references" / f"{key}.safetensors"
    if _read(path, key) is not None:
        return path
    with loading.load(target, "fp16", cold=False) as engine:
        expected = logits(engine, target).cpu().contiguous()
    metadata = {"key": key, "sha256": _tensor_sha256(expected)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(save({"logits": expected}, metadata))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def check(
    quantization: str, logits: torch.Tensor, target: Target, reference: Path
) -> dict[str, float]:
    """Return relative error of the logits, KL divergence and top-1 agreement against fp16.

    Both models were forced through the same text. Raises OutputError where a figure is beyond its
    bound: the output is wrong, and so is every number of it.
    """
    expected = _read(reference, _key(target))
    if expected is None:
        raise OutputError(
            f"{reference}: expected fp16's logits of {target.checkpoint.name}; the file is "
            "missing or damaged; run again, and it is computed again"
        )
    figures = compare(logits.cpu(), expected)
    bounds = SYNTHETIC if target.checkpoint.weights == "synthetic" else REAL
    _judge(quantization, figures, asdict(bounds[quantization]))
    return figures


def compare(logits: torch.Tensor, expected: torch.Tensor) -> dict[str, float]:
    """Return how far logits of shape (positions, vocabulary) are from the expected ones.

    Relative error: Frobenius norm of the difference over that of the expected logits. KL
    divergence: of the expected distribution from the other, in nats, averaged over positions.
    """
    if logits.shape != expected.shape:
        raise ValueError(f"shapes differ: {tuple(logits.shape)} and {tuple(expected.shape)}")
    error = norm = divergence = equal = 0.0
    for start in range(0, len(expected), ROWS):
        x, y = (each[start : start + ROWS].double() for each in (logits, expected))
        p, q = y.log_softmax(-1), x.log_softmax(-1)
        error += float((x - y).square().sum())
        norm += float(y.square().sum())
        divergence += float((p.exp() * (p - q)).sum())
        equal += float((x.argmax(-1) == y.argmax(-1)).sum())
    return {
        "logits_relative_error": (error / norm) ** 0.5,
        "logits_kl_nats": max(divergence / len(logits), 0.0),
        "top1_agreement": equal / len(logits),
    }


def tokens_sha256(tokens: torch.Tensor) -> str:
    """Return the SHA-256 of a generation's token ids, as JSON rows."""
    return hashlib.sha256(json.dumps(tokens.tolist()).encode()).hexdigest()


def _judge(quantization: str, figures: dict[str, float], bound: dict[str, float]) -> None:
    problems = [
        f"{name}: expected at {'least' if name == 'top1_agreement' else 'most'} {limit:g}, "
        f"got {figures[name]:.3g}"
        for name, limit in bound.items()
        if (figures[name] < limit if name == "top1_agreement" else not figures[name] <= limit)
    ]
    if quantization not in ("fp16", "bf16") and figures["logits_relative_error"] == 0:
        problems = ["the logits are fp16's to the last bit, so nothing was quantized"]
    if problems:
        raise OutputError(
            f"{quantization} disagrees with fp16 on the same checkpoint: {'; '.join(problems)}; "
            "fast and wrong is not fast: look for a broken kernel or wrong weights"
        )


def logits(engine: Engine, target: Target) -> torch.Tensor:
    """Return the logits of the fixed text, of shape (positions, vocabulary).

    Raises OutputError where one of them isn't finite, OutOfMemoryError where there is too little
    memory.
    """
    import torch

    ids = torch.tensor([target.encode(shipped_text())[:TOKENS]], device=engine.device)
    found = within_memory(
        lambda: engine.model(input_ids=ids, use_cache=False).logits[0],
        f"computing the logits of {TOKENS} tokens with {engine.quantization}",
        engine.device,
        "free the GPU",
    )
    if bad := int((~found.isfinite()).sum()):
        raise OutputError(
            f"{engine.quantization}: {bad:,} of {found.numel():,} logits are NaN or infinite; "
            "look for damaged weights, a broken kernel, or values beyond float16"
        )
    return found


def _key(target: Target) -> str:
    """Return what the reference depends on, as one hash: the weights' files, how, and where."""
    import torch

    checkpoint = target.checkpoint
    files = [file.resolve() for file in sorted(checkpoint.path.glob("*.safetensors"))]
    facts = {
        "format": FORMAT,
        "index": index_sha256(checkpoint.path),
        # The index holds names only, which a fine-tuned checkpoint shares with its base.
        "files": [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files],
        "config": dict(checkpoint.config),
        "ids": target.encode(shipped_text())[:TOKENS],
        "dtype": loading.dtype_name(target.settings, "fp16"),
        "attn_implementation": target.settings.attn_implementation,
        "device": devices.describe(target.device)
        if target.device.type == "cuda"
        else target.device.type,
        "versions": [torch.__version__, devices.versions()["transformers"]],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path, key: str) -> torch.Tensor | None:
    """Return the stored logits, or None where the file is missing, damaged or another's."""
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
