"""Verdicts on times: what a session's rounds say, and what follows from an estimate. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.text import count, least
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.verdicts import estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.session import Measured
    from benchmarks.verdicts.estimate import Estimate


@dataclass(frozen=True)
class Limits:
    """The changes that decide what is said, as shares.

    `floor`: a smaller change isn't reported, however sure. `equivalence`: no change means that
    one of this size is ruled out. `doubt`: a change this large is suspicious even without
    significance: with one or two baselines the spread is unknown, and among many times one exceeds
    its interval by chance. `gross`: a change that needs no duet. `blind`: with a wider interval the
    past can't tell what matters.
    """

    floor: float
    equivalence: float
    doubt: float
    gross: float
    blind: float


STEADY = Limits(floor=0.01, equivalence=0.02, doubt=0.05, gross=0.10, blind=0.15)
# Medians of repeats spread by 0.05 to 0.25 % over processes of identical code on one card, so a
# quarter of a percent is a change. Of seven cards of a kind two were 1.4 % apart in a prefill.
DEVICE = Limits(floor=0.0025, equivalence=0.005, doubt=0.005, gross=0.02, blind=0.02)
# A prefill is one pass: its medians spread by up to 0.5 % over the same processes.
DEVICE_PREFILL = Limits(floor=0.004, equivalence=0.0075, doubt=0.0075, gross=0.02, blind=0.02)
OTHER_CARD = Limits(floor=0.02, equivalence=0.03, doubt=0.02, gross=0.03, blind=0.03)
# The first generation of a process is one round, and depends on caches of files and kernels. Two
# runs of the same code on a quiet machine were 13 % apart: only a gross change says something.
COLD = Limits(floor=0.25, equivalence=0.50, doubt=0.25, gross=0.25, blind=0.50)
LIMITS = {  # of metrics that aren't steady times of the wall
    "cold_round_s": COLD,
    "decode_device_s": DEVICE,
    "prefill_device_s": DEVICE_PREFILL,
}


SENSIBLE = 24  # restarts, twice the default of a duet; nobody would play more
MORE_ROUNDS = "quieten the machine, or raise --rounds"
MORE_REPEATS = "keep the GPU to yourself, or raise --device-repeats"


@dataclass(frozen=True)
class Timing:
    """One metric of one benchmark, estimated, and what else there is to say about it."""

    benchmark: str
    metric: str
    estimate: Estimate
    limits: Limits
    note: str = ""  # what was left out
    kind: str = "time"
    elsewhere: bool = False  # the past is of another card


def limits(metric: str) -> Limits:
    """Return from which change of a metric on something is said."""
    return LIMITS.get(metric, STEADY)


def series(measured: Measured) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each round, by metric.

    Of the first generations of a process only the very first one is judged: what follows is not
    steady yet, and measured better elsewhere. A single new token has no TTFT beside its round.
    """
    if not measured.rounds_s:
        return {}
    if "cold_process" in measured.info:
        return {"cold_round_s": measured.rounds_s[:1]} if measured.info["cold_process"] else {}
    found = {"round_s": measured.rounds_s}
    rounds = measured.steps
    if len(rounds) == len(measured.rounds_s):
        found["ttft_s"] = tuple(each["ttft_s"] for each in rounds)
        found["tpot_s"] = tuple(sum(each["step_s"]) / len(each["step_s"]) for each in rounds)
    return {
        metric: values for metric, values in found.items() if all(value > 0 for value in values)
    }


def unpaired(metric: str, base: Sequence[Measured], head: Sequence[Measured]) -> Estimate | None:
    """Estimate from sessions of different times; None if one side lacks the metric."""
    sides = [
        [median(values[metric]) for values in map(series, side) if metric in values]
        for side in (base, head)
    ]
    return estimate.unpaired(*sides) if all(sides) else None


