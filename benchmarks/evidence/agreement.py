"""The output check: how far a quantized model is from fp16 on the same checkpoint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.common.errors import OutputError
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.evidence.output import compare
from benchmarks.evidence.references import read_reference, reference_key

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchmarks.model.target import Target


FIGURES = ("logits_relative_error", "logits_kl_nats", "top1_agreement")


def check(
    quantization: str, logits: torch.Tensor, target: Target, reference: Path
) -> dict[str, float]:
    """Return relative error of the logits, KL divergence and top-1 agreement against fp16.

    Both models were forced through the same text. Raises OutputError if a figure is beyond its
    bound: the output is wrong, and so is every number of it.
    """
    expected = read_reference(reference, reference_key(target))
    if expected is None:
        raise OutputError(
            f"{reference}: expected fp16's logits of {target.checkpoint.name}; the file is "
            "missing or damaged; run again, and it is computed again"
        )
    figures = compare(logits.cpu(), expected)
    known, synthetic = QUANTIZATIONS[quantization], target.checkpoint.weights == "synthetic"
    _judge(quantization, figures, asdict(known.synthetic if synthetic else known.real))
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
    if QUANTIZATIONS[quantization].weights and figures["logits_relative_error"] == 0:
        problems = ["the logits are fp16's to the last bit, so nothing was quantized"]
    if problems:
        raise OutputError(
            f"{quantization} disagrees with fp16 on the same checkpoint: {'; '.join(problems)}; "
            "fast and wrong is not fast: look for a broken kernel or wrong weights"
        )
