"""Why something regressed: prefill or decode, counters, and operators of the profile. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import change, duration, number
from benchmarks.sessions import comparable
from benchmarks.sessions.outcome import Outcome, host_and_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Measured, Session

TOP = 5  # operators that are named
NAME = 100  # characters of a kernel's name
WORTH = (
    0.0005  # of a step's device time: a kernel that changed less, at as many calls, is no reason
)
SEEN = 0.01  # of a profile's time: an operator that gained less, and no calls, is no reason
CALLED = {  # by counter, where its calls are stored by name
    "operators_total": "operators",
    "python_calls": "functions",
    "c_calls": "c_functions",
}
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
    found = [", ".join(text for _, text in moved)] if moved and verdict.metric not in PHASES else []
    changed = [
        f"{each.metric} {number(each.base / steps)} -> {number(each.head / steps)}"
        for each, steps in ((other, other.steps or 1) for other in others)
        if each.kind == "counter" and each.change != 0
        if each.base is not None and each.head is not None
    ]
    found += [f"counters: {', '.join(changed[:TOP])}"] if changed else []
    found += filter(None, [host_and_device(others)])
    # A single new token is a prefill, without a TTFT of its own.
    phases = [phase for phase, _ in moved[:1]] or ["prefill"]
    found += _operators(verdict.benchmark, phases, base, head)
    return replace(verdict, reasons=tuple(found))


def explain_counter(verdict: Verdict, base: Measured, head: Measured) -> Verdict:
    """Return the verdict on a phase's calls with the operators or functions that it is about.

    If the total is the same and the operators aren't, that is said as well.
    """
    phase, _, name = verdict.metric.partition(".")
    if name not in CALLED or verdict.outcome is Outcome.MISSING:
        return verdict
    changes = _calls(base, head, phase, CALLED[name])
    if verdict.outcome is Outcome.REGRESSED:
        return replace(verdict, reasons=tuple(text for n, text in changes if n > 0)[:TOP])
    if verdict.outcome is Outcome.IMPROVED:
        lost = [text for n, text in changes[::-1] if n < 0]
        return replace(verdict, reasons=tuple(lost)[:TOP])
    if changes and not verdict.detail and name == "operators_total":
        texts = ", ".join(text for _, text in changes[:TOP])
        return replace(verdict, detail=f"as many calls as before, but of other operators: {texts}")
    return verdict


def explain_device(
    verdict: Verdict, then: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> Verdict:
    """Return the verdict on device time that changed with the kernels that it is about.

    `then` and `now` are what both sides stored of its phase.
    """
    if verdict.outcome not in (Outcome.REGRESSED, Outcome.IMPROVED, Outcome.INCONCLUSIVE):
        return verdict
    if not (then and now):
        return verdict
    sign = 1 if (verdict.change or 0) > 0 else -1
    gains = sorted(_kernels(then, now), key=lambda gain: -sign * gain[0])
    texts = [text for gain, text in gains if sign * gain > 0]
    return replace(verdict, reasons=tuple(texts[:TOP]))


def _kernels(base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """Yield the seconds of a step that each kernel gained, and a text, if they are worth it.

    Those that took longest are stored: one that a side lacks had at most the time of its last.
    """
    then, now = _by_kernel(base), _by_kernel(head)
    worth_s = WORTH * sum(seconds for seconds, _ in then.values())
    for name in {**then, **now}:
        if name in then and name in now:
            (before_s, before), (after_s, after) = then[name], now[name]
            calls = f"{after:,g}" if before == after else f"{before:,g} -> {after:,g}"
            times = f"{duration(before_s, 4)} -> {duration(after_s, 4)}"
            gain, counts = after_s - before_s, before != after
        else:
            here, there, other = (now, then, base) if name in now else (then, now, head)
            seconds, number = here[name]
            left_out = other["kernels"]["rest"]["names"]
            most_s = seconds - (min(each for each, _ in there.values()) if left_out else 0.0)
            calls, times = (
                f"{number:,g}",
                f"{'new' if here is now else 'gone'}, {duration(seconds)}",
            )
            gain, counts = most_s if here is now else -most_s, False
        if counts or abs(gain) > worth_s:
            yield gain, f"{name[:NAME]}: {times} a step in {calls} calls"


def _by_kernel(phase: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return seconds and calls of a step, by the kernel's name."""
    steps = phase["steps"]
    return {
        each["name"]: (each["device_s"] / steps, each["calls"] / steps)
        for each in phase["kernels"]["top"]
    }