def paired(metric: str, pairs: Sequence[tuple[Measured, Measured]]) -> Estimate | None:
    """Estimate from restarts of a duet: round k of one side belongs to round k of the other.

    If a restart was cut short, the rounds that both sides have count. None if no restart has the
    metric on both sides.
    """
    restarts, orders = [], []
    for sides in pairs:
        base, head = (series(side).get(metric) for side in sides)
        if base and head:
            restarts.append(list(zip(base, head, strict=False)))
            orders.append(_head_first(*sides, len(restarts[-1])))
    return estimate.paired(restarts, orders) if restarts else None


def _head_first(base: Measured, head: Measured, pairs: int) -> list[bool]:
    """Return in which of so many pairs head came first; in none if that isn't known."""
    known = list(zip(base.positions, head.positions, strict=False))[:pairs]
    return [ours > theirs for ours, theirs in known] if len(known) == pairs else [False] * pairs


def cut_short(pairs: Sequence[tuple[Measured, Measured]]) -> str:
    """Say how many restarts have rounds without a partner, which don't count; "" if none has."""
    restarts = sum(len(base.rounds_s) != len(head.rounds_s) for base, head in pairs)
    if not restarts:
        return ""
    return f"rounds without a partner, in {count(restarts, 'restart')}, don't count"


PARTS = ("ttft_s", "tpot_s")  # of a round


def screen(timings: Sequence[Timing], *, alpha: float, strict: bool, decide: str) -> list[Verdict]:
    """Judge times against baselines of the past.

    Beyond the interval that a new session falls into is suspicious, since machines drift; beyond
    the gross threshold as well it is a change. `strict`: it is a change if it is
    significant among all that were judged together. `decide`: the next step for a suspicion.
    """
    findings = []
    for each, p in zip(timings, _adjusted(timings), strict=True):
        finding = _few_baselines(each) if p is None else _baselines(each, p, alpha, strict=strict)
        if finding.outcome is Outcome.INCONCLUSIVE:
            finding = replace(finding, detail=f"{finding.detail}; {decide}")
        findings.append(_verdict(each, p, alpha, finding))
    return findings


def duel(timings: Sequence[Timing], *, alpha: float) -> list[Verdict]:
    """Judge times of a duet, whose sides shared the state of the machine."""
    return [
        _verdict(each, p, alpha, _restarts(each, p, alpha, alpha / len(timings)))
        for each, p in zip(timings, _adjusted(timings), strict=True)
    ]


@dataclass(frozen=True)
class _Finding:
    outcome: Outcome
    detail: str
    suspicious: bool = False
    cause: Cause | None = None
    limit: float | None = None  # the share in the detail


def _few_baselines(timing: Timing) -> _Finding:
    size, limits = _size(timing), timing.limits
    few = f"only {count(timing.estimate.count, 'baseline')}, too few to know how much sessions vary"
    if size > limits.gross:
        says = f"{few}; but a change above {least(limits.gross)} counts all the same"
        return _Finding(_direction(timing), says, limit=limits.gross)
    if size > limits.doubt:
        return _Finding(Outcome.INCONCLUSIVE, f"suspicious: {few}", suspicious=True)
    says = f"{few}; only changes above {least(limits.doubt)} can be seen"
    return _Finding(Outcome.NO_CHANGE, says, limit=limits.doubt)


def _baselines(timing: Timing, p: float, alpha: float, *, strict: bool) -> _Finding:
    size, limits = _size(timing), timing.limits
    half = timing.estimate.half_width(alpha)
    varies = estimate.share(half)
    beyond = f"beyond the ±{least(varies)} by which sessions vary"
    alone = abs(timing.estimate.shift) > half  # significant if this were the only time judged
    sure = p <= alpha and size > limits.floor
    if size > limits.gross and (sure or (alone and varies <= limits.blind)):
        return _Finding(_direction(timing), beyond, limit=varies)
    if sure and strict:
        return _Finding(_direction(timing), beyond, limit=varies)
    if sure or (alone and size > limits.doubt):
        says = f"suspicious: {beyond}"
        return _Finding(Outcome.INCONCLUSIVE, says, suspicious=True, limit=varies)
    if varies > limits.blind:
        says = f"sessions vary so much that only changes above {least(varies)} could have been seen"
        if timing.metric in PARTS:  # of a round that is judged as a whole, and is open by itself
            says = f"{says}; round_s is open for the same reason"
            return _Finding(Outcome.NO_CHANGE, says, cause=Cause.ROUND_IS_OPEN, limit=varies)
        return _Finding(Outcome.INCONCLUSIVE, says, limit=varies)
    if p <= alpha:
        return _small(limits)
    if alone:
        says = f"{beyond}, but one of so many times may be so by chance"
        return _Finding(Outcome.NO_CHANGE, says, cause=Cause.CHANCE, limit=varies)
    within = f"within the ±{least(varies)} by which sessions vary"
    return _Finding(Outcome.NO_CHANGE, within, limit=varies)


