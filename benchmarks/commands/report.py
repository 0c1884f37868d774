"""`python -m benchmarks report`: one page, and a CSV file, of saved sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.commands.arguments import add_sessions, epilog, given_path
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.page import csv_file, intake, render

if TYPE_CHECKING:
    import argparse


EXAMPLES = """
report --out report.html
report .benchmarks --out report.html --csv report.csv
"""
STATUSES = {
    ExitStatus.FINE: "all was written",
    ExitStatus.WRONG_INPUT: "wrong input, or a file that can't be written",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    add_sessions(parser, "; the page shows the newest one whole, and the others as its history")
    parser.add_argument(
        "--out", type=given_path, metavar="FILE", help="write the page into this file"
    )
    parser.add_argument(
        "--csv", type=given_path, metavar="FILE", help="write every metric and round into this file"
    )
    parser.add_argument(
        "--artifacts",
        type=given_path,
        metavar="DIR",
        help="draw the flame graphs of the newest session from this folder, which its "
        "--artifacts wrote (default: no flame graphs)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for, and say where it is and what was left out."""
    if not arguments.out and not arguments.csv:
        raise InputError("expected --out report.html, --csv FILE, or both; got neither")
    artifacts = arguments.artifacts
    if artifacts and not artifacts.is_dir():
        raise InputError(
            f"--artifacts {artifacts}: expected the folder that pytest --artifacts wrote, got none"
        )
    if arguments.csv:
        csv_file.check(arguments.csv)
    if arguments.out:
        render.check(arguments.out)
    found = intake.gather(arguments.paths)
    for line in found.left_out:
        print(f"not shown: {line}")
    if arguments.csv:
        csv_file.write(arguments.csv, found.sessions)
        print(f"CSV: {arguments.csv}")
    if arguments.out:
        render.write(arguments.out, found, artifacts)
        print(f"report: {arguments.out}")
    return ExitStatus.FINE
