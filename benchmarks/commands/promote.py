"""`python -m benchmarks promote`: make stored sessions baselines, or take that back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.arguments import epilog, given_path, given_storage
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.sessions import baseline
from benchmarks.sessions.session import read_session
from benchmarks.sessions.storage import STORAGE
from benchmarks.verdicts import promotion

if TYPE_CHECKING:
    import argparse


EXAMPLES = """
promote --latest
promote --latest --force "slower on purpose: it checks its input now"
promote --latest --demote
"""
STATUSES = {
    ExitStatus.FINE: "all of them were promoted, or demoted",
    ExitStatus.FAILED: "one was refused; the line says why",
    ExitStatus.WRONG_INPUT: "wrong input; nothing was changed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which sessions, and what to do with those that would be refused."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    parser.add_argument(
        "files", nargs="*", type=given_path, metavar="FILE", help="saved sessions; or --latest"
    )
    parser.add_argument("--latest", action="store_true", help="take the newest saved session")
    parser.add_argument(
        "--force",
        metavar="REASON",
        help="promote a session that would be refused, and keep this reason in its file "
        "(default: refuse what regressed, or can't be trusted)",
    )
    parser.add_argument(
        "--demote", action="store_true", help="the sessions are no longer baselines"
    )
    parser.add_argument(
        "--storage",
        type=given_storage,
        default=STORAGE,
        metavar="DIR",
        help="where --latest looks (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Promote or demote each file; one line each, status 1 if one was refused.

    Raises InputError for a file that is no session, before any is changed.
    """
    paths = _paths(arguments)
    for path in paths:
        baseline.own(read_session(path))
    refused = [path for path in paths if not _apply(path, arguments)]
    return ExitStatus.FAILED if refused else ExitStatus.FINE


def _apply(path: Path, arguments: argparse.Namespace) -> bool:
    """Promote or demote one file, and say so; False if it was refused."""
    try:
        if arguments.demote:
            promotion.demote(path)
        else:
            promotion.promote(path, reason=arguments.force)
    except InputError as error:
        print(f"refused: {error}")
        return False
    print(f"{'demoted' if arguments.demote else 'promoted'}: {path}")
    return True


def _paths(arguments: argparse.Namespace) -> list[Path]:
    if arguments.demote and arguments.force is not None:
        raise InputError("--force: expected a promotion, got --demote; leave one of them out")
    if arguments.force is not None and not arguments.force.strip():
        raise InputError("--force: expected a reason, got an empty one; say why it is a baseline")
    if arguments.latest == bool(arguments.files):
        raise InputError(
            "expected either files or --latest; python -m benchmarks baselines list shows them"
        )
    if arguments.files:
        return list(arguments.files)
    found = baseline.stored(arguments.storage)
    for line in (*found.damaged, *found.ahead):
        print(line)
    own = [each for each in found.sessions if not each.duet]
    if not own:
        raise InputError(
            f"--latest: no session is stored below {arguments.storage}; "
            "measure one with pytest benchmarks --benchmark-save=NAME"
        )
    return [Path(own[-1].name)]
