"""What really happened in a generation mode, or why it isn't the one that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import AttestationError, WorkError
from benchmarks.config.generation import MODES

if TYPE_CHECKING:
    from benchmarks.config.workload import Workload
    from benchmarks.modes.caches import Held
    from benchmarks.modes.compiling import Compiled

FEW_BITS = 0.75  # of the bytes in 16 bits: 8 bits with scales take half, 4 bits less than a third
REASONS = 5  # that are stored of graph breaks


def attest_cache(
    quantization: str, workload: Workload, held: Held | None, written: int, bytes_per_token: int
) -> dict[str, Any]:
    """Return what the cache of a finished generation was.

    `written`: tokens of each row that it must hold. `bytes_per_token`: of a row in 16 bits.
    Raises AttestationError if it isn't the mode's cache, wasn't used, or wasn't quantized though
    it should be.
    """
    mode = MODES[workload.generation]
    if held is None or held.kind != mode.cache:
        kind = held.kind if held else "no cache of its own"
        raise _other(quantization, workload, f"decoded with {kind}, expected {mode.cache}")
    if held.tokens < written:
        raise _other(
            quantization,
            workload,
            f"its cache wasn't used: it holds {held.tokens} tokens of each row, expected {written}",
        )
    found = held.record()
    if workload.generation == "quantized":
        kept = workload.batch_size * (held.tokens - held.unquantized_tokens)
        found["quantized_bytes"] = held.quantized_bytes
        found["bytes_in_16_bits"] = full = kept * bytes_per_token
        found["unquantized_tokens"] = held.unquantized_tokens
        if not 0 < held.quantized_bytes <= FEW_BITS * full:
            raise _other(
                quantization,
                workload,
                f"its cache isn't quantized: {kept} tokens take {held.quantized_bytes:,} bytes, "
                f"and {full:,} in 16 bits",
            )
    return found


def attest_compiled(
    quantization: str, workload: Workload, compiled: Compiled, by: str, mode: str
) -> dict[str, Any]:
    """Return what was compiled for a workload. Raises AttestationError if nothing was.

    `by`: what compiled, and `mode`: that of `torch.compile`.
    """
    if not compiled.graphs:
        why = next(iter(compiled.breaks), "torch.compile made no graph of the decode step")
        raise ran_eagerly(quantization, workload, why)
    reasons = sorted(compiled.breaks, key=lambda why: -compiled.breaks[why])
    return {
        "by": by,
        "mode": mode,
        "graphs": compiled.graphs,
        "graphs_from_cache": compiled.from_cache,
        "cuda_graphs_recorded": compiled.recorded,
        "graph_breaks": sum(compiled.breaks.values()),
        "reasons": reasons[:REASONS],
        "seconds": compiled.seconds,
        "recompiled_in_rounds": 0,  # else there is no result
    }


def ran_eagerly(quantization: str, workload: Workload, why: str) -> AttestationError:
    """Return the error of a decode step that was to be compiled, and wasn't."""
    return _other(
        quantization,
        workload,
        f"ran eagerly: {why}",
        "look for TORCH_COMPILE_DISABLE and TORCHDYNAMO_DISABLE, or write --generation static",
    )


def check_recompiled(compiled: Compiled | None) -> None:
    """Raise WorkError if something was compiled while a round was timed."""
    if compiled and (compiled.graphs or compiled.frames):
        raise WorkError(
            f"expected rounds of what is compiled already, but {compiled.frames} functions were "
            f"compiled anew ({compiled.graphs} graphs, {compiled.seconds:.3g} s) in a timed one; "
            "give --warmup-rounds 3, or --generation static"
        )


def _other(
    quantization: str,
    workload: Workload,
    what: str,
    instead: str = "check the version of transformers, or write --generation dynamic",
) -> AttestationError:
    return AttestationError(
        f"{quantization}, batch {workload.batch_size}: asked for {workload.generation}, {what}; "
        f"{instead}"
    )
