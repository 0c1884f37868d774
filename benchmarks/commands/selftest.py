"""`python -m benchmarks duet --selftest`: what a duet can see on this machine."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import asdict, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.common.text import align, count, percent
from benchmarks.duet import progress, restart, sensitivity
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import SIDES, Take
from benchmarks.duet.worker_process import LostError
from benchmarks.environments.overlay import CURRENT
from benchmarks.machine import clock
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.duet.restart import Conditions
    from benchmarks.duet.schedule import Budget
    from benchmarks.duet.sensitivity import Pair, Power

SLOWDOWNS = (0.01, 0.02, 0.05)
TAKES = tuple(Take(side, share) for share in (0.0, *SLOWDOWNS) for side in SIDES)
RECORDED = 16  # restarts at least, from which duets are drawn


def run(arguments: argparse.Namespace, conditions: Conditions) -> int:
    """Record restarts with and without real slowdowns, and print what duets find in them.

    Identical sides need no evidence, which would take the time of restarts. Raises InputError if
    there is too little time, before the first of them.
    """
    conditions = replace(conditions, takes=TAKES, evidence=False)
    budget = measuring.budget(arguments, conditions.settings.rounds)
    out = measuring.out_folder(arguments, "selftests")
    recorded = replace(budget, restarts=max(RECORDED, budget.restarts))
    measuring.say(
        f"selftest: identical sides, and either slowed down by {_listed()}: {recorded.restarts} "
        f"restarts of {budget.pairs} times {len(TAKES)} rounds, at most "
        f"{progress.minutes(budget.minutes)}; results in {out}"
    )
    voice = measuring.say, measuring.pulse
    duet = Duet(conditions, dict.fromkeys(SIDES, CURRENT), recorded, out, *voice)
    status = _record(duet)
    if duet.restarts < ENOUGH:
        measuring.complain("too few restarts to say anything")
        return status or ExitStatus.NOTHING_COMPARED
    measuring.say(f"drawing {sensitivity.DRAWN} duets of each kind from {duet.restarts} restarts")
    powers, restart_s = _powers(duet, budget), _restart_s(duet)
    for line in table(powers, restart_s):
        measuring.say(line)
    record = {"restart_s": restart_s, "powers": [asdict(power) for power in powers]}
    write_json(out / "selftest.json", record)
    return status


def _record(duet: Duet) -> ExitStatus:
    """Record restarts within the budget, and return how that ended."""
    with interrupts.interruptible():
        try:
            _check_time(duet)
            for number, planned in duet.within_budget():
                if duet.add(number, planned):
                    measuring.say(duet.progress(number))
        except KeyboardInterrupt:
            measuring.complain(f"interrupted after {count(duet.restarts, 'restart')}")
            return ExitStatus.INTERRUPTED
        except HarnessError as error:
            if isinstance(error, InputError):
                raise
            measuring.complain(f"{type(error).__name__}: {error}")
            return ExitStatus.FAILED
    return ExitStatus.FINE


def _check_time(duet: Duet) -> None:
    """Say how long it takes at least, by one worker that does everything once.

    Raises InputError if that is more than there is.
    """
    budget, log = duet.budget, duet.out / "logs" / "trial.log"
    began, given_s = clock.read(), budget.minutes * 60
    try:
        restart_s = _trial(duet.conditions, budget, log, began + given_s)
    except LostError as error:
        if clock.read() < began + given_s:
            raise
        raise InputError(
            f"--max-minutes {budget.minutes:g}: expected time for {ENOUGH} restarts at least, got "
            f"too little for a single round ({error}); give more"
        ) from error
    least = progress.whole(ENOUGH * restart_s / 60)
    if ENOUGH * restart_s > given_s:
        with suppress(OSError):  # nothing was measured, so nothing stays
            log.unlink()
            log.parent.rmdir()
            duet.out.rmdir()
        raise InputError(
            f"--max-minutes {budget.minutes:g}: expected at least {least}, for {ENOUGH} restarts "
            f"of about {restart_s:.0f} s; give more, or take fewer --rounds or --new-tokens"
        )
    full = progress.minutes(max(least, round(budget.restarts * restart_s / 60)))
    measuring.say(
        f"a restart takes about {restart_s:.0f} s: at least {progress.minutes(least)} for "
        f"{ENOUGH} of them, and about {full} for all {budget.restarts}"
    )


def _trial(conditions: Conditions, budget: Budget, log: Path, deadline: float) -> float:
    """Return about how many seconds a restart takes: its two sides do in turn what one does here.

    Only the imports, they do at once. A model is loaded twice: the first time reads it from disk.
    """
    settings, seconds, twice = conditions.settings, 0.0, len(SIDES)
    with restart.start(
        "trial", CURRENT, conditions.variables, log, measuring.say, deadline
    ) as worker:

        def takes(do: str, **given: Any) -> float:
            began = clock.read()
            worker.ask(do, restart.LOADED_WITHIN_S, **given)
            return clock.read() - began

        seconds += takes("start", options=dict(conditions.options), overlay=None, packages=[])
        for quantization in settings.quantizations:
            takes("load", quantization=quantization)
            seconds += twice * takes("load", quantization=quantization)
            for size in settings.batch_sizes:
                seconds += twice * takes("warm_up", batch_size=size, own_pids=[worker.pid])
                seconds += budget.pairs * len(TAKES) * takes("round", batch_size=size)
                takes("record", batch_size=size)
    return seconds


def _powers(duet: Duet, budget: Budget) -> list[Power]:
    """Return what duets of this budget find, drawn from the restarts of one."""
    return [
        sensitivity.estimate(
            _ways(duet, slowdown),
            slowdown,
            most=budget.restarts,
            alpha=budget.alpha,
            seed=budget.seed + index,
            first=min(duet.looks),
        )
        for index, slowdown in enumerate((0.0, *SLOWDOWNS))
    ]


def table(powers: Sequence[Power], restart_s: float) -> list[str]:
    """Return what duets find, a line for each slowdown, and the smallest that they see."""
    rows = [["slowdown", "measured", "found", "false alarms", "open", "restarts", "minutes"]]
    rows += [
        [
            percent(each.slowdown) if each.slowdown else "none",
            "-" if each.measured is None else f"{100 * each.measured:+.2f} %",
            percent(each.found) if each.slowdown else "-",
            percent(each.false_alarms),
            percent(each.inconclusive),
            f"{each.restarts:.1f}",
            f"{each.restarts * restart_s / 60:.1f}",
        ]
        for each in powers
    ]
    seen = sensitivity.smallest(powers)
    says = (
        f"the smallest of these changes that a duet finds here "
        f"in {sensitivity.ENOUGH:.0%} of cases: "
        f"{percent(seen.slowdown)}, in {seen.restarts * restart_s / 60:.1f} minutes on average"
        if seen
        else f"none of these changes is found in {sensitivity.ENOUGH:.0%} of cases: quieten the "
        "machine, or raise --max-restarts"
    )
    return [*align(rows), says]


def _ways(duet: Duet, slowdown: float) -> list[tuple[Pair, Pair]]:
    """Return each restart as its two pairs of a fast and a slow session."""
    base, head = (duet.takes[Take(side)] for side in SIDES)
    slow_base, slow_head = (duet.takes[Take(side, slowdown)] for side in SIDES)
    one, other = zip(base, slow_head, strict=True), zip(head, slow_base, strict=True)
    return list(zip(one, other, strict=True))


def _restart_s(duet: Duet) -> float:
    """Return the seconds of a restart without the rounds that only a selftest has."""
    extra_s = sum(
        median(each.rounds_s) * len(each.rounds_s)
        for take in TAKES[2:]
        for each in duet.takes[take][-1].measured.values()
    )
    return max(duet.longest_s - extra_s, 0.0)


def _listed() -> str:
    return ", ".join(percent(share) for share in SLOWDOWNS)
