"""What a duet says while it runs: what its sides are, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp, log
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.text import count
from benchmarks.duet import restart, schedule
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.duet.restart import Conditions, Played
    from benchmarks.duet.schedule import Budget
    from benchmarks.environments.overlay import Environment
    from benchmarks.sessions.session import Session


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
    early = f", {first} where they decide" if budget.restarts > first else ""
    if budget.restarts < ENOUGH:
        early = f" (no verdict on times comes of fewer than {ENOUGH})"
    restarts = f"{count(budget.restarts, 'restart')}{early}"
    return (
        f"at most {restarts}, {rounds} rounds of {settings.new_tokens} new tokens in all, and "
        f"about {budget.minutes:g} minutes; seed {budget.seed}; results in {out}"
    )


def estimate(bases: Sequence[Session], heads: Sequence[Session]) -> str:
    """Return the change so far of each benchmark, in a few words."""
    shifts: dict[str, list[float]] = {}
    for base, head in zip(bases, heads, strict=True):
        for name, measured in base.measured.items():
            pairs = zip(measured.rounds_s, head.measured[name].rounds_s, strict=True)
            shifts.setdefault(name, []).append(median(log(b / a) for a, b in pairs))
    return ", ".join(
        f"{name.partition('[')[2].rstrip(']')} {exp(median(each)) - 1:+.2%} so far"
        for name, each in shifts.items()
    )


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
