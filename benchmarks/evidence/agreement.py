"""How far a quantized model is from its checkpoint: its weights, and its output."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import OutputError
from benchmarks.config.generation import DEFAULT, MODES
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.evidence.output import beyond, compare
from benchmarks.evidence.references import read_reference, reference_key, reference_name
from benchmarks.model import quantizing, skeleton
from benchmarks.model.tensors import rows_of
from benchmarks.splitting import shards

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.checkpoint import Checkpoint
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target


FIGURES = ("logits_relative_error", "logits_kl_nats", "top1_agreement")
FORCED = 8  # tokens of each row over which a generation mode is compared with the default
# Of each linear, read from the checkpoint once more: bands that are spread over it, since part of a
# weight may be wrong.
ROWS, BANDS = 256, 4
ROUNDED = 0.01  # of vectors: what 16 bits may round away, 0.004 at most


def check_weights(engine: Engine, target: Target) -> dict[str, Any] | None:
    """Return how far the weights of the loaded linears are from the checkpoint's, at worst.

    Output can't show it: in 4 bits a correct model is further from the reference than INT8 without
    one of its linears. None if the checkpoint has no such weights, since it is quantized itself.
    Call it before the first generation, since on the CPU that unpacks 4-bit weights. Raises
    OutputError for a linear with other weights: zeroed, of another layer, or with wrong scales; and
    for a norm or a bias that isn't the checkpoint's.
    """
    source = target.origin
    if source is None:
        return None
    worst, name, compared = 0.0, None, 0
    for each, module in skeleton.linears(engine.model).items():
        part = shards.part(module.weight)  # what is here of it
        if part is None or module.weight.is_meta:
            continue
        spread = bands(part[0].stop - part[0].start if part else module.out_features)
        expected = rows_of(source, f"{each}.weight", spread, part)
        if expected is None:
            continue
        compared += 1
        for rows, band in zip(spread, expected, strict=True):
            error = _worst_row(quantizing.dequantized(module, rows), band)
            if error > worst:
                worst, name = error, each
    bound = QUANTIZATIONS[engine.quantization].weights_relative_error
    vector, vectors = _worst_vector(engine.model, source)
    if not vectors <= ROUNDED:  # no quantization touches them
        worst, name, bound = vectors, vector, ROUNDED
    if not worst <= bound:
        what = "damaged files, wrong scales, or another layer's weights"
        if not worst < float("inf"):
            what += f", or values {beyond(engine.quantization, target)}"
        raise OutputError(
            f"{engine.quantization}: expected weights within {bound:g} of those of {source.name}, "
            f"got {name} off by {worst:.3g} (relative error): look for {what}"
        )
    return {"compared": compared, "rows": ROWS, "worst": name, "relative_error": worst}


def bands(rows: int) -> list[slice]:
    """Return the rows of a matrix that are compared: ROWS at most, in bands spread over it."""
    each = ROWS // BANDS
    if rows <= ROWS:
        return [slice(0, rows)]
    starts = (round((rows - each) * band / (BANDS - 1)) // 2 * 2 for band in range(BANDS))
    return [slice(start, start + each) for start in starts]


def _worst_vector(model: Any, source: Checkpoint) -> tuple[str | None, float]:
    """Return which norm or bias is furthest from the checkpoint's, and its relative error."""
    worst, name = 0.0, None
    for each, vector in model.named_parameters():
        if vector.dim() != 1 or vector.is_meta or shards.part(vector) != ():
            continue
        (expected,) = rows_of(source, each, [slice(None)]) or (None,)
        if expected is None or expected.shape != vector.shape:
            continue
        off = float((vector.detach().cpu().float() - expected).norm())
        error = off / max(float(expected.norm()), 1e-30) if off else 0.0
        if (error := _or_infinite(error)) > worst:
            worst, name = error, each
    return name, worst


