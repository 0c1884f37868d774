"""What the commands that measure have in common: options of the workload, and what it may cost."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from benchmarks.commands.arguments import given_path
from benchmarks.common.errors import InputError
from benchmarks.common.text import wrapped
from benchmarks.config import models
from benchmarks.config.options import DTYPE, OPTIONS, TENSOR
from benchmarks.config.settings import build_settings
from benchmarks.config.values import count, positive
from benchmarks.duet.restart import Conditions
from benchmarks.duet.schedule import SIDES, Budget, Take
from benchmarks.environments.overlay import Overlays
from benchmarks.verdicts.estimate import ENOUGH

# A duet needs many restarts rather than long ones: what a process is lucky with differs more
# between two of them than rounds differ within one. A side may be an older copy of the suite, which
# wants a dtype.
DEFAULTS = {"new_tokens": "32", "rounds": "10", "warmup_rounds": "1", "dtype": DTYPE}
NOT_OURS = (
    "--artifacts",
    "--again-within",
    "--columns",
    "--gate",
    "--memory-snapshot",
    "--nvtx",
    "--summary",
    "--replicas",
    "--report",
    "--work-only",  # a duet has --work
)
ONE_MODEL = "a duet compares environments on one: call it once for each"
ONE_PROCESS = "a side of a duet is one process, so run a session with it again instead"
RESTARTS = 12
WORK_RESTARTS = ENOUGH  # of work, whose noise is small


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the workload, as pytest has them, and those of the budget."""
    workload = parser.add_argument_group("workload")
    for option in OPTIONS:
        if option.name in NOT_OURS:
            continue
        default = DEFAULTS.get(option.dest, option.default)
        says = option.help.replace(f"default: {option.default}", f"default: {default}")
        workload.add_argument(
            option.name, default=default, metavar=option.metavar, help=says.replace("%", "%%")
        )
    _add_budget(parser.add_argument_group("budget"))


def _add_budget(budget: argparse._ArgumentGroup) -> None:
    budget.add_argument(
        "--max-restarts",
        metavar="N",
        help="pairs of new processes, each with --rounds pairs of rounds; fewer if they decide "
        f"(default: {RESTARTS}, of work alone {WORK_RESTARTS})",
    )
    budget.add_argument(
        "--max-minutes", default="60", metavar="M", help="minutes for all restarts (default: 60)"
    )
    budget.add_argument(
        "--alpha",
        default="0.05",
        metavar="P",
        help="probability of a false alarm among all wall times, and among all device times "
        "(default: 0.05)",
    )
    budget.add_argument(
        "--seed",
        default=str(random.SystemRandom().getrandbits(32)),
        metavar="N",
        help="number that decides who goes first in each pair (default: random)",
    )
    budget.add_argument(
        "--times-only",
        action="store_true",
        help="measure wall times alone; without it one restart also gathers counters, profiles "
        "and logits",
    )
    budget.add_argument(
        "--out",
        type=given_path,
        metavar="DIR",
        help="folder for sessions and logs (default: a new one below .benchmarks/)",
    )


def conditions(arguments: argparse.Namespace) -> Conditions:
    """Return what both sides do. Raises InputError for an option that can't be used."""
    options = {option.dest: getattr(arguments, option.dest, option.default) for option in OPTIONS}
    settings = build_settings(options.get, os.environ)
    models.check_one(settings.models, ONE_MODEL)
    if settings.device_map == TENSOR:
        raise InputError(f"--device-map {TENSOR}: expected another one; {ONE_PROCESS}")
    asked = Conditions(
        settings=settings,
        options=options,
        takes=tuple(map(Take, SIDES)),
        variables=dict(os.environ),
        evidence=not arguments.times_only,
        work=getattr(arguments, "work", False),
    ).with_own_quantization()
    asked.check()
    return asked


def budget(arguments: argparse.Namespace, pairs: int) -> Budget:
    """Return what it may cost. Raises InputError for an option that can't be used."""
    alpha = positive("--alpha", arguments.alpha)
    if alpha >= 1:
        raise InputError(f"--alpha: expected a probability below 1; got {arguments.alpha!r}")
    asked = arguments.max_restarts
    if asked is None:
        asked = str(WORK_RESTARTS if getattr(arguments, "work", False) else RESTARTS)
    return Budget(
        restarts=count("--max-restarts", asked),
        pairs=pairs,
        minutes=positive("--max-minutes", arguments.max_minutes),
        alpha=alpha,
        seed=count("--seed", arguments.seed, minimum=0),
    )


def overlays(conditions: Conditions) -> Overlays:
    """Return what builds the environments of both sides."""
    return Overlays(conditions.settings.cache_dir, conditions.variables, say)


def out_folder(arguments: argparse.Namespace, kind: str) -> Path:
    """Return the folder for results, which is new or empty. Raises InputError otherwise.

    It is made when something is written into it: nothing is left if nothing was measured.
    """
    folder: Path = arguments.out or Path(".benchmarks") / kind / own_name()
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


def say(line: str) -> None:
    """Print a line at once. If nobody listens any more, what is in files still counts."""
    with suppress(OSError):
        print(line, flush=True)


def say_folded(text: str) -> None:
    """Say a text in lines that fit; one with a command in it would be cut in two."""
    for line in wrapped(text):
        say(line)


def pulse(part: str) -> None:
    """Print a part of a line at once: a sign of life while a line isn't done."""
    with suppress(OSError):
        print(part, end="", flush=True)


def complain(line: str) -> None:
    """Print a line to standard error, as `say` does."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def call_module(
    *module: str, said: list[str] | None = None, variables: Mapping[str, str] | None = None
) -> int:
    """Run a module of Python as a user would, in sight, and return its exit status.

    With `said`, what it prints is kept there as well. `variables`: what its environment has beside
    this one's.
    """
    print(f"$ python -m {shlex.join(module)}", flush=True)
    command = [sys.executable, "-m", *module]
    output = None if said is None else subprocess.PIPE
    around = {**os.environ, **(variables or {})}
    with subprocess.Popen(command, stdout=output, text=True, env=around) as process:  # noqa: S603
        try:
            return follow(process, said)
        except KeyboardInterrupt:
            # A terminal's Ctrl-C reaches it as well. If that is ignored, it ignores it, too.
            deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            process.send_signal(signal.SIGTERM if deaf else signal.SIGINT)
            try:
                follow(process, said)  # it saves what it has
            finally:
                process.kill()  # after a second interrupt; else it has ended
            raise


def follow(process: subprocess.Popen[str], said: list[str] | None) -> int:
    """Print what a process prints, keep its lines in `said`, and return its exit status."""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if said is not None:
            said.append(line.rstrip())
    return process.wait()
