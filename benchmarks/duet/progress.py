"""What a duet says while it runs: what its sides are, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from benchmarks.common.text import count
from benchmarks.duet import restart, schedule
from benchmarks.sessions.outcome import moved
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.duet.restart import Conditions, Played
    from benchmarks.duet.schedule import Budget
    from benchmarks.environments.overlay import Environment
    from benchmarks.sessions.outcome import Verdict

SHOWN = ("round_s", "decode_device_s", "decode.python_calls")  # of a benchmark, the first it has


def cost(conditions: Conditions, budget: Budget, first: int, out: Path) -> str:
    """Return about what a duet may cost, whose first look is after so many restarts."""
    settings = conditions.settings
    benchmarks = len(settings.quantizations) * len(settings.batch_sizes)
    if conditions.work:
        return (
            f"{count(budget.restarts, 'restart')} for the work alone, of "
            f"{count(benchmarks, 'workload')}; results in {out}"
        )
    rounds = budget.restarts * budget.pairs * len(conditions.takes) * benchmarks
    early = f", {first} if they decide" if budget.restarts > first else ""
    if budget.restarts < ENOUGH:
        early = f" (fewer than {ENOUGH} give no verdict on times)"
    restarts = f"{count(budget.restarts, 'restart')}{early}"
    return (
        f"at most {restarts}, {rounds} rounds of {settings.new_tokens} new tokens in all, and "
        f"{minutes(budget.minutes)}; seed {budget.seed}; results in {out}"
    )


def minutes(number: float) -> str:
    """Return minutes in words, as in "1 minute" and "2.5 minutes"."""
    return f"{number:g} minute{'' if number == 1 else 's'}"


def whole(number: float) -> int:
    """Return so many minutes as an advice: whole ones, and rather too many."""
    return max(1, ceil(number))


def standing(verdicts: Sequence[Verdict], asked: tuple[str, str] | None) -> str:
    """Return how it stands, by the estimate that a verdict would be given on: change and interval.

    Of the benchmark and metric that are `asked` for, or else of each benchmark: its round, or of
    work alone the device time of a decode step, or the calls of one.
    """
    shown = {(each.benchmark, each.metric): each for each in verdicts}
    names = dict.fromkeys(each.benchmark for each in verdicts)
    firsts = [next(((n, m) for m in SHOWN if (n, m) in shown), None) for n in names]
    keys = [asked] if asked else firsts
    return ", ".join(_short(shown[key]) for key in keys if key in shown) or "nothing is judged yet"


def _short(verdict: Verdict) -> str:
    name = f"{verdict.benchmark.partition('[')[2].rstrip(']')} {verdict.metric}"
    if verdict.change is None:
        return f"{name} {verdict.outcome.value}"
    says = f"{name} {moved(verdict.change, verdict.low, verdict.high, 2)}"
    few = verdict.low is None and verdict.kind in ("time", "device")
    return says + f" (no interval before {ENOUGH} restarts)" * few


def describe_sides(played: Played, sides: Mapping[str, Environment]) -> Iterator[str]:
    """Yield what was compared, as the workers report it, and how their output agrees."""
    base, head = (played.started[side]["loaded"] for side in schedule.SIDES)
    for side, found in played.started.items():
        yield f"{side} ({sides[side].spec}) on {found['describes']}: {restart.versions(found)}"
    versions = [
        (name, *(each.get(name, {}).get("version", "none") for each in (base, head)))
        for name in {**base, **head}
    ]
    changed = [f"{name} {then} -> {now}" for name, then, now in versions if then != now]
    yield f"differs: {', '.join(changed) or 'no version'}"
    for quantization, found in played.agreement.items():
        most = found["logits_max_difference"]
        yield f"{quantization}: the logits of both sides are " + (
            f"off by {found['logits_relative_error']:.2%}, at most {most:.2g}; the same "
            f"top token in {found['top1_agreement']:.1%} of positions"
            if most
            else "equal to the last bit"
        )
