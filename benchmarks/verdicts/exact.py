"""Verdicts on what has no noise: counters, memory, and agreement with 16 bits. Pure.

The newest code of each side is compared: if there are baselines of several commits or versions,
an old one says nothing about the latest code. Sessions of the same code that disagree make a range,
and only a figure outside of it is a change.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import least
from benchmarks.sessions import commit, measures
from benchmarks.sessions.measures import Better
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.sessions.session import PHASES
from benchmarks.verdicts import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.sessions.session import Measured
    from benchmarks.verdicts.records import Record

    Values = Callable[[Measured], Mapping[str, float]]
    Side = Sequence[float]
    Own = Callable[[str], float | None]

MEMORY = 0.01  # peaks and weights: allocators round, so that less is no change
# Other tokens are other data, and other outliers: decode steps 2 to 9 and 10 to 17 of the same
# generation differ by 0.6 % in operator calls.
OTHER_TOKENS = 0.01
# Calls are as exact as other counters, but finer: a branch that is taken once more is one.
CALLS = 0.01
# Absolute. On correct models, versions and GPUs move these by a few thousandths; one of the 128
# tokens that are compared is 0.008.
AGREEMENT = {"logits_relative_error": 0.01, "logits_kl_nats": 0.02, "top1_agreement": 0.03}
# Hashes of all tokens, and of those that the counters are counted over.
TOKENS = ("tokens_sha256", "counted_tokens_sha256")


def verdicts(
    benchmark: str, base: Sequence[Record], head: Sequence[Record], own: Own = lambda _: None
) -> list[Verdict]:
    """Judge what has no noise in one benchmark, between sessions that may be compared.

    `own` gives the tolerance of a metric in place of the usual one, or None.
    """
    then, now = newest_code(base), newest_code(head)
    found = _agreement(benchmark, then, now, other=_other_tokens(then, now, *TOKENS))
    short = any(each.measured.work_only for each in (*then, *now))
    bytes_of, memory = memory_of(short=short), lambda name: _or(own(name), MEMORY)
    found += _compared(benchmark, "memory", bytes_of, then, now, memory)
    if _steps(then) and _steps(now) and _steps(then) != _steps(now):
        says = f"counted over other decode steps: {_steps(then)} -> {_steps(now)}"
        found.append(Verdict(benchmark, "decode", "counter", Outcome.NOT_COMPARABLE, detail=says))
    other = OTHER_TOKENS if _other_tokens(then, now, *TOKENS[::-1]) else 0.0

    def tolerance(metric: str) -> float:
        return max(other, _or(own(metric), CALLS if metric.endswith("_calls") else 0.0))

    for phase in PHASES:
        if phase in {each.metric for each in found}:
            continue  # counted over other steps
        counts = _compared(benchmark, "counter", counters(phase), then, now, tolerance)
        if phase == "decode" and (counted := _steps(now) or _steps(then)):
            first, stop = counted[0]
            counts = [replace(each, steps=stop - first) for each in counts]
        before, after = with_evidence(then).measured, with_evidence(now).measured
        found += [reasons.explain_counter(each, before, after) for each in counts]
    return found


def newest_code(records: Sequence[Record]) -> list[Record]:
    """Return the records of the same code as the newest, which comes last."""
    ordered = sorted(records, key=lambda each: (each.session.when, each.session.name))
    newest = commit.code(ordered[-1].session)
    return [each for each in ordered if commit.code(each.session) == newest]


def with_evidence(records: Sequence[Record]) -> Record:
    """Return the newest record that has counters, or the newest: a duet counts in one restart."""
    return next((each for each in records[::-1] if each.measured.has_counters), records[-1])


def counters(phase: str) -> Values:
    """Return a function that gives the counters of a phase that gate.

    Calls of single operators aren't among them: they are the reasons of `operators_total`.
    """

    def values(measured: Measured) -> dict[str, float]:
        counted = measured.counters(phase).items()
        return {f"{phase}.{name}": n for name, n in counted if not name.endswith("_bytes")}

    return values


def memory_of(*, short: bool) -> Values:
    """Return a function that gives the bytes that gate.

    Resident memory of the host isn't among them: it is noisy. The peak of the rounds isn't if one
    side is `short`, since it measured work only: fewer tokens need less.
    """
    names = ("weights_bytes",) if short else ("weights_bytes", "peak_allocated_bytes")

    def values(measured: Measured) -> dict[str, float]:
        found = {name: measured.metrics.get(name) for name in names}
        for phase in PHASES:
            peak = measured.counters(phase).get("peak_allocated_bytes")
            found[f"{phase}.peak_allocated_bytes"] = peak
        return {name: value for name, value in found.items() if value is not None}

    return values


def agreement(measured: Measured) -> dict[str, float]:
    """Return how far the output is from that of fp16, as far as it was measured."""
    known = {name: measured.metrics.get(name) for name in AGREEMENT}
    return {name: value for name, value in known.items() if value is not None}


def _sides(
    values: Values, base: Sequence[Record], head: Sequence[Record]
) -> Iterator[tuple[str, Side, Side]]:
    """Yield each metric that a side has, with its values on both sides."""
    then, now = ([values(each.measured) for each in side] for side in (base, head))
    for metric in dict.fromkeys(name for each in (*then, *now) for name in each):
        before, after = ([each[metric] for each in side if metric in each] for side in (then, now))
        yield metric, before, after


def _compared(
    benchmark: str,
    kind: str,
    values: Values,
    base: Sequence[Record],
    head: Sequence[Record],
    tolerance: Callable[[str], float],
) -> list[Verdict]:
    """Judge values by their ratio; a larger one is worse."""
    found = []
    for metric, before, after in _sides(values, base, head):
        says, limit, share = "", None, tolerance(metric)
        if not (before and after):
            why = head[-1].measured.why_null(metric.rpartition(".")[2])
            found.append(one_sided(benchmark, metric, kind, before, after, why))
            continue
        if min(after) > max(before) * (1 + share):
            outcome, sides = Outcome.REGRESSED, (max(before), min(after))
        elif max(after) * (1 + share) < min(before):
            outcome, sides = Outcome.IMPROVED, (min(before), max(after))
        else:
            outcome, sides = Outcome.NO_CHANGE, (median(before), median(after))
            if {*before} != {*after}:
                says = f"within {least(share)}" if share else "within its range"
                limit = share or None
        verdict = _verdict(benchmark, metric, kind, outcome, *sides, says)
        found.append(replace(verdict, limit=limit))
    return found


def _or(own: float | None, usual: float) -> float:
    return usual if own is None else own


def _agreement(
    benchmark: str, base: Sequence[Record], head: Sequence[Record], *, other: bool
) -> list[Verdict]:
    """Judge the agreement with 16 bits by its difference, and say if other tokens came out."""
    found = []
    tokens = "other tokens were generated" if other else ""
    for metric, before, after in _sides(agreement, base, head):
        if not (before and after):
            found.append(one_sided(benchmark, metric, "agreement", before, after))
            continue
        sign, bound = -1 if measures.better(metric) is Better.MORE else 1, AGREEMENT[metric]
        then, now = median(before), median(after)
        worse = sign * (now - then)
        moved = Outcome.REGRESSED if worse > 0 else Outcome.IMPROVED
        outcome = moved if abs(worse) > bound else Outcome.NO_CHANGE
        says = tokens if abs(worse) <= bound else f"by more than {bound:g}"
        found.append(_verdict(benchmark, metric, "agreement", outcome, then, now, says))
    if other and not found:
        says = f"{tokens}, and nothing says whether they are as good: no agreement with 16 bits"
        found.append(
            Verdict(benchmark, "tokens_sha256", "agreement", Outcome.INCONCLUSIVE, detail=says)
        )
    return found


def _other_tokens(base: Sequence[Record], head: Sequence[Record], *keys: str) -> bool:
    """Whether the two sides are known to have generated different tokens.

    The first of the hashes that both sides have decides.
    """
    for key in keys:
        then, now = (
            {digest for each in side if (digest := each.measured.attestation.get(key))}
            for side in (base, head)
        )
        if then and now:
            return then.isdisjoint(now)
    return False


def _steps(records: Sequence[Record]) -> list[Any]:
    """Return the ranges of decode steps over which these records counted."""
    return sorted(steps for each in records if (steps := each.measured.decode_steps))[:1]


def one_sided(
    benchmark: str, metric: str, kind: str, before: Side, after: Side, why: str = ""
) -> Verdict:
    """Return the verdict on a metric that one side lacks, and `why` the new one does."""
    gone = bool(before)
    cause = Cause.GONE if gone else Cause.NEW
    says = (
        f"gone: the baseline has it, this session has not: {why or 'was it interrupted?'}"
        if gone
        else "new: this session has it, the baseline has not; promote a session that has"
    )
    base, head = (median(side) if side else None for side in (before, after))
    return Verdict(benchmark, metric, kind, Outcome.MISSING, base, head, detail=says, cause=cause)


def _verdict(
    benchmark: str,
    metric: str,
    kind: str,
    outcome: Outcome,
    base: float,
    head: float,
    detail: str = "",
) -> Verdict:
    change = head / base - 1 if base else 0.0 if head == base else None
    if change is not None and not isfinite(change):  # of a base next to nothing
        change = None
    return Verdict(benchmark, metric, kind, outcome, base, head, change, detail=detail)
