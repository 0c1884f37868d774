"""Steps of `make gpu-check` that play duets: of the same code, a slower head, other releases."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import JUDGED
from benchmarks.duet import schedule
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import Take
from benchmarks.environments.overlay import CURRENT
from tests.tools.gpu_plan import Plan, Played, options_of

ROOT = Path(__file__).parents[2]
SLOWDOWNS = (0.02, 0.05)
IDENTICAL = tuple(map(Take, schedule.SIDES))
SLOWED = (*IDENTICAL, *(Take("head", each) for each in SLOWDOWNS))


def duet(folder: Path, plan: Plan) -> dict[str, Any]:
    """Play restarts of identical sides, both models resident, and gather the evidence of both."""
    return _duet(folder, plan, "duet", plan.duet, IDENTICAL)


def slowed(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for 2 and 5 % that the host bounds: a tiny model, for more rounds a minute."""
    return _duet(folder, plan, "slowed", plan.slowed, SLOWED)


def prefill(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for 2 and 5 % that the GPU bounds: the prefill of long prompts."""
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


def releases(folder: Path, plan: Plan) -> dict[str, Any]:
    """Play a duet of work between each release of bitsandbytes and the next. pip installs them.

    One that is complete isn't played again; one that was cut short is.
    """
    found = []
    for older, newer in pairwise(plan.releases):
        out = folder / "duets" / f"{older}-to-{newer}"
        found.append(f"duets/{out.name}")
        if (out / "verdicts.json").exists():
            continue
        shutil.rmtree(out, ignore_errors=True)
        command = [
            *(sys.executable, "-m", "benchmarks", "duet", "--work"),
            *(f"--base=bitsandbytes=={older}", f"--head=bitsandbytes=={newer}"),
            *(f"--model={plan.model}", f"--device={plan.device}", f"--quantization={plan.one}"),
            f"--out={out}",
        ]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status not in JUDGED or not (out / "verdicts.json").exists():
            raise InputError(f"{out.name}: expected verdicts, got status {status}")
    return {"folders": found}
