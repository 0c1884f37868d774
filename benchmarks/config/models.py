"""The models of a session: one or several, and what test ids say of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


OF_ONE = ("--revision", "--reference")  # each is about a single model


def named(
    text: str | None, options: Mapping[str, str | None] | None = None
) -> tuple[str | None, ...]:
    """Return the models that --model names, each once; a single None if it names none.

    A folder may have a comma in its name. `options` are the texts of those OF_ONE model. Raises
    InputError for a text without a name, and for several models with such an option.
    """
    if text is None:
        return (None,)
    folder = os.path.expanduser(text)  # noqa: PTH111 (pathlib's raises for ~nobody)
    names = [text] if os.path.isdir(folder) else text.split(",")  # noqa: PTH112 (for long names)
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not found:
        raise InputError("--model: expected a name, got an empty one; leave the option out")
    for option, value in (options or {}).items():
        if value is not None:
            check_one(found, f"{option} is about one: measure that in a session of its own")
    return found


def ids(models: Sequence[str | None]) -> list[str]:
    """Return what a test id says of each of several models.

    That is the last part of its name, or all of it if another one ends alike. Names of folders
    are made of ids, so neither `/` nor `:` is in one.
    """
    names = [name for name in models if name]
    short = [name.rstrip("/").rpartition("/")[2] for name in names]
    unique = [
        last if short.count(last) == 1 else name for last, name in zip(short, names, strict=True)
    ]
    return [each.strip("/").replace("/", "-").replace(":", "-") for each in unique]


def check_one(models: Sequence[str | None], why: str) -> None:
    """Raise InputError if there are several, and say why that can't be."""
    if len(models) > 1:
        raise InputError(f"--model: expected one model, got {len(models)}; {why}")
