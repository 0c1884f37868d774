"""`python -m benchmarks baselines`: list them, and share them on a git branch of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.arguments import given_path
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.sessions import baseline
from benchmarks.sessions.branch import Branch
from benchmarks.sessions.storage import STORAGE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

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

    Raises InputError if git can't, for several folders to pull into, and for none to look into.
    """
    folders: list[Path] = arguments.storage
    _check(folders, arguments.action)
    if arguments.action == "list":
        for found in map(baseline.stored, folders):
            listed = [
                each for each in found.sessions if not each.duet or baseline.is_baseline(each)
            ]
            for line in (*found.damaged, *map(_line, listed)):
                print(line)
            if sides := len(found.sessions) - len(listed):
                print(f"not listed: {sides} of duets")
        return ExitStatus.FINE
    branch = Branch(arguments.remote, arguments.branch, os.environ)
    move = branch.pull if arguments.action == "pull" else branch.push
    moved = [path for folder in folders for path in move(folder)]
    for path in moved:
        print(f"{arguments.action}ed: {path.name}")
    print(f"{arguments.action} {arguments.remote}/{arguments.branch}: {len(moved)} new or changed")
    return ExitStatus.FINE


def _check(folders: Sequence[Path], action: str) -> None:
    """Refuse to look where nothing can be. To push, a folder that isn't there is an empty one."""
    if action == "pull" and len(folders) > 1:
        raise InputError(f"--storage: expected one folder to pull into, got {len(folders)}")
    missing = [each for each in folders if not each.is_dir()]
    if (action == "list" and missing) or (action == "push" and len(missing) == len(folders)):
        raise InputError(
            f"--storage: expected a folder of saved sessions, got none at {missing[0]}; "
            "measure one with pytest benchmarks --benchmark-save=NAME, or correct the path"
        )


def _line(session: Session) -> str:
    """Return a session with what decides whether later ones are compared with it."""
    if baseline.is_baseline(session):
        forced = session.promoted["forced"]
        state = f"baseline (forced: {forced})" if forced else "baseline"
    else:
        state = "; ".join(baseline.objections(session)) or "not promoted"
    return f"{session.name}  {session.when[:16]}  {state}"
