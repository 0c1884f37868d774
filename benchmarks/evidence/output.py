"""The logits of the fixed text, and how far two models' are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.errors import OutputError
from benchmarks.common.out_of_memory import within_memory
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import dtype_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

READ = 4  # tokens of the rows that show whether a model reads its prompt
SAME = 1e-3  # relative: rows that are computed together are the same to rounding
ROWS = 16  # positions that are compared at once: float64 over a large vocabulary is much memory


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


def check_reads(engine: Engine, ids: Sequence[int]) -> None:
    """Raise OutputError if a token's logits don't follow from the tokens before it, and only those.

    Three rows are computed at once: as they are, with others before the last token, and with
    another last one.
    """
    import torch

    row, *_ = rows = [list(ids[:READ]) for _ in range(3)]
    rows[1][:-1], rows[2][-1] = row[-1:] * (READ - 1), row[0]
    batch = torch.tensor(rows, device=engine.device)
    with torch.inference_mode():
        found = engine.model(input_ids=batch, use_cache=False).logits.double()
    same, others, other_last = found
    norm = same.norm()
    problems = []
    if (same[-1] - others[-1]).norm() == 0:
        problems.append("the last token's logits don't depend on those before it")
    if (same[0] - other_last[0]).norm() > SAME * norm:
        problems.append("the first token's logits depend on the last token: it looks ahead")
    if problems:
        raise OutputError(
            f"{engine.quantization}: expected a model that reads its prompt from left to right; "
            f"{'; '.join(problems)}; choose a decoder"
        )


def beyond(quantization: str, target: Target) -> str:
    """Return beyond which dtype values of a correct model may be, and which option holds them."""
    known, dtype = QUANTIZATIONS[quantization], dtype_name(target.settings, quantization)
    if known.operator:
        says = "beyond float16, in which INT8 kernels compute"
    elif dtype == "bfloat16":
        return "beyond bfloat16"
    else:
        says = "beyond float16"
    option = "--dtype bfloat16" if known.is_4bit else "--quantization bf16"
    if target.checkpoint.quantization:  # for which both are refused
        return f"{says}; give the original model with {option}, which holds them"
    return f"{says}: {option} holds them"


def computed(engine: Engine, target: Target) -> torch.Tensor:
    """Return the logits of the fixed text, of shape (positions, vocabulary).

    Raises OutputError for a model that doesn't read its prompt, OutOfMemoryError if there is too
    little memory.
    """
    import torch

    check_reads(engine, target.agreement_ids)
    ids = torch.tensor([target.agreement_ids], device=engine.device)
    return within_memory(
        lambda: engine.model(input_ids=ids, use_cache=False).logits[0],
        f"computing the logits of {ids.shape[1]} tokens with {engine.quantization}",
        engine.device,
        "free the GPU",
    )


def not_finite(logits: torch.Tensor) -> str | None:
    """Say how many logits aren't finite; None if all are."""
    bad = int((~logits.isfinite()).sum())
    return f"{bad:,} of {logits.numel():,} logits are NaN or infinite" if bad else None


def logits(engine: Engine, target: Target) -> torch.Tensor:
    """Return the logits as `computed` does. Raises OutputError if one of them isn't finite."""
    found = computed(engine, target)
    if wrong := not_finite(found):
        raise OutputError(
            f"{engine.quantization}: {wrong}; look for damaged weights, a broken kernel, or values "
            f"{beyond(engine.quantization, target)}"
        )
    return found
