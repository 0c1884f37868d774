"""Files that come to their place whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager, nullcontext
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import uuid4

from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


def given(text: str) -> Path:
    """Return the path that a user gave, with ~ as a shell has it, which leaves it in --out=~/x.

    Raises InputError if there is none.
    """
    if not text.strip():
        raise InputError("expected a path, got an empty one")
    path = os.path.expanduser(text)  # noqa: PTH111 (pathlib's raises for ~nobody)
    if path.partition("/")[0] == "~":
        raise InputError(f"expected a path, got {text}, and no home is known; set HOME")
    return Path(path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of this one once all is written."""
    partial = path.with_name(f".{uuid4().hex}.partial")  # short, however long the other name is
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole(out: Path, what: str) -> Iterator[TextIO]:
    """Give a file to write `out` into, which takes its place once all is written.

    Half a character, as of a path in another encoding, becomes a question mark. What is no
    regular file, such as /dev/stdout, is written as it is. Raises InputError, which calls it
    `what`, if it can't be written.
    """
    try:
        path = _real(out)
        direct = path.exists() and not path.is_file()
        with (
            nullcontext(path) if direct else beside(path) as partial,
            partial.open("w", encoding="utf-8", errors="replace", newline="") as file,
        ):
            yield file
    except OSError as error:
        raise _unwritable(out, what, error) from error


def check(out: Path, what: str, *, in_place: bool = False) -> None:
    """Find out before hours of measuring whether `whole` can write there; missing folders are made.

    `in_place`: it is opened by another program, or added to. What is no regular file isn't opened:
    a pipe would wait. Raises InputError as `whole` does.
    """
    try:
        path = _real(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            return
        tried = path if in_place else path.with_name(f".{path.name[1:] or 0}")  # as long
        new = not tried.exists()
        with tried.open("ab"):
            pass
        if new:
            tried.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(out, what, error) from error


def append(path: Path, text: str, option: str) -> None:
    """Add text to a file. Raises InputError, which names the option, if it can't be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(
            f"{option} {path}: can't write it ({error.strerror}); check the folder"
        ) from error


def check_folder(folder: Path, option: str) -> None:
    """Make a folder. Raises InputError, which names the option, if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tried = folder / f".{uuid4().hex}.partial"
        tried.touch()
        tried.unlink()
    except OSError as error:
        raise InputError(
            f"{option}: expected a folder that can be written, got {folder} ({error.strerror}); "
            "choose another path"
        ) from error


def _real(path: Path) -> Path:
    """Return a path without links. One that goes in a circle fails when it is opened."""
    return Path(os.path.realpath(path))  # pathlib's raises what is no OSError


def _unwritable(out: Path, what: str, error: OSError) -> InputError:
    return InputError(f"{out}: can't write {what} ({error.strerror}); choose another path")


def is_disk_full(error: BaseException) -> bool:
    """Say whether a write failed for want of space; Rust's errors carry the text and no errno."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in full or "No space left on device" in str(error)


def write_json(path: Path, content: object) -> None:
    """Write JSON: all of it, or no file. Raises InputError if it can't."""
    try:
        with beside(path) as partial:
            partial.write_text(as_json(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"can't write {path}: {error.strerror}; free some space, or name another folder"
        ) from error


def as_json(content: object, **options: Any) -> str:
    """Return JSON that every parser reads: null in place of what is no number."""
    return json.dumps(of_numbers(content), allow_nan=False, **options)


def from_json(text: str) -> Any:
    """Return what JSON holds. Raises ValueError for NaN and infinity, however they are written.

    Python alone takes them, and no comparison with them is ever true.
    """
    return json.loads(text, parse_constant=_number, parse_float=_number)


def _number(text: str) -> float:
    if not isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no number")
    return value


def of_numbers(value: Any) -> Any:
    """Return JSON values with null in place of what is no number: NaN, or infinite."""
    if isinstance(value, dict):
        return {name: of_numbers(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [of_numbers(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
