"""Output that may come to an end, as before `head` or on a full disk: work goes on without."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = ("stdout", "stderr")


def width() -> int:
    """Return how many columns a line may have: those of the terminal, or as many as a log gets."""
    return shutil.get_terminal_size(fallback=(COLUMNS, 24)).columns


class Lasting:
    """A stream that drops what can't be written any more, instead of raising.

    `lost` says why, unless its reader went away.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a µ becomes a ? where no µ is known
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all other ways."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Write what Python kept until now, or drop it: at the exit it would fail once more."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.lost = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def lasting() -> Iterator[None]:
    """For a command: let what is printed inside last. Raises OSError at the end if it was lost."""
    before = {name: getattr(sys, name) for name in STREAMS}
    streams = {name: Lasting(stream) for name, stream in before.items() if stream is not None}
    vars(sys).update(streams)
    try:
        yield
    finally:
        vars(sys).update(before)
        for stream in streams.values():
            stream.flush()
        for stream in streams.values():
            if stream.lost:
                raise stream.lost


def last() -> list[Lasting]:
    """For a session of pytest, whose terminal comes later: let this process's own streams last."""
    streams = []
    for name in STREAMS:
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            streams.append(Lasting(stream))
            setattr(sys, name, streams[-1])
    return streams
