"""`python -m benchmarks duet --selftest`: what a duet can see on this machine."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.common.text import align, percent
from benchmarks.duet import sensitivity
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import SIDES, Take
from benchmarks.environments.overlay import CURRENT
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.duet.restart import Conditions
    from benchmarks.duet.schedule import Budget
    from benchmarks.duet.sensitivity import Pair, Power

SLOWDOWNS = (0.01, 0.02, 0.05)
TAKES = tuple(Take(side, share) for share in (0.0, *SLOWDOWNS) for side in SIDES)
RECORDED = 16  # restarts at least, from which duets are drawn


def run(arguments: argparse.Namespace, conditions: Conditions) -> int:
    """Record restarts with and without real slowdowns, and print what duets find in them."""
    conditions = replace(conditions, takes=TAKES)
    budget = measuring.budget(arguments, conditions.settings.rounds)
    out = measuring.out_folder(arguments, "selftests")
    recorded = replace(budget, restarts=max(RECORDED, budget.restarts))
    measuring.say(
        f"selftest: identical sides, and either slowed down by {_listed()}: {recorded.restarts} "
        f"restarts of {budget.pairs} times {len(TAKES)} rounds, at most {budget.minutes:g} "
        f"minutes; results in {out}"
    )
    with interrupts.interruptible():
        duet = Duet(conditions, dict.fromkeys(SIDES, CURRENT), recorded, out, measuring.say)
        status = ExitStatus.FINE
        try:
            for number, planned in duet.within_budget():
                if duet.add(number, planned):
                    measuring.say(duet.progress(number))
        except KeyboardInterrupt:
            measuring.complain(f"interrupted after {duet.restarts} restarts")
            status = ExitStatus.INTERRUPTED
    if duet.restarts < ENOUGH:
        measuring.complain("too few restarts to tell anything")
        return status or ExitStatus.NOTHING_COMPARED
    measuring.say(f"drawing {sensitivity.DRAWN} duets of each kind from {duet.restarts} restarts")
    powers, restart_s = _powers(duet, budget), _restart_s(duet)
    for line in table(powers, restart_s):
        measuring.say(line)
    record = {"restart_s": restart_s, "powers": [asdict(power) for power in powers]}
    write_json(out / "selftest.json", record)
    return status


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
