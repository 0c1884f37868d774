"""Everything else that is stored of a benchmark, as tables of facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import duration, percent, size
from benchmarks.page.figures.kit import MOST_NAME, Table
from benchmarks.report import columns
from benchmarks.report.columns import UNMEASURED
from benchmarks.report.lines import mode_of
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = ("functions", "c_functions")
MODE = {  # what is attested of a generation mode, in words
    "cache": "class of the cache",
    "tokens_held": "tokens of a row in it",
    "bytes_held": "bytes of it",
    "quantized_bytes": "quantized bytes",
    "bytes_in_16_bits": "the same in 16 bits",
    "unquantized_tokens": "newest tokens, in 16 bits",
    "compiled.by": "compiled by",
    "compiled.mode": "mode of torch.compile",
    "compiled.seconds": "time to compile",
    "compiled.graphs": "graphs",
    "compiled.graphs_from_cache": "graphs from a cache",
    "compiled.graph_breaks": "graph breaks",
    "compiled.reasons": "their first reasons",
    "compiled.cuda_graphs": "CUDA graphs used",
    "compiled.cuda_graphs_recorded": "CUDA graphs recorded",
    "compiled.regions": "its calls in a decode step",
    "compiled.recompiled_in_rounds": "compiled again, timed",
    "agreement.logits_relative_error": "logits off dynamic by",
    "agreement.logits_kl_nats": "KL divergence, nats",
}
UNITS: Mapping[str, Callable[[float], str]] = {  # by parts of names
    "bytes": size,
    "seconds": duration,
    "error": percent,
    "nats": "{:.3g}".format,
}


def tables(info: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """Yield the tables of a benchmark's record, with their titles."""
    attested = dict(info.get("attestation") or {})
    yield "Generation mode: what really ran", _mode(attested.pop("generation", {}))
    yield "Attestation: what really ran", table(attested)
    yield "Counters", _counters(info.get("counters") or {})
    validity = info.get("validity") or {}
    reasons = validity.get("unmeasured") or {}
    rows = [
        (name, columns.text(name, value) if isinstance(value, (int, float)) else str(value), "")
        if value is not None
        else (name, UNMEASURED, reasons.get(name, ""))
        for name, value in (validity.get("readings") or {}).items()
    ]
    yield (
        "Readings of the machine",
        Table(("reading", "value", "not measured because"), rows, (0, 2)),
    )
    if len(placement := info.get("placement") or {}) > 1:
        yield "Placement", table(placement)
    yield "Workload", table({"generation": mode_of(info["workload"]), **info["workload"]})


def _counters(counters: Mapping[str, Any]) -> Table:
    """Return the counters of the prefill and of a decode step, operators last.

    Functions have a figure.
    """
    steps = measures.counted_steps({"counters": counters}) or 1
    counted = [counters.get("prefill") or {}, _per_step(counters.get("decode") or {}, steps)]
    phases = [
        dict(_flat({k: v for k, v in each.items() if k not in FUNCTIONS and v is not None}))
        for each in counted
    ]
    names = sorted({**phases[0], **phases[1]}, key=lambda name: (name.count("operators."), name))
    rows = [
        (name, *(each.get(name, _absent(name, c)) for each, c in zip(phases, counted, strict=True)))
        for name in names
    ]
    if not rows:
        rows = [("all", UNMEASURED, UNMEASURED)]
    return Table(("counter", "prefill", "a decode step" if steps > 1 else "decode"), rows)


def number(count: float) -> str:
    """Return how often something is done: a mean over decode steps may be no whole number."""
    return f"{count:,.{0 if count >= 100 or count == int(count) else 1}f}"


def _per_step(value: Any, steps: int, name: str = "") -> Any:
    """Return counters of a single step; bytes are a peak, and stay."""
    if isinstance(value, Mapping):
        return {key: _per_step(part, steps, key) for key, part in value.items()}
    counts = isinstance(value, int) and not name.endswith("_bytes")
    return number(value / steps) if counts else value


def _absent(name: str, counted: Mapping[str, Any]) -> str:
    """Return what a phase has of a counter that only the other one names.

    What is counted by name, as operators are, was not called; anything else was not measured.
    """
    group, dot, _ = name.partition(".")
    return "0" if dot and isinstance(counted.get(group), Mapping) else UNMEASURED


def table(facts: Mapping[str, Any]) -> Table:
    """Return nested facts as a table of dotted names and values."""
    return Table(("fact", "value"), list(_flat(facts)), left=(0, 1))


def _mode(attested: Any) -> Table:
    """Return what was seen of a generation mode; empty for the default one, which isn't attested.

    What doesn't apply to it, as reasons of no graph break, is left out.
    """
    rows = [
        (MODE.get(name, name), _amount(name, value))
        for name, value in _leaves(attested)
        if value is not None and value != []
    ]
    return Table(("fact", "value"), rows, left=(0, 1))


def _amount(name: str, value: Any) -> str:
    """Return a number in the unit that its name tells; anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return _text(value)
    form = next((each for part, each in UNITS.items() if part in name), number)
    return form(value)


def _flat(value: Any) -> Iterator[tuple[str, str]]:
    """Yield nested facts as pairs of a dotted name and a text."""
    for name, leaf in _leaves(value):
        yield name, _text(leaf)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}".lstrip("."))
    else:
        yield name, value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))[:MOST_NAME]
    return "none" if value is None else str(value)[:MOST_NAME]
