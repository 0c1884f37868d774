"""What the arguments of several commands have in common: a type, and how a help text ends."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.sessions import storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

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
