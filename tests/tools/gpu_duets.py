"""Steps of `make gpu-check` that play duets of the wall, of the same code or a slower head."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.errors import InputError
from benchmarks.duet import schedule
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import Take
from benchmarks.environments.overlay import CURRENT
from tests.tools.gpu_plan import Plan, Played, options_of

if TYPE_CHECKING:
    from pathlib import Path

SLOWDOWN = 0.02
IDENTICAL = tuple(map(Take, schedule.SIDES))
SLOWED = (*IDENTICAL, Take("head", SLOWDOWN))


def duet(folder: Path, plan: Plan) -> dict[str, Any]:
    """Play restarts of identical sides, both models resident, and gather the evidence of both."""
    return _duet(folder, plan, "duet", plan.duet, IDENTICAL)


def slowed(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for a slowdown of 2 % that the host bounds: a tiny model, for more rounds a minute."""
    return _duet(folder, plan, "slowed", plan.slowed, SLOWED)


def prefill(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for a slowdown of 2 % that the GPU bounds: the prefill of long prompts."""
    return _duet(folder, plan, "prefill", plan.prefill, SLOWED)


def _duet(
    folder: Path, plan: Plan, name: str, played: Played, takes: tuple[Take, ...]
) -> dict[str, Any]:
    """Play a duet of identical sides, and of a head that is slowed if that is one of the takes."""
    budget = (f"--rounds={played.pairs}", f"--max-restarts={played.restarts}")
    options = options_of(plan, *played.options, *budget)
    conditions = replace(measuring.conditions(options), takes=takes, evidence=takes == IDENTICAL)
    out = folder / "duets" / f"{name}-{int(time.time())}"  # one that was cut short stays, beside
    with interrupts.interruptible():
        sides = dict.fromkeys(schedule.SIDES, CURRENT)
        found = Duet(conditions, sides, measuring.budget(options, played.pairs), out, measuring.say)
        found.run()
    if not found.takes:
        raise InputError(f"no restart was complete: {'; '.join(found.lost)}")
    return {"folder": out.name, "lost": found.lost}
