"""The output check: how far a quantized model is from fp16 on the same checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.common.errors import OutputError
from benchmarks.evidence.output import compare
from benchmarks.evidence.references import read_reference, reference_key

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchmarks.model.target import Target


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


def check(
    quantization: str, logits: torch.Tensor, target: Target, reference: Path
) -> dict[str, float]:
    """Return relative error of the logits, KL divergence and top-1 agreement against fp16.

    Both models were forced through the same text. Raises OutputError where a figure is beyond its
    bound: the output is wrong, and so is every number of it.
    """
    expected = read_reference(reference, reference_key(target))
    if expected is None:
        raise OutputError(
            f"{reference}: expected fp16's logits of {target.checkpoint.name}; the file is "
            "missing or damaged; run again, and it is computed again"
        )
    figures = compare(logits.cpu(), expected)
    bounds = SYNTHETIC if target.checkpoint.weights == "synthetic" else REAL
    _judge(quantization, figures, asdict(bounds[quantization]))
    return figures


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
