"""The options of a session that `ci` hands on, and those of them that a duet takes as well."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, NoReturn

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.config.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.sessions.session import Session


def words(text: str) -> list[str]:
    """Split --options as a shell does. Raises InputError if a shell would ask for more."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"--options: expected words as in a shell, got {text!r} ({error}); close the quotes"
        ) from error


NOT_FOLLOWED = {  # what a session may be given, but not by `ci`, which would go on without it
    "--summary": "give it to ci itself, whose duet adds to it",
    "--benchmark-compare": "ci judges, and chooses its duet, by promoted baselines: promote it",
}


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"--options: {message}; see python -m pytest benchmarks --help")


def shared(options: list[str]) -> dict[str, str]:
    """Return those of the options that a duet takes as well; the others are pytest's alone.

    Raises InputError for options without their value, and for those that `ci` can't follow.
    """
    parser = _Options(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for option in OPTIONS:
        if option.name not in measuring.NOT_OURS:
            parser.add_argument(option.name, dest=option.name)
    for name in NOT_FOLLOWED:
        parser.add_argument(name, dest=name, nargs="?")
    found = vars(parser.parse_known_args(options)[0])
    for name, step in NOT_FOLLOWED.items():
        if value := found.pop(name, None):
            raise InputError(f"--options: expected no {name}, got {name}={value}; {step}")
    return found


def workload(session: Session, shared: Mapping[str, str]) -> list[str]:
    """Return the options of a duet that measures what the session did, and not its own default."""
    lengths = [int(each.workload.get("new_tokens") or 0) for each in session.measured.values()]
    longest = max(lengths, default=0)  # throughput's: a profile has a single token
    given = {"--new-tokens": str(longest), **shared} if longest else shared
    return [f"{name}={value}" for name, value in given.items()]
