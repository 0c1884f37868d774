"""What the text of an option means, or one line that says why it can't be used."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.quantity import IMPOSSIBLE
from benchmarks.machine.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Sequence


def bounds(text: str | None) -> Bounds:
    """Return the bounds with those of `name=value,...` moved; a name may be a pattern.

    Raises InputError, in one line, for any other text.
    """
    found, names = Bounds(), [each.name for each in fields(Bounds)]
    for part in split(text) or ([] if text is None else [text]):
        pattern, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"--bounds: expected NAME=NUMBER, as in trend_size=0.2; got {part!r}")
        moved = [name for name in names if fnmatchcase(name, pattern.strip())]
        if not moved:
            raise InputError(f"--bounds: expected one of {', '.join(names)}; got {pattern!r}")
        bound = number("--bounds", part, value)
        if bound == -math.inf:  # which JSON can't hold
            raise InputError(f"--bounds: expected a number, as in 0.1 or inf; got {part!r}")
        found = replace(found, **dict.fromkeys(moved, bound))
    return found


def positive(option: str, text: str) -> float:
    """Return a number above 0. Raises InputError, in one line, for any other text."""
    found = number(option, text, text)
    if not 0 < found < math.inf:
        raise InputError(f"{option}: expected a number above 0; got {text!r}")
    return found


def seconds(option: str, text: str | None) -> float:
    """Return seconds of at least 0. Raises InputError, in one line, for any other text."""
    found = number(option, text or "", text or "")
    if found < 0:
        raise InputError(f"{option}: expected seconds of at least 0; got {text!r}")
    return found


def number(option: str, quoted: str, text: str) -> float:
    """Return a number that JSON can hold, or inf. Raises InputError; it quotes `quoted`."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise InputError(f"{option}: expected a number, as in 0.1 or inf; got {quoted!r}")
    if IMPOSSIBLE <= abs(found) < math.inf:  # a file that holds it would be damaged
        raise InputError(f"{option}: expected less than {IMPOSSIBLE:g}, or inf; got {quoted!r}")
    return found


def optional_text(option: str, text: str | None) -> str | None:
    """Return the text as it is. Raises InputError if it is an empty one."""
    if text is not None and not text.strip():
        raise InputError(f"{option}: expected a name, got an empty one; leave the option out")
    return text


def optional_path(option: str, text: str | None) -> Path | None:
    """Return the path that a text names. Raises InputError if none can be made of it."""
    try:
        return None if text is None else files.given(text)
    except InputError as error:
        raise InputError(f"{option}: {error}; leave the option out") from error


def given(text: str | None, default: str) -> str:
    """Return the text, or what counts without one."""
    return default if text is None else text


def choice(option: str, text: str | None, allowed: Sequence[str]) -> str:
    """Return the text. Raises InputError if it isn't one of those that are allowed."""
    if text is None or text not in allowed:
        raise InputError(f"{option}: expected one of {', '.join(allowed)}; got {text!r}")
    return text


def optional_choice(option: str, text: str | None, allowed: Sequence[str]) -> str | None:
    """Return the text, if there is one. Raises InputError if it isn't one of the allowed."""
    return None if text is None else choice(option, text, allowed)


def choices(option: str, text: str | None, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return each of the names once. Raises InputError if there is none, or an unknown one."""
    names = split(text)
    if not names:
        raise InputError(f"{option}: expected one or more of {', '.join(allowed)}; got {text!r}")
    return tuple(dict.fromkeys(choice(option, name, allowed) for name in names))


def counts(option: str, text: str | None) -> tuple[int, ...]:
    """Return each of the whole numbers once. Raises InputError if there is none."""
    numbers = split(text)
    if not numbers:
        raise InputError(f"{option}: expected whole numbers of at least 1, as in 1,8; got {text!r}")
    return tuple(dict.fromkeys(count(option, number) for number in numbers))


def optional_count(option: str, text: str | None) -> int | None:
    """Return a whole number, if there is a text. Raises InputError for any other one."""
    return None if text is None else count(option, text)


def count(option: str, text: str | None, minimum: int = 1) -> int:
    """Return a whole number. Raises InputError, in one line, for any other text."""
    found = int(text) if text and text.isascii() and text.isdigit() and len(text) < 100 else None
    if found is None or found < minimum:
        shown = text if text is None or len(text) < 100 else f"{text[:20]}…"
        raise InputError(f"{option}: expected a whole number of at least {minimum}; got {shown!r}")
    return found


def split(text: str | None) -> list[str]:
    """Return the parts between commas that aren't empty."""
    return [part for part in (piece.strip() for piece in (text or "").split(",")) if part]
