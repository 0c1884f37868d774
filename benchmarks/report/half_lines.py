"""A session's quantizations against 16 bits, in words: a line for each, and what came of INT8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.text import percent
from benchmarks.report import against_half

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.report.against_half import Memory, Pair, Span, Speed

BYTES = {"weights_bytes": "weights", "peak_allocated_bytes": "peak"}
RATE, AGREEMENT = "tokens_per_s", "top1_agreement"
TIMES = {"tpot_s": "TPOT", "decode_device_s": "device time", "joules_per_token": "energy"}
# Of several pairs, what tells them apart beside quantization, batch size and generation mode.
MORE = {"prompt_tokens": "prompt", "new_tokens": "new", "replicas": "replicas", "model": "model"}
MOSTLY = 0.5  # of a decode step


def lines(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return a line for each quantized benchmark that was measured in 16 bits as well.

    Below them stands whether INT8 does what was expected of it, and why an output was compared with
    none in 16 bits. `!` marks what was measured while the machine couldn't be trusted.
    """
    found = against_half.pairs(records)
    return [*(_line(each, found) for each in found), *_expected(found), *_uncompared(records)]


def _line(pair: Pair, found: Sequence[Pair]) -> str:
    parts = [_than(name, share) for key, name in BYTES.items() if (share := pair.factor(key))]
    if rate := pair.factor(RATE):
        parts.append(f"{_factor(rate)} the tokens/s{_mark(pair, RATE)}")
    parts += [
        f"{name} {_factor(factor)}{_mark(pair, key)}"
        for key, name in TIMES.items()
        if (factor := pair.factor(key))
    ]
    if (agreement := pair.info["metrics"].get(AGREEMENT)) is not None:
        parts.append(f"top-1 agreement{_with(pair)} {percent(agreement)}")
    return f"{_label(pair, found)}: {', '.join(parts)}"


def _label(pair: Pair, found: Sequence[Pair]) -> str:
    """Return what is compared with what, as much as tells it from the others."""
    workload = pair.workload
    parts = [f"{workload['quantization']} against {pair.reference}"]
    parts += [pair.mode] if len({each.mode for each in found}) > 1 else []
    parts.append(f"batch {workload['batch_size']}")
    parts += [
        f"{name} {workload[key]}"
        for key, name in MORE.items()
        if key in workload and len({each.workload.get(key) for each in found}) > 1
    ]
    return ", ".join(parts)


def _with(pair: Pair) -> str:
    """Return what the output is compared with, if it isn't the other side."""
    reference = (pair.info.get("attestation") or {}).get("agreement") or {}
    name = reference.get("with", pair.reference)
    return "" if name == pair.reference else f" with {name}"


def _mark(pair: Pair, metric: str) -> str:
    return " !" if pair.is_doubted(metric) else ""


def _factor(factor: float) -> str:
    digits = ".2g" if factor < 0.1 else ".2f" if factor < 10 else ",.0f"
    return f"{factor:{digits}}x"


def _than(name: str, share: float) -> str:
    """Return how much smaller than the other something of this share is."""
    if (says := _factor(max(share, 1 / share))) == "1.00x":
        return f"{name} as large"
    return f"{name} {says} {'smaller' if share < 1 else 'larger'}"


def _expected(found: Sequence[Pair]) -> Iterator[str]:
    """Yield what came of what the design of the old script expected of INT8, and why."""
    if memory := against_half.memory(found):
        says = "True" if memory.is_halved else "Not so"
        yield f"Expected of INT8: memory at least halved. {says} here: {_memory(memory)}"
    says = "Expected of INT8: about the speed of 16 bits, or more."
    if speed := against_half.speed(found):
        yield f"{says} {'True' if speed.is_near else 'Not so'} here: {_speed(speed)}"
    elif any(each.is_int8 and each.factor(RATE) for each in found):
        yield f"{says} Can't be told here: the times are INVALID"


def _memory(memory: Memory) -> str:
    says = f"weights take {_shares(memory.weights)}"
    says += f" and the peak {_shares(memory.peak)}" if memory.peak else ""
    says += " of what they take in 16 bits"
    if memory.is_halved or not memory.kept or not memory.is_explained:
        return says
    *names, last = ("embeddings", "norms", *memory.kept_linears)
    stay = f"{', '.join(names)} and {last} ({_shares(memory.kept)} of the weights)"
    return f"{says}, since {stay} aren't quantized"


def _speed(speed: Speed) -> str:
    says = [f"{_factors(speed.tokens_per_s)} the tokens/s"]
    if not speed.is_near and speed.busy and speed.busy.high < MOSTLY:
        waits = f"The GPU works for {_shares(speed.busy)} of a decode step and waits for the host"
        calls = f", which makes {_factors(speed.calls)} the Python calls" if speed.calls else ""
        says.append(waits + calls)
    if not speed.is_near and speed.device:
        says.append(f"Its own time is {_factors(speed.device)} that of 16 bits")
    return ". ".join(says)


def _uncompared(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return why there is no agreement: a line for each reason, with its quantizations."""
    names: dict[str, dict[str, None]] = {}
    for _, info in records:
        why = (info.get("unmeasured") or {}).get(AGREEMENT)
        if why and info["metrics"].get(AGREEMENT) is None:
            names.setdefault(why, {})[info["workload"]["quantization"]] = None
    return [
        f"Agreement with 16 bits was not measured: {why} ({', '.join(of)})"
        for why, of in names.items()
    ]


def _shares(span: Span) -> str:
    low, high = percent(span.low), percent(span.high)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _factors(span: Span) -> str:
    return " to ".join(dict.fromkeys(map(_factor, (span.low, span.high))))
