"""What the commands that measure have in common: options of the workload, and what it may cost."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from math import inf
from pathlib import Path
from types import FrameType

from benchmarks.common.errors import InputError
from benchmarks.config.options import OPTIONS
from benchmarks.config.settings import build_settings, count, positive
from benchmarks.duet.duet import Budget
from benchmarks.duet.restart import Conditions
from benchmarks.duet.schedule import SIDES, Take
from benchmarks.machine import clock

# A duet needs many restarts rather than long ones: what a process is lucky with differs more
# between two of them than rounds differ within one.
DEFAULTS = {"new_tokens": "32", "rounds": "10", "warmup_rounds": "1"}
NOT_OURS = (
    "--artifacts",
    "--script-table",
    "--again-within",
    "--gate",
    "--summary",
    "--report",
    "--work-only",  # a duet has --work
)
RESTARTS = 12
# Ctrl-C; a stop from outside; a terminal that is gone. Not all systems have all of them.
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
DEAF_S = 15  # after the first of them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the workload, as pytest has them, and those of the budget."""
    workload = parser.add_argument_group("workload")
    for option in OPTIONS:
        if option.name in NOT_OURS:
            continue
        default = DEFAULTS.get(option.dest, option.default)
        says = f"{option.help}; here: {default}" if option.dest in DEFAULTS else option.help
        workload.add_argument(
            option.name, default=default, metavar=option.metavar, help=says.replace("%", "%%")
        )
    budget = parser.add_argument_group("budget")
    budget.add_argument(
        "--max-restarts",
        default=str(RESTARTS),
        metavar="N",
        help=f"pairs of fresh processes, each with --rounds pairs of rounds (default: {RESTARTS}); "
        "fewer where a verdict is had before",
    )
    budget.add_argument(
        "--max-minutes", default="60", metavar="M", help="time for all restarts (default: 60)"
    )
    budget.add_argument(
        "--alpha", default="0.05", help="probability of a false alarm (default: 0.05)"
    )
    budget.add_argument(
        "--seed",
        default=str(random.SystemRandom().getrandbits(32)),
        metavar="N",
        help="of the order of the rounds (default: random)",
    )
    budget.add_argument(
        "--answer-within",
        default="600",
        metavar="SECONDS",
        help="a worker that says nothing for so long is ended (default: 600; ten times as much "
        "while it loads)",
    )
    budget.add_argument(
        "--alternate",
        action="store_true",
        help="one process at a time, A B B A, as is done where two models don't fit in memory",
    )
    budget.add_argument(
        "--times-only",
        action="store_true",
        help="leave out what one restart gathers beside: counters, profiles, logits",
    )
    budget.add_argument(
        "--out",
        metavar="DIR",
        help="folder for sessions and logs (default: .benchmarks/duets/ and the time)",
    )
    parser.add_argument("--inject", metavar="SIDE=SHARE", help=argparse.SUPPRESS)


def conditions(arguments: argparse.Namespace) -> Conditions:
    """Return what both sides do. Raises InputError for an option that can't be used."""
    options = {option.dest: getattr(arguments, option.dest, option.default) for option in OPTIONS}
    return Conditions(
        settings=build_settings(options.get, os.environ),
        options=options,
        takes=_takes(arguments.inject),
        variables=dict(os.environ),
        answer_within_s=positive("--answer-within", arguments.answer_within),
        alternate=arguments.alternate,
        evidence=not arguments.times_only,
        work=getattr(arguments, "work", False),
    )


def budget(arguments: argparse.Namespace, pairs: int) -> Budget:
    """Return what it may cost. Raises InputError for an option that can't be used."""
    alpha = positive("--alpha", arguments.alpha)
    if alpha >= 1:
        raise InputError(f"--alpha: expected a probability below 1; got {arguments.alpha!r}")
    return Budget(
        restarts=count("--max-restarts", arguments.max_restarts),
        pairs=pairs,
        minutes=positive("--max-minutes", arguments.max_minutes),
        alpha=alpha,
        seed=count("--seed", arguments.seed, minimum=0),
    )


def out_folder(arguments: argparse.Namespace, kind: str) -> Path:
    """Return the folder for results, which is new or empty. Raises InputError otherwise.

    It is made when something is written into it: nothing is left where nothing was measured.
    """
    folder = Path(arguments.out or Path(".benchmarks") / kind / own_name())
    try:
        used = folder.exists() and any(folder.iterdir())
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        why = None if there.is_dir() and os.access(there, os.W_OK) else f"{there} is none"
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise InputError(f"--out: expected a folder that can be written, got {folder} ({why})")
    if used:
        raise InputError(f"--out: expected a new or an empty folder; {folder} has files in it")
    return folder


def own_name() -> str:
    """Return a name for a folder of results: the time, and the process, since two start at once."""
    return f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}"


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP interrupt what is inside, and none of them again for a while.

    A terminal that is closed sends two, and impatient fingers do: the second would disturb how
    workers are ended and what is half-made is removed. What is ignored, as nohup(1) has it, stays
    so.
    """
    heard_at = -inf

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (Python's signature)
        nonlocal heard_at
        if clock.read() - heard_at > DEAF_S:
            heard_at = clock.read()
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in numbers}
    try:
        for each, was in before.items():
            if was is not signal.SIG_IGN:
                signal.signal(each, interrupt)
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was or signal.SIG_DFL)  # None: not Python's own


def say(line: str) -> None:
    """Print a line at once. Where nobody listens any more, what is in files still counts."""
    with suppress(OSError):
        print(line, flush=True)


def complain(line: str) -> None:
    """Print a line to standard error, as `say` does."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _takes(inject: str | None) -> tuple[Take, ...]:
    side, _, share = (inject or "").partition("=")
    if inject and side not in SIDES:
        raise InputError(f"--inject: expected base=SHARE or head=SHARE; got {inject!r}")
    slowdown = positive("--inject", share) if inject else 0.0
    return tuple(Take(each, slowdown if each == side else 0.0) for each in SIDES)
