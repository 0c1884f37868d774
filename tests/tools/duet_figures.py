"""Figures of duets that need a quiet machine, unattended.

python -m tests.tools.duet_figures --help.
1: identical sides. 2: real slowdowns. 6: what an idle partner costs. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import random
from statistics import median
from time import monotonic

from benchmarks.__main__ import Parser
from benchmarks.commands import measuring
from benchmarks.commands.measuring import say
from benchmarks.duet import restart
from benchmarks.duet.duet import Duet
from benchmarks.duet.restart import Conditions
from benchmarks.duet.schedule import SIDES, Budget, Take
from benchmarks.environments.overlay import CURRENT

KINDS = {  # how much base and head are slowed down
    "identical sides": (0.0, 0.0),
    "head slower by 5 %": (0.0, 0.05),
    "head faster by 5 %": (0.0526, 0.0),
    "head slower by 2 %": (0.0, 0.02),
}
WANTED = {
    "identical sides": None,
    "head slower by 5 %": "REGRESSED",
    "head faster by 5 %": "IMPROVED",
    "head slower by 2 %": "REGRESSED",
}


def main() -> None:
    """Run what is asked for, and print a line as soon as a figure is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", default="1,2,6")
    parser.add_argument("--identical", type=int, default=20, help="duets of identical sides")
    parser.add_argument("--slowed", type=int, default=10, help="duets of each slowdown")
    parser.add_argument("--processes", type=int, default=8, help="for figure 6")
    parser.add_argument("options", nargs="*", help="after --: options of each duet")
    asked = parser.parse_args()
    figures = asked.figures.split(",")
    if "6" in figures:
        idle_partner(asked.processes, asked.options)
    for kind in KINDS:
        same = kind == "identical sides"
        if ("1" if same else "2") in figures:
            duets(kind, asked.identical if same else asked.slowed, asked.options)


def duets(kind: str, times: int, options: list[str]) -> None:
    """Run a kind of duet so often, and print how many said what is true, and all verdicts.

    Right is a duet in which some time changed as it did, and none in another direction; of
    identical sides, one in which none did.
    """
    right, rounds, outcomes, minutes = 0, 0, Counter(), []
    for number in range(1, times + 1):
        with tempfile.TemporaryDirectory() as folder:
            played = duet(kind, Path(folder) / "out", options)
            start = monotonic()
            played.run()
            minutes.append((monotonic() - start) / 60)
        verdicts = [each.as_record() for each in played.verdicts]
        found = {v["metric"]: v for v in verdicts if v["kind"] == "time"}
        outcomes.update(each["outcome"] for each in found.values())
        judged = {each["outcome"] for each in found.values()}
        called = judged & {"REGRESSED", "IMPROVED"}
        right += called == ({WANTED[kind]} - {None}) and "INVALID" not in judged
        rounds += found.get("round_s", {}).get("outcome") == WANTED[kind]
        says = ", ".join(
            f"{metric} {each['outcome']} {100 * (each['change'] or 0):+.2f} %"
            for metric, each in found.items()
        )
        print(f"{kind}: {number} of {times}: {minutes[-1]:.1f} min: {says}", flush=True)
    print(
        f"FIGURE {kind}: right in {right} of {times}, by the round itself in {rounds}; "
        f"verdicts on single times {dict(outcomes)}; "
        f"{median(minutes):.1f} minutes a duet (median), {max(minutes):.1f} at most",
        flush=True,
    )


def duet(kind: str, out: Path, options: list[str]) -> Duet:
    """Return a duet of a kind, to be run."""
    conditions, budget = given(["--times-only", *options])
    slowed = tuple(map(Take, SIDES, KINDS[kind]))
    return Duet(replace(conditions, takes=slowed), dict.fromkeys(SIDES, CURRENT), budget, out, say)


def given(options: list[str]) -> tuple[Conditions, Budget]:
    """Return what these options of a duet mean."""
    parser = Parser()
    measuring.add_arguments(parser)
    arguments = parser.parse_args(options)
    conditions = measuring.conditions(arguments)
    return conditions, measuring.budget(arguments, conditions.settings.rounds)


def idle_partner(processes: int, options: list[str]) -> None:
    """Compare the rounds of a process that alternates with a partner with its own alone.

    Alone, rounds follow each other, with nothing but the untimed token between.
    """
    conditions, _ = given(options)
    rounds, size = conditions.settings.rounds, conditions.settings.batch_sizes[0]
    ratios = []
    for number in range(1, processes + 1):
        with tempfile.TemporaryDirectory() as folder:

            def start(side, folder=folder):
                log = Path(folder) / f"{side}.log"
                return restart.start(side, CURRENT, conditions.variables, log, print)

            place = random()
            with start("base") as one:
                ready(one, conditions, place)
                alone = [timed(one, size) for _ in range(rounds)]
                with start("head") as two:
                    ready(two, conditions, place)
                    beside = []
                    for _ in range(rounds):
                        timed(two, size)
                        beside.append(timed(one, size))
                alone += [timed(one, size) for _ in range(rounds)]
        ratios.append(median(beside) / median(alone))
        print(f"idle partner: {number} of {processes}: {ratios[-1] - 1:+.2%}", flush=True)
    print(
        f"FIGURE idle partner: {median(ratios) - 1:+.2%} in the median of {processes} processes, "
        f"{min(ratios) - 1:+.2%} to {max(ratios) - 1:+.2%}",
        flush=True,
    )


def ready(partner, conditions, place: float) -> None:
    """Load, take a core and warm up."""
    partner.ask("start", 600, options=dict(conditions.options), overlay=None, packages=[])
    partner.ask("load", 600, quantization=conditions.settings.quantizations[0])
    partner.ask("pin", 600, place=place)
    size = conditions.settings.batch_sizes[0]
    partner.ask("warm_up", 600, batch_size=size, own_pids=[os.getpid()])


def timed(partner, batch_size: int) -> float:
    """Return the seconds of one round."""
    return partner.ask("round", 600, batch_size=batch_size)["round_s"]


if __name__ == "__main__":
    main()
