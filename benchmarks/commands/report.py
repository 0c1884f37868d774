"""`python -m benchmarks report`: saved sessions as one page, and in formats of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.commands.arguments import add_sessions, epilog, given_path
from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.text import count
from benchmarks.export import formats
from benchmarks.page import intake, render
from benchmarks.sessions import measures

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


EXAMPLES = """
report --out report.html
report .benchmarks --out report.html --csv report.csv
report --export otava otava.yaml --export openmetrics sessions.txt
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
        "--export",
        nargs=2,
        action="append",
        default=[],
        metavar=("FORMAT", "FILE"),
        help=f"write the sessions for another tool into this file: {', '.join(formats.FORMATS)}; "
        "may be given several times (default: none)",
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
    exports = _exports(arguments)
    if not arguments.out and not exports:
        raise InputError("expected --out report.html, --csv FILE, --export FORMAT FILE; got none")
    artifacts = arguments.artifacts
    if artifacts and not artifacts.is_dir():
        raise InputError(
            f"--artifacts {artifacts}: expected the folder that pytest --artifacts wrote, got none"
        )
    for name, file in exports:
        formats.check(name, file)
    if arguments.out:
        render.check(arguments.out)
    found = intake.gather(arguments.paths)
    for line in found.left_out:
        print(f"not shown: {line}")
    for name, file in exports:
        formats.write(name, file, found.sessions)
        print(f"{'CSV' if name == 'csv' else name}: {file}")
    doubted = sum(map(measures.has_untrusted, found.sessions))
    if doubted and any(name != "csv" for name, _ in exports):
        print(
            f"not exported: times of {count(doubted, 'session')} during which the machine couldn't "
            "be trusted; csv has them, marked"
        )
    if arguments.out:
        render.write(arguments.out, found, artifacts)
        print(f"report: {arguments.out}")
    return ExitStatus.FINE


def _exports(arguments: argparse.Namespace) -> list[tuple[str, Path]]:
    """Return formats and files; --csv FILE is short for --export csv FILE."""
    exports = [(name, files.given(file)) for name, file in arguments.export]
    if arguments.csv:
        exports.insert(0, ("csv", arguments.csv))
    return exports
