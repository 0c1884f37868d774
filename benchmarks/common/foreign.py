"""What other libraries raise and nobody can foresee: in one line, and whole in a file."""

from __future__ import annotations

import traceback
from pathlib import Path

from benchmarks.common.errors import LibraryError
from benchmarks.common.text import first_line


class PlainError(RuntimeError):
    """An error that says the same as another, without its frames: those may hold tensors."""

    def __init__(self, error: Exception) -> None:
        """Keep the text of an error, and that of its traceback."""
        super().__init__(f"{type(error).__name__}: {str(error).strip()}")
        self.line = as_line(error)
        self.add_note("".join(traceback.format_exception(error)))


def as_line(error: BaseException) -> str | None:
    """Return what a library raised, with its name and the last frame in it; None if none did."""
    if isinstance(error, PlainError):
        return error.line
    frames = traceback.extract_tb(error.__traceback__)
    last = next((each for each in reversed(frames) if "site-packages" in each.filename), None)
    if last is None or not isinstance(error, Exception):
        return None
    inside = Path(last.filename.rpartition("site-packages")[2].lstrip("/\\"))
    return (
        f"{inside.parts[0]}: {type(error).__name__}: {first_line(error)} ({inside}:{last.lineno}, "
        f"in {last.name})"
    )


def wrapped(what: str, error: Exception) -> LibraryError:
    """Return an error that says what a library couldn't do, and what it raised."""
    line = as_line(error) or f"{type(error).__name__}: {first_line(error)}"
    found = LibraryError(f"{what}: {line}")
    found.__cause__ = error
    return found


def keep(error: BaseException, file: Path) -> str:
    """Write an error's traceback, and return the words that say where it is."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as refused:
        return f"its traceback can't be written: {refused}"
    return f"its traceback is in {file}"
