"""Files that come to their place whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager, nullcontext
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of this one once all is written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
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
    path = out.resolve()
    direct = path.exists() and not path.is_file()
    try:
        with (
            nullcontext(path) if direct else beside(path) as partial,
            partial.open("w", encoding="utf-8", errors="replace", newline="") as file,
        ):
            yield file
    except OSError as error:
        raise InputError(
            f"{out}: can't write {what} ({error.strerror}); choose another path"
        ) from error


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
