"""What came of a comparison: one line for each quantization, or for each benchmark of several."""

from __future__ import annotations

import re
from math import floor, log10
from typing import TYPE_CHECKING

from benchmarks.common.text import least, short, wrapped
from benchmarks.report.verdict_table import ORDER
from benchmarks.sessions.outcome import TIMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.sessions.outcome import Verdict

METRICS = ("decode_device_s", "round_s")  # what is meant if no metric is named
STEADY = "throughput["  # the benchmark that stands for its quantization: warm, and not profiled
CALLS = "decode.python_calls"
EVEN = 2  # times as long may one side of an interval around 0 be, for ±
DEVICE = ("decode_device_s", "prefill_device_s")


def lines(verdicts: Sequence[Verdict], head: str = "head") -> list[str]:
    """Return how `head` compares: in device work, in calls, and on the wall.

    What got worse beyond that is named in a line of its own: the first one, if all else is good.
    """
    names = list(dict.fromkeys(each.benchmark for each in verdicts if each.metric != "-"))
    chosen = [each for each in names if short(each).startswith(STEADY)] or names
    labels = [_quantization(each) for each in chosen]
    found: list[str] = []
    said: list[Verdict] = []
    for name, label in zip(chosen, labels, strict=True):
        of_it = {each.metric: each for each in verdicts if each.benchmark == name}
        if says := _sentence(of_it, head):
            said += [of_it[each] for each in (*DEVICE, CALLS, *TIMES) if each in of_it]
            shown = label if labels.count(label) == 1 else short(name).partition("[")[2][:-1]
            found.append(f"{shown or short(name)}: {says}")
    others = ", ".join(_others(verdicts, {(each.benchmark, each.metric) for each in said}))
    if not others:
        return found
    if any(each.outcome is Outcome.REGRESSED for each in said):
        return [*found, *wrapped(f"worse as well: {others}")]
    return [*wrapped(f"worse: {others}"), *found]


def _quantization(benchmark: str) -> str:
    match = re.match(r"(.+?)-b\d", benchmark.partition("[")[2])
    return match[1] if match else short(benchmark)


def _sentence(of_it: dict[str, Verdict], head: str) -> str:
    """Return what is said of one benchmark; empty if nothing of it was judged."""
    does: list[str] = []
    open_: list[str] = []
    for metrics, where in ((DEVICE, "in device work"), (TIMES, "on the wall")):
        if worst := _worst(of_it, metrics):
            says, is_known = _speed(worst, where, also=worst.metric not in METRICS)
            (does if is_known else open_).append(says)
    calls = _calls(of_it.get(CALLS), is_alone=_worst(of_it, DEVICE) is None)
    known = [f"{head} is {', '.join(does)}"] if does else []
    if calls:
        known.append(f"with {calls}" if does else f"{head} makes {calls}")
    return ", ".join([*known, *open_])


def _worst(of_it: dict[str, Verdict], metrics: Sequence[str]) -> Verdict | None:
    known = [of_it[each] for each in metrics if each in of_it]
    return min(known, key=lambda each: ORDER.index(each.outcome), default=None)


def _speed(verdict: Verdict, where: str, *, also: bool) -> tuple[str, bool]:
    """Return what a time says, and whether that is how fast something is; `also` by its name."""
    name = f" ({verdict.metric})" if also else ""
    where, subject = f"{where}{name}", f"{where.partition(' ')[2]}{name}"
    if verdict.outcome in (Outcome.REGRESSED, Outcome.IMPROVED):
        return f"{_times(verdict)} {where}", True
    if verdict.outcome is Outcome.NO_CHANGE:
        if verdict.low is None and verdict.limit:
            return f"no change above {least(verdict.limit)} seen {where}", False
        return f"as fast {where}{_margin(verdict)}", True
    if verdict.suspicious:
        return f"{subject} is suspicious: {_times(verdict)}", False
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return f"{subject} can't tell{_margin(verdict)}", False
    return f"{subject} was not judged ({verdict.outcome.value})", False


def _times(verdict: Verdict) -> str:
    """Return a change as "1.02 ± 0.01 times slower": how often the faster side fits the slower."""
    ratio = 1 + (verdict.change or 0.0)
    ends = [1 + each for each in (verdict.low, verdict.high) if each is not None]
    word = "slower" if ratio > 1 else "faster"
    if ratio < 1:
        ratio, ends = 1 / ratio, [1 / each for each in ends]
    half = abs(ends[1] - ends[0]) / 2 if len(ends) == 2 else None
    digits = _digits(min(half or ratio - 1, ratio - 1))
    return f"{ratio:.{digits}f}{'' if half is None else f' ± {half:.{digits}f}'} times {word}"


def _digits(smallest: float) -> int:
    """Return how many digits behind the point show it; two at least, and four at most."""
    return min(4, max(2, -floor(log10(smallest)))) if smallest > 0 else 2


def _margin(verdict: Verdict) -> str:
    """Return in which interval the change is; as ± if it is about as long on both sides."""
    low, high = verdict.low, verdict.high
    if low is not None and high is not None:
        small, large = sorted(map(abs, (low, high)))
        if low * high > 0 or large > EVEN * small:
            return f" ({100 * low:+.2g} to {100 * high:+.2g} %)"
        return f" (±{least(large)})"
    return f" (only changes above {least(verdict.limit)} can be seen)" if verdict.limit else ""


def _calls(calls: Verdict | None, *, is_alone: bool) -> str:
    """Return how many more calls a step makes; that they are as many only if no device tells."""
    if calls is None or calls.change is None:
        return ""
    if calls.change and calls.outcome is not Outcome.NO_CHANGE:
        more = "more" if calls.change > 0 else "fewer"
        return f"{least(abs(calls.change))} {more} Python calls a step"
    return "as many Python calls a step" if is_alone else ""


def _others(verdicts: Sequence[Verdict], said: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the metrics that got worse, and are in none of the sentences."""
    worse: dict[str, list[str]] = {}
    for each in verdicts:
        new = each.outcome is Outcome.REGRESSED and each.acknowledged is None
        if new and (each.benchmark, each.metric) not in said:
            worse.setdefault(each.metric, []).append(_quantization(each.benchmark))
    several = len({_quantization(each.benchmark) for each in verdicts}) > 1
    for metric, of in worse.items():
        yield f"{metric} of {' and '.join(dict.fromkeys(of))}" if several else metric
