"""How often change points are false, and how soon a step is found: on simulated sessions.

`make history` prints the tables, and writes them into docs/history.md. With OTAVA=PYTHON, the
Python of an environment that has apache-otava, its results on the same series stand beside ours.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from math import exp, log1p
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.text import align
from benchmarks.history import levels
from tests.tools import creeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Finder = Callable[[Sequence[float]], list[int]]  # values in, places of change points out
    Row = tuple[str, ...]

PAGE = Path(__file__).parents[2] / "docs" / "history.md"
BEGIN, END = "<!-- written by make history -->\n", "<!-- end -->\n"
SEED = 20261128
LENGTHS = (100, 500, 2000)
NOISES = (0.0005, 0.007, 0.07)
USUAL = 0.007  # the noise at which other lengths are simulated as well
STEPS = (0.003, 0.01, 0.02, 0.05)
# In deviations of the noise: what the machine drifts by from a session to the next, how many
# sessions are outliers, and how much slower these are on average.
DRIFT, OUTLIERS, SLOWER = 0.03, 0.02, 8.0
ONCE = 20_000  # sessions of each cell that are looked at once
NIGHTS = 50  # after each of so many last sessions somebody looks
WATCHED = {100: 100, 500: 30, 2000: 10}  # series of each length that are looked at every night
ALIKE = 40  # series in which steps are looked for, if false change points are about as few
AFTER = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30)  # sessions after a step, after which somebody looks
NEAR = 5  # sessions: as far from a step a change point is still this step's
LEVELS = {"Otava": 1e-3, "Otava, p < 1e-10": 1e-10}  # its default; about as few false ones as ours
OTAVA = """
import json, sys
from otava.analysis import compute_change_points
for line in sys.stdin:
    found, _ = compute_change_points(json.loads(line), max_pvalue=float(sys.argv[1]))
    print(json.dumps([int(each.index) for each in found]), flush=True)
"""


def simulated(
    rng: random.Random, length: int, noise: float, step: float = 0.0, at: int = 0
) -> list[float]:
    """Return a series with noise, drift and outliers; from `at` on slower by a step."""
    found, drift = [], 0.0
    for n in range(length):
        drift += rng.gauss(0, DRIFT * noise)
        luck = drift + rng.gauss(0, noise)
        if rng.random() < OUTLIERS:
            luck += rng.expovariate(1 / (SLOWER * noise))
        found.append(exp(luck + (log1p(step) if n >= at else 0.0)))
    return found


def ours(values: Sequence[float]) -> list[int]:
    """Return the change points that this suite finds."""
    return [each.at for each in levels.noisy(values)]


def otava(process: subprocess.Popen[str]) -> Finder:
    """Return what asks a process for the change points that Otava finds."""

    def found(values: Sequence[float]) -> list[int]:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process of Otava has no pipes")
        process.stdin.write(json.dumps(list(values)) + "\n")
        process.stdin.flush()
        return list(json.loads(process.stdout.readline()))

    return found


def false_at_once(find: Finder, length: int, noise: float) -> float:
    """Return the false change points per 1,000 sessions, if whole series are looked at once."""
    rng = random.Random(SEED)
    count = ONCE // length
    return 1000 * sum(len(find(simulated(rng, length, noise))) for _ in range(count)) / ONCE


def false_by_night(find: Finder, length: int, noise: float) -> float:
    """Return those that appear per 1,000 sessions, if somebody looks after each session."""
    rng = random.Random(SEED + 1)
    new = 0
    for _ in range(WATCHED[length]):
        values = simulated(rng, length, noise)
        known = find(values[: length - NIGHTS])
        for stop in range(length - NIGHTS + 1, length + 1):
            for at in find(values[:stop]):
                if all(abs(at - other) > NEAR for other in known):
                    known.append(at)
                    new += 1
    return 1000 * new / (WATCHED[length] * NIGHTS)


@dataclass(frozen=True)
class Found:
    """After how many sessions steps were found: None of one that wasn't."""

    delays: Sequence[int | None]

    def __str__(self) -> str:
        """Return the share that was found, and the median delay of those."""
        known = [each for each in self.delays if each is not None]
        share = f"{len(known) / len(self.delays):.0%}".replace("%", " %")
        return f"{share}, after {median(known):g}" if known else share


def steps(find: Finder, length: int, noise: float, step: float, count: int | None = None) -> Found:
    """Return how soon a step is found, `AFTER[-1]` sessions before the end of a series."""
    rng = random.Random(SEED + 2)
    at, delays = length - AFTER[-1], []
    for _ in range(count or WATCHED[length]):
        values = simulated(rng, length, noise, step, at)
        seen = (
            after
            for after in AFTER
            if any(abs(each - at) <= NEAR for each in find(values[: at + after]))
        )
        delays.append(next(seen, None))
    return Found(delays)


def cells() -> Iterator[tuple[int, float]]:
    """Yield lengths and noises: every noise at the first length, every length at the usual one."""
    yield from ((LENGTHS[0], noise) for noise in NOISES)
    yield from ((length, USUAL) for length in LENGTHS[1:])


def false_ones(finders: dict[str, Finder]) -> list[Row]:
    """Return the table of false change points."""
    rows: list[Row] = [("sessions", "noise", "by", "looked at once", "every night")]
    for noise in NOISES:
        for length in LENGTHS:
            for name, find in finders.items():
                nightly = (length, noise) in set(cells())
                by_night = f"{false_by_night(find, length, noise):.1f}" if nightly else ""
                once = f"{false_at_once(find, length, noise):.2f}"
                rows.append((f"{length:,}", _percent(noise), name, once, by_night))
    return rows


def found_ones(finders: dict[str, Finder]) -> list[Row]:
    """Return the table of steps."""
    rows: list[Row] = [("sessions", "noise", "by", *map(_percent, STEPS))]
    for length, noise in cells():
        for name, find in finders.items():
            found = (str(steps(find, length, noise, step)) for step in STEPS)
            rows.append((f"{length:,}", _percent(noise), name, *found))
    return rows


def alike(finders: dict[str, Finder]) -> list[Row]:
    """Return both for the shortest series and the usual noise, and what is found by chance."""
    where = LENGTHS[0], USUAL
    rows: list[Row] = [("looked at once", "every night", "by", "no step", *map(_percent, STEPS))]
    for name, find in finders.items():
        false = f"{false_at_once(find, *where):.2f}", f"{false_by_night(find, *where):.1f}"
        found = (str(steps(find, *where, step, ALIKE)) for step in (0.0, *STEPS))
        rows.append((*false, name, *found))
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def markdown(rows: Sequence[Row]) -> str:
    """Return a table as a page has it."""
    rule = ("--:",) * len(rows[0])
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])


def main() -> None:
    """Print all tables, and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--otava", metavar="PYTHON", help="a Python that has apache-otava")
    asked = parser.parse_args()
    finders: dict[str, Finder] = {"this suite": ours}
    with ExitStack() as stack:
        for name, level in LEVELS.items() if asked.otava else ():
            command = [asked.otava, "-c", OTAVA, str(level)]
            process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
            stack.callback(process.communicate)
            finders[name] = otava(process)
        usual = dict(list(finders.items())[:2])
        found = []
        for table in (
            lambda: false_ones(usual),
            lambda: found_ones(usual),
            lambda: alike(finders),
            creeping.table,
        ):
            rows = table()
            print("\n".join(align(rows, left=(2,))), end="\n\n", flush=True)
            found.append(markdown(rows))
    if not asked.otava:
        return  # the page has both
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    written = "\n".join(found)
    PAGE.write_text(f"{before}{BEGIN}\n{written}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
