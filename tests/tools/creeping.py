"""When a creep is REGRESSED: simulated sessions, each judged and, if it passes, promoted."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from math import exp, log1p
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.sessions import baseline
from benchmarks.sessions.outcome import Outcome
from benchmarks.sessions.session import Session, parse_session
from benchmarks.verdicts import creep
from tests.builders import promoted
from tests.history.series import DEVICE, day

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDED = 5  # baselines of the same code, as `baselines record` makes them
SESSIONS = 60  # after which nobody waits any longer
SEEDS = 10
STEPS = (0.003, 0.001, 0.0003, 0.0001)
METRIC = "decode_device_s"


@dataclass(frozen=True)
class Found:
    """The session that is REGRESSED, counted from the first of the creep, and the sum by then."""

    session: int
    sum: float


def stored(number: int, device: float = 0.0, wall: float = 0.0, **more: Any) -> Session:
    """Return a baseline of a day, its times off by this much on the log scale."""
    content = day(number, device, wall, promoted=promoted(), **more)
    return parse_session(content, f"x/{number:04}.json")


def first_regressed(step: float, seed: int, *, oldest: bool = True) -> Found | None:
    """Return when a creep of device time is REGRESSED; None if it isn't.

    `oldest`: whether the oldest baselines of the level judge as well.
    """
    rng = random.Random(seed)
    known = [stored(n, rng.gauss(0, DEVICE)) for n in range(RECORDED)]
    for n in range(1, SESSIONS + 1):
        shift = n * log1p(step)
        head = stored(RECORDED + n, shift + rng.gauss(0, DEVICE))
        base = baseline.baselines(known, head)
        level = baseline.level(known, head) if oldest else []
        verdicts = creep.judge(base, level, [head], gate="work")
        if any((each.metric, each.outcome) == (METRIC, Outcome.REGRESSED) for each in verdicts):
            return Found(n, exp(shift) - 1)
        records = [each.as_record() for each in verdicts]
        known.append(replace(head, saved={**head.saved, "verdicts": records}))
    return None


def table() -> list[tuple[str, ...]]:
    """Return for each creep when it is REGRESSED, with the oldest baselines and without them."""
    rows = [("a session", "REGRESSED at session", "sum by then", "by the newest alone")]
    for step in STEPS:
        both, newest = (_found(step, oldest=each) for each in (True, False))
        rows.append((f"{100 * step:g} %", *_says(both), _says(newest)[0]))
    return rows


def _found(step: float, *, oldest: bool) -> list[Found | None]:
    return [first_regressed(step, seed, oldest=oldest) for seed in range(SEEDS)]


def _says(found: Sequence[Found | None]) -> tuple[str, str]:
    """Return the median session with its range, and the largest sum."""
    known = [each for each in found if each]
    if len(known) < len(found):
        return f"{len(known)} of {len(found)} within {SESSIONS}", ""
    numbers = sorted(each.session for each in known)
    largest = max(each.sum for each in known)
    return f"{median(numbers):g} ({numbers[0]} to {numbers[-1]})", f"{100 * largest:.2f} % at most"