def _calls(base: Measured, head: Measured, phase: str, what: str) -> list[tuple[int, str]]:
    """Return how many calls each operator or function gained, the largest gain first.

    The texts are those of one decode step, as the tables are.
    """
    changed = comparable.changed_calls(base, head, phase, what)
    gains = sorted((before - after, name) for name, before, after in changed)
    first, stop = (phase == "decode" and head.decode_steps) or (0, 1)
    each = " a step" if phase == "decode" else ""
    found = []
    for loss, name in gains:
        sign, calls = "-" if loss > 0 else "+", number(abs(loss) / (stop - first))
        found.append((-loss, f"{name} {sign}{calls} calls{each}"))
    return found


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
            found.append((gained_s, PHASES[metric], f"{PHASES[metric]} {change(each.change, 1)}"))
    return [(phase, text) for _, phase, text in sorted(found, reverse=True)]


def _operators(benchmark: str, phases: Sequence[str], base: Session, head: Session) -> list[str]:
    """Return a line for each operator that gained most in the profile of the same model."""
    then, now = profile_of(benchmark, base), profile_of(benchmark, head)
    gains = [
        gain
        for phase in phases
        if phase in then and phase in now
        for gain in _gains(phase, then[phase], now[phase])
    ]
    return [text for _, text in sorted(gains, key=lambda gain: -gain[0])[:TOP]]


def profile_of(benchmark: str, session: Session) -> Mapping[str, Any]:
    """Return the phases that were profiled with the same quantization, batch and mode."""
    wanted = _model(session.measured[benchmark])
    for each in session.measured.values():
        if each.profile and _model(each) == wanted:
            return each.profile
    return {}


def _model(measured: Measured) -> tuple[Any, ...]:
    return tuple(map(measured.workload.get, ("quantization", "batch_size", "generation")))


def _gains(
    phase: str, profiled_base: Mapping[str, Any], profiled_head: Mapping[str, Any]
) -> list[tuple[float, str]]:
    """Return the seconds that each operator gained, on the device or on the host, and a text.

    Only the worst operators of a profile are stored: one that the baseline lacks had at most the
    time of the last that it has. Texts on the decode are those of one step.
    """
    found = []
    base, head = _a_step(profiled_base), _a_step(profiled_head)
    what = "a decode step" if phase == "decode" else phase
    then = {each["name"]: each for each in base}
    for side, key in (("device", "self_device_s"), ("host", "self_host_s")):
        least = min((each[key] for each in base), default=0.0)
        total = sum(each[key] for each in base)
        for each in head:
            before = then.get(each["name"], {key: least, "calls": None})
            gain = each[key] - before[key]
            more_calls = before["calls"] is not None and each["calls"] > before["calls"]
            if gain > SEEN * total or (more_calls and gain > 0):
                calls = f"{number(before['calls'])} -> " if more_calls else ""
                times = f"{duration(before[key])} -> {duration(each[key])}"
                says = f"{times} on the {side}, {calls}{number(each['calls'])} calls"
                found.append((gain, f"{what}: {each['name']} {says}"))
    return found


def _a_step(phase: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operators of a profiled phase with the times and calls of one of its steps."""
    first, stop = phase.get("decode_steps") or (0, 1)
    divided = ("self_device_s", "self_host_s", "calls")
    return [
        {**each, **{name: each[name] / (stop - first) for name in divided}}
        for each in phase["operators"]
    ]
