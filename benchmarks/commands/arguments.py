"""What the arguments of several commands have in common: a type, and how a help text ends."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.sessions import storage
from benchmarks.verdicts import thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from benchmarks.verdicts.thresholds import Threshold

ALWAYS = {
    ExitStatus.INTERRUPTED: "interrupted",
    ExitStatus.ERROR: "an unexpected error, or output that was lost, as on a full disk",
}
OF_A_JUDGEMENT = {
    ExitStatus.FINE: "all was compared, and nothing got worse",
    ExitStatus.FAILED: "something got worse (REGRESSED)",
    ExitStatus.WRONG_INPUT: "wrong input; nothing was judged",
    ExitStatus.NOTHING_COMPARED: "not everything could be compared",
    ExitStatus.UNDECIDED: "undecided (INCONCLUSIVE), or suspicious",
    ExitStatus.INVALID: "the machine was too busy or too unsteady for its times to be judged",
}


def epilog(examples: str, statuses: Mapping[ExitStatus, str]) -> str:
    """Return the end of a help text: commands that run, and what the command may exit with."""
    means = sorted({**ALWAYS, **statuses}.items())
    return "\n".join(
        [
            "examples:",
            *(f"  python -m benchmarks {each}" for each in examples.strip().splitlines()),
            "",
            "exit status:",
            *(f"  {status:<2}  {says}" for status, says in means),
        ]
    )


THRESHOLDS = (
    "a file of limits for benchmarks and metrics that the usual ones don't fit "
    "(default: benchmarks/thresholds.toml, as for --gate)"
)


def own_thresholds(file: Path | None) -> tuple[Threshold, ...]:
    """Return the limits of a file that was given, or of the suite's own. Raises InputError."""
    if file is not None and not file.exists():
        raise InputError(f"--thresholds: expected a file, got {file}; correct its name")
    return thresholds.read(file or thresholds.FILE)


def given_path(text: str) -> Path:
    """Return a path, with ~ as a shell has it; an argument parser names a text that is none."""
    return _given(text, files.given)


def given_storage(text: str) -> Path:
    """Return a folder of sessions, which pytest's --benchmark-storage would take as well."""
    return _given(text, storage.folder_of)


def add_sessions(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the sessions that a command reads; `more`: what it makes of them."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=given_path,
        default=[storage.STORAGE],
        metavar="PATH",
        help=f"saved sessions, or folders of them{more} (default: {storage.STORAGE})",
    )


def _given(text: str, read: Callable[[str], Path]) -> Path:
    try:
        return read(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
