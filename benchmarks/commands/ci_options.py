"""The options of a session that `ci` hands on, and those of them that a duet takes as well."""

from __future__ import annotations

import argparse
import shlex
from typing import NoReturn

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.config.options import OPTIONS


def words(text: str) -> list[str]:
    """Split --options as a shell does. Raises InputError if a shell would ask for more."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"--options: expected words as in a shell, got {text!r} ({error}); close the quotes"
        ) from error


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"--options: {message}; see python -m pytest benchmarks --help")


def shared(options: list[str]) -> dict[str, str]:
    """Return those of the options that a duet takes as well; the others are pytest's alone."""
    parser = _Options(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for option in OPTIONS:
        if option.name not in measuring.NOT_OURS:
            parser.add_argument(option.name, dest=option.name)
    found, _ = parser.parse_known_args(options)
    return vars(found)
