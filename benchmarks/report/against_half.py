"""What each quantization buys against 16 bits, and whether INT8 does what was expected. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.config.generation import DEFAULT
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.report import columns
from benchmarks.report.conclusion import STEADY
from benchmarks.report.lines import mode_of
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Info = Mapping[str, Any]

OWN = ("quantization", "threshold", "dtype")  # what a quantization has of its own in a workload
HALVES = frozenset(name for name, each in QUANTIZATIONS.items() if each.bits == 16)
WALL = ("tokens_per_s", "tpot_s", "joules_per_token")  # of the timed rounds
# The design of the old script expected of INT8 half of the memory at most, at about the speed of
# fp16 or above. Scales and norms take a little, so that exactly half is out of reach.
HALF = 0.51  # of the bytes, at most
NEAR = 0.9  # of the tokens/s, at least
EXPLAINS = 0.02  # so close come the weights to those that half of the linears would make


@dataclass(frozen=True)
class Span:
    """The least and the largest of some figures."""

    low: float
    high: float

    @classmethod
    def of(cls, figures: Iterable[float | None]) -> Span | None:
        """Return the span of those that are known; None if none is."""
        known = [each for each in figures if each is not None]
        return cls(min(known), max(known)) if known else None


@dataclass(frozen=True)
class Pair:
    """A quantized benchmark, and the one in 16 bits that did the same otherwise."""

    info: Info
    half: Info

    @property
    def workload(self) -> Info:
        """What was generated; but for the quantization, on both sides."""
        return self.info["workload"]  # type: ignore[no-any-return]

    @property
    def reference(self) -> str:
        """The name of the 16 bits."""
        return str(self.half["workload"]["quantization"])

    @property
    def mode(self) -> str:
        """The generation mode of both."""
        return mode_of(self.workload)

    @property
    def is_int8(self) -> bool:
        """Whether this is LLM.int8(), with or without its outlier path."""
        return self.workload.get("threshold") is not None

    def factor(self, metric: str) -> float | None:
        """Return a figure as a multiple of that in 16 bits; None if a side lacks it."""
        ours, theirs = (columns.figure(side, metric) for side in (self.info, self.half))
        return ours / theirs if ours is not None and theirs else None

    def is_doubted(self, metric: str) -> bool:
        """Whether a figure couldn't be trusted on one of the sides."""
        sides = (self.info, self.half)
        if measures.is_of_the_device(metric):
            return any(columns.doubts(side) for side in sides)
        return metric in WALL and any(
            not (side.get("validity") or {"valid": True})["valid"] for side in sides
        )


@dataclass(frozen=True)
class Memory:
    """What INT8 needs of the memory that 16 bits need."""

    weights: Span
    peak: Span | None
    kept: Span | None  # the share of the weights in 16 bits that isn't quantized
    kept_linears: Sequence[str]  # their names, beside embeddings and norms
    is_explained: bool  # whether the weights are as large as what isn't quantized makes them

    @property
    def is_halved(self) -> bool:
        """Whether weights, and the peak if it was measured, are half as large at most."""
        return max(each.high for each in (self.weights, self.peak) if each) <= HALF


@dataclass(frozen=True)
class Speed:
    """How fast INT8 is beside 16 bits, by times that can be trusted."""

    tokens_per_s: Span
    device: Span | None  # time of a decode step
    busy: Span | None  # the share of a decode step for which the GPU works
    calls: Span | None  # of Python functions, in a decode step

    @property
    def is_near(self) -> bool:
        """Whether it is nowhere much slower."""
        return self.tokens_per_s.low >= NEAR


def pairs(records: Iterable[tuple[str, Info]]) -> list[Pair]:
    """Return each quantized benchmark beside the one in 16 bits that did the same otherwise.

    Of fp16 and bf16 that one counts which computes in the dtype of the quantized one: then nothing
    else differs. If only the other one was measured, it counts.
    """
    known = [each for each in records if each[1].get("workload")]
    chosen = [each for each in known if each[0].startswith(STEADY)] or known
    halves: dict[str, dict[str | None, Info]] = {}
    for name, info in chosen:
        if _is_half(info):
            halves.setdefault(_rest(name, info), {})[info["workload"].get("dtype")] = info
    found = []
    for name, info in chosen:
        measured = halves.get(_rest(name, info))
        if measured and not _is_half(info):
            dtype = info["workload"].get("dtype")
            found.append(Pair(info, measured.get(dtype) or next(iter(measured.values()))))
    return found


def memory(found: Iterable[Pair]) -> Memory | None:
    """Return what memory INT8 needs; None if it wasn't measured beside 16 bits."""
    int8 = _of_the_script(found)
    weights = Span.of(each.factor("weights_bytes") for each in int8)
    if weights is None:
        return None
    names = [(each.half.get("attestation") or {}).get("linears_kept") or () for each in int8]
    return Memory(
        weights,
        peak=Span.of(each.factor("peak_allocated_bytes") for each in int8),
        kept=Span.of(_kept(each) for each in int8),
        kept_linears=list(dict.fromkeys(name for several in names for name in several)),
        is_explained=all(map(_is_explained, int8)),
    )


def speed(found: Iterable[Pair]) -> Speed | None:
    """Return how fast INT8 is; None if no time of it was measured, or none can be trusted."""
    int8 = [each for each in _of_the_script(found) if not each.is_doubted("tokens_per_s")]
    tokens_per_s = Span.of(each.factor("tokens_per_s") for each in int8)
    if tokens_per_s is None:
        return None
    on_device = [each for each in int8 if not each.is_doubted("decode_device_s")]
    return Speed(
        tokens_per_s,
        device=Span.of(each.factor("decode_device_s") for each in on_device),
        busy=Span.of(columns.figure(each.info, "decode_busy_share") for each in on_device),
        calls=Span.of(each.factor("decode.python_calls") for each in int8),
    )


def _of_the_script(found: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that the old script could have measured: INT8, with a dynamic cache.

    If that mode wasn't measured, those of the others.
    """
    int8 = [each for each in found if each.is_int8]
    return [each for each in int8 if each.mode == DEFAULT] or int8


def _is_half(info: Info) -> bool:
    return info["workload"].get("quantization") in HALVES


def _rest(name: str, info: Info) -> str:
    """Return all that a benchmark is but for its quantization, as one text."""
    shared = {key: value for key, value in info["workload"].items() if key not in OWN}
    return name.partition("[")[0] + json.dumps(shared, sort_keys=True, default=str)


def _kept(pair: Pair) -> float | None:
    """Return the share of the weights in 16 bits that isn't quantized; None if unknown."""
    kept = (pair.half.get("attestation") or {}).get("weights_kept_bytes")
    whole = pair.half["metrics"].get("weights_bytes")
    return kept / whole if kept and whole else None


def _is_explained(pair: Pair) -> bool:
    """Whether half of the linears and all of the rest come to the weights that were measured."""
    kept, weights = _kept(pair), pair.factor("weights_bytes")
    if kept is None or weights is None:
        return False
    return abs(weights / (kept + (1 - kept) / 2) - 1) <= EXPLAINS