def _restarts(timing: Timing, p: float | None, alpha: float, strictest: float) -> _Finding:
    found, size, limits = timing.estimate, _size(timing), timing.limits
    restarts = count(found.count, "restart")
    if p is None:  # however large the change: one process may be unlucky by any amount
        says = f"only {restarts}, too few to know how much they vary; {estimate.ENOUGH} are needed"
        return _Finding(Outcome.INCONCLUSIVE, says)
    if p <= alpha and size > limits.floor:
        return _Finding(_direction(timing), f"over {restarts}")
    if p <= alpha:
        return _small(limits)
    if found.equivalent(limits.equivalence, alpha):
        says = f"a change of {least(limits.equivalence)} is ruled out"
        return _Finding(Outcome.NO_CHANGE, says, limit=limits.equivalence)
    return _what_more(timing, strictest)


def _small(limits: Limits) -> _Finding:
    says = f"a sure change, but below {least(limits.floor)}, which is not reported"
    return _Finding(Outcome.NO_CHANGE, says, limit=limits.floor)


def _what_more(timing: Timing, alpha: float) -> _Finding:
    """Return which changes the restarts could have shown, and what would decide."""
    found = timing.estimate
    seen = found.detectable(alpha) or 0.0
    says = f"only changes above {least(seen)} could have been seen in {found.count} restarts"
    needed = estimate.restarts_needed(found, timing.limits.floor, alpha)
    if needed is None or needed > SENSIBLE:
        helps = MORE_REPEATS if timing.kind == "device" else MORE_ROUNDS
        says = f"{says}, which vary too much for more of them to decide: {helps}"
    else:
        says = f"{says}; {needed - found.count} more decide, if they vary alike"
    return _Finding(Outcome.INCONCLUSIVE, says, limit=seen)


def _adjusted(timings: Sequence[Timing]) -> list[float | None]:
    """Return p values, adjusted for all that have one.

    Benchmarks of one model share its device time, which so is judged once.
    """
    keys = [each.estimate if each.kind == "device" else n for n, each in enumerate(timings)]
    ps = [each.estimate.p() for each in timings]
    known = {key: p for key, p in zip(keys, ps, strict=True) if p is not None}
    adjusted = dict(zip(known, estimate.holm(list(known.values())), strict=True))
    return [adjusted.get(key) for key in keys]


def _size(timing: Timing) -> float:
    """Return how large the change is, the same in either direction."""
    return estimate.share(abs(timing.estimate.shift))


def _direction(timing: Timing) -> Outcome:
    return Outcome.REGRESSED if timing.estimate.shift > 0 else Outcome.IMPROVED


def _verdict(timing: Timing, p: float | None, alpha: float, finding: _Finding) -> Verdict:
    found = timing.estimate
    low, high = found.interval(alpha) or (None, None)
    return Verdict(
        benchmark=timing.benchmark,
        metric=timing.metric,
        kind=timing.kind,
        outcome=finding.outcome,
        base=found.base_s,
        head=found.head_s,
        change=found.change,
        low=low,
        high=high,
        p=p,
        detail=f"{finding.detail}; {timing.note}" if timing.note else finding.detail,
        suspicious=finding.suspicious,
        cause=Cause.LEFT_OUT if timing.note and not finding.cause else finding.cause,
        limit=finding.limit,
    )
