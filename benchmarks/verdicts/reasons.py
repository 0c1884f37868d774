"""Why something regressed: prefill or decode, counters, and operators of the profile. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import duration
from benchmarks.sessions import comparable
from benchmarks.sessions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Measured, Session

TOP = 5  # operators that are named
SEEN = 0.01  # of a profile's time: an operator that gained less, and no calls, is no reason
PHASES = {"ttft_s": "prefill", "tpot_s": "decode"}


def explain_time(
    verdict: Verdict, others: Sequence[Verdict], base: Session, head: Session
) -> Verdict:
    """Return the verdict on a regressed time with its reasons; any other verdict as it is.

    `others` are all verdicts of the same benchmark; `base` and `head` have the profiles.
    """
    if verdict.outcome is not Outcome.REGRESSED:
        return verdict
    moved = _phases(verdict, others, head.measured[verdict.benchmark])
    found = [", ".join(text for _, text in moved)] if moved else []
    changed = [
        f"{each.metric} {each.base:,.0f} -> {each.head:,.0f}"
        for each in others
        if each.kind == "counter" and each.change != 0 and None not in (each.base, each.head)
    ]
    found += [f"counters: {', '.join(changed[:TOP])}"] if changed else []
    # A single new token is a prefill, without a TTFT of its own.
    phases = [phase for phase, _ in moved[:1]] or ["prefill"]
    found += _operators(verdict.benchmark, phases, base, head)
    return replace(verdict, reasons=tuple(found))


def explain_counter(verdict: Verdict, base: Measured, head: Measured) -> Verdict:
    """Return the verdict on a phase's operator calls with the operators that it is about.

    Where the total is the same and the operators aren't, that is said as well.
    """
    phase, _, name = verdict.metric.partition(".")
    if name != "operators_total" or verdict.outcome is Outcome.MISSING:
        return verdict
    changes = _calls(base, head, phase)
    if verdict.outcome is Outcome.REGRESSED:
        return replace(verdict, reasons=tuple(text for n, text in changes if n > 0)[:TOP])
    if changes and not verdict.detail:
        texts = ", ".join(text for _, text in changes[:TOP])
        return replace(verdict, detail=f"as many, but others: {texts}")
    return verdict


def _calls(base: Measured, head: Measured, phase: str) -> list[tuple[int, str]]:
    """Return how many calls each operator gained, the largest gain first."""
    changed = comparable.changed_calls(base, head, phase)
    gains = sorted((before - after, name) for name, before, after in changed)
    return [(-loss, f"{name} {-loss:+,} calls") for loss, name in gains]


def _phases(
    verdict: Verdict, others: Sequence[Verdict], measured: Measured
) -> list[tuple[str, str]]:
    """Return prefill and decode with their changes, first the one that cost more seconds."""
    steps = measured.workload.get("new_tokens", 1) - 1
    parts = {each.metric: each for each in others if each.metric in PHASES}
    if verdict.metric in parts:  # it is a phase itself
        parts = {verdict.metric: verdict}
    found = []
    for metric, each in parts.items():
        if each.base is not None and each.head is not None and each.change is not None:
            gained_s = (each.head - each.base) * (steps if metric == "tpot_s" else 1)
            found.append((gained_s, PHASES[metric], f"{PHASES[metric]} {each.change:+.1%}"))
    return [(phase, text) for _, phase, text in sorted(found, reverse=True)]


def _operators(benchmark: str, phases: Sequence[str], base: Session, head: Session) -> list[str]:
    """Return a line for each operator that gained most in the profile of the same model."""
    then, now = _profile(benchmark, base), _profile(benchmark, head)
    gains = [
        gain
        for phase in phases
        if phase in then and phase in now
        for gain in _gains(phase, then[phase]["operators"], now[phase]["operators"])
    ]
    return [text for _, text in sorted(gains, key=lambda gain: -gain[0])[:TOP]]


def _profile(benchmark: str, session: Session) -> Mapping[str, Any]:
    """Return the phases that were profiled with the quantization and batch of a benchmark."""
    wanted = _model(session.measured[benchmark])
    for each in session.measured.values():
        if each.profile and _model(each) == wanted:
            return each.profile
    return {}


def _model(measured: Measured) -> tuple[Any, Any]:
    return measured.workload.get("quantization"), measured.workload.get("batch_size")


def _gains(
    phase: str, base: Sequence[Mapping[str, Any]], head: Sequence[Mapping[str, Any]]
) -> list[tuple[float, str]]:
    """Return the seconds that each operator gained, on the device or on the host, and a text.

    Only the worst operators of a profile are stored: one that the baseline lacks had at most the
    time of the last that it has.
    """
    found = []
    then = {each["name"]: each for each in base}
    for side, key in (("device", "self_device_s"), ("host", "self_host_s")):
        least = min((each[key] for each in base), default=0.0)
        total = sum(each[key] for each in base)
        for each in head:
            before = then.get(each["name"], {key: least, "calls": None})
            gain = each[key] - before[key]
            more_calls = before["calls"] is not None and each["calls"] > before["calls"]
            if gain > SEEN * total or (more_calls and gain > 0):
                calls = f"{before['calls']:,} -> {each['calls']:,}" if more_calls else each["calls"]
                times = f"{duration(before[key])} -> {duration(each[key])}"
                found.append(
                    (gain, f"{phase}: {each['name']} {times} on the {side}, {calls} calls")
                )
    return found