def check(
    quantization: str, logits: torch.Tensor, target: Target, reference: Path
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return relative error of the logits, KL divergence and top-1 agreement, and how they came.

    Both models were forced through the same text. Raises OutputError if error or divergence is
    beyond its bound: the output is wrong, and so is every number of it. Top-1 agreement is the
    noisiest of the three, so it decides nothing.
    """
    expected = read_reference(reference, reference_key(target))
    if expected is None:
        raise OutputError(
            f"{reference}: expected the reference's logits of {target.checkpoint.name}; the file "
            "is missing or damaged; run again, and it is computed again"
        )
    figures = compare(logits.cpu(), expected)
    known, synthetic = QUANTIZATIONS[quantization], target.checkpoint.weights == "synthetic"
    bounds = asdict(known.synthetic if synthetic else known.real)
    quantized = known.weights is not None
    origin = target.origin.name if target.origin else None
    where = f"of {origin}" if target.reference else "on the same checkpoint"
    what = f"{reference_name(target)} {where}"
    _judge(quantization, figures, bounds, what, must_differ=quantized)
    share, positions = figures["top1_agreement"], len(expected)
    return figures, {
        "with": reference_name(target),
        "checkpoint": origin,
        "positions": positions,
        "top1_standard_error": (share * (1 - share) / positions) ** 0.5,
        "bounds": bounds,
    }


def check_mode(engine: Engine, workload: Workload, target: Target) -> dict[str, Any]:
    """Return how far the logits of a mode are from those of the dynamic cache, and the bounds.

    Both are given the same tokens, so that only the mode differs: a compiled decode step, or a
    quantized cache, may be wrong alone. Raises OutputError if one is, or if a quantized cache
    changes nothing.
    """
    plain = replace(workload, generation=DEFAULT, room=0)
    tokens, expected = engine.decode_logits(plain, FORCED)
    _, found = engine.decode_logits(workload, FORCED, tokens)
    figures = compare(found, expected)
    mode, known = MODES[workload.generation], QUANTIZATIONS[engine.quantization]
    if target.checkpoint.weights == "synthetic":
        own, usual = mode.synthetic, known.synthetic
    else:
        own, usual = mode.real, known.real
    # INT8 moves with any change of its inputs, by as much as it is off from 16 bits at all.
    bounds = asdict(usual)
    if own:
        bounds = {name: max(bound, bounds[name]) for name, bound in asdict(own).items()}
    what = f"{engine.quantization}, {workload.generation},"
    _judge(what, figures, bounds, "the dynamic cache", must_differ=own is not None)
    return {"with": DEFAULT, "positions": len(expected), **figures, "bounds": bounds}


def tokens_sha256(tokens: torch.Tensor) -> str:
    """Return the SHA-256 of a generation's token ids, as JSON rows."""
    return hashlib.sha256(json.dumps(tokens.tolist()).encode()).hexdigest()


def _judge(
    what: str,
    figures: dict[str, float],
    bounds: dict[str, float],
    reference: str,
    *,
    must_differ: bool,
) -> None:
    problems = [
        f"{name}: expected at most {limit:g}, got {figures[name]:.3g}"
        for name, limit in bounds.items()
        if not figures[name] <= limit
    ]
    if must_differ and figures["logits_relative_error"] == 0:
        problems = ["the logits are the same to the last bit, so nothing was quantized"]
    if problems:
        raise OutputError(
            f"{what} disagrees with {reference}: {'; '.join(problems)}; fast and wrong is not "
            "fast: look for a broken kernel"
        )


def _worst_row(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest relative error of a row: each row of a weight has scales of its own.

    Of a row that hardly counts, float16 keeps few digits: it is measured by a hundredth of the
    usual row.
    """
    norms = expected.norm(dim=1)
    usual = norms.clamp(min=max(float(norms.median()) / 100, 1e-30))
    return _or_infinite(float(((found - expected).norm(dim=1) / usual).max()))


def _or_infinite(error: float) -> float:
    """Return an error that can be compared: NaN is further off than any number."""
    return math.inf if math.isnan(error) else error
