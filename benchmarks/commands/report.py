"""`python -m benchmarks report`: one page, and a CSV file, of saved sessions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.page import intake, render

if TYPE_CHECKING:
    import argparse

STORAGE = ".benchmarks"  # pytest-benchmark's default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        default=[Path(STORAGE)],
        metavar="PATH",
        help=f"saved sessions, or folders of them (default: {STORAGE}); the newest is shown whole",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page to write")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every metric and round as CSV"
    )
    parser.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        help="the folder that the session's profiles are in",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for, and say where it is and what was left out."""
    found = intake.gather(arguments.paths)
    render.write(arguments.out, found, arguments.artifacts)
    return 0
