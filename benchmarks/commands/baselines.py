"""`python -m benchmarks baselines`: list them, and share them on a git branch of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.arguments import given_path
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.report import stored_table
from benchmarks.report.stored_table import Row
from benchmarks.sessions import baseline
from benchmarks.sessions.branch import Branch
from benchmarks.sessions.storage import STORAGE
from benchmarks.verdicts import promotion

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from benchmarks.sessions.session import Session

BRANCH = "benchmark-baselines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, and with which branch."""
    parser.add_argument(
        "action",
        choices=("list", "pull", "push"),
        help="list the stored sessions; pull those of the branch; push the baselines to it",
    )
    parser.add_argument(
        "--storage",
        type=given_path,
        nargs="+",
        default=[STORAGE],
        metavar="DIR",
        help=f"where the sessions are; several to list or push (default: {STORAGE})",
    )
    parser.add_argument("--remote", default="origin", help="git's name (default: %(default)s)")
    parser.add_argument("--branch", default=BRANCH, help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done with which file.

    Raises InputError if git can't, and for several folders to pull into.
    """
    folders: list[Path] = arguments.storage
    if arguments.action == "list":
        for line in (line for folder in folders for line in _listing(folder)):
            print(line)
        return ExitStatus.FINE
    if arguments.action == "pull" and len(folders) > 1:
        raise InputError(f"--storage: expected one folder to pull into, got {len(folders)}")
    branch = Branch(arguments.remote, arguments.branch, os.environ)
    move = branch.pull if arguments.action == "pull" else branch.push
    moved = [path for folder in folders for path in move(folder)]
    for path in moved:
        print(f"{arguments.action}ed: {path.name}")
    print(f"{arguments.action} {arguments.remote}/{arguments.branch}: {len(moved)} new or changed")
    return ExitStatus.FINE


def _listing(storage: Path) -> Iterator[str]:
    """Yield what is stored below a folder: a table for each folder in it, and what isn't listed."""
    found = baseline.stored(storage)
    for line in (*found.damaged, *found.ahead):
        yield from stored_table.wrapped(line)
    listed = [each for each in found.sessions if not each.duet or baseline.is_baseline(each)]
    if not found.sessions:
        yield f"no session is stored below {storage}"
    for folder in dict.fromkeys(Path(each.name).parent for each in listed):
        inside = [each for each in listed if Path(each.name).parent == folder]
        yield f"{folder}:"
        yield from stored_table.lines([_row(each, inside) for each in inside])
    if sides := len(found.sessions) - len(listed):
        yield f"not listed: {sides} of duets"


def _row(session: Session, known: Sequence[Session]) -> Row:
    """Return a session with what decides whether later ones are compared with it."""
    name = Path(session.name).name
    if baseline.is_baseline(session):
        forced = session.promoted["forced"]
        return Row(name, session, "baseline", f"forced: {forced}" if forced else "")
    # Judging takes longer than reading, and isn't needed if the file says enough.
    if found := baseline.objections(session) or promotion.judge(session, known).objections:
        return Row(name, session, "refused", "; ".join(found))
    return Row(name, session, "demoted" if session.saved.get("demoted") else "not promoted")
