"""Lines for whoever waits: kept ones, and on a terminal one that changes in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ERASE_LINE = "\r\x1b[2K"


class Progress:
    """Writes past pytest's capture to its terminal; says nothing under -q."""

    def __init__(self, config: Any) -> None:
        plugins = config.pluginmanager
        quiet = config.get_verbosity() < 0
        self._terminal = None if quiet else plugins.get_plugin("terminalreporter")
        self._capture = plugins.get_plugin("capturemanager")
        self._shown = False
        self.taken_over = False

    def take_over(self) -> None:
        """Write lines instead of pytest's file names and dots, unless -v asks for its own lines."""
        if self._terminal and self._terminal.verbosity == 0:
            self._terminal.showfspath = False
            self.taken_over = True

    def say(self, line: str) -> None:
        """Write a line that stays."""
        with self._writing() as terminal:
            if terminal:
                terminal.write_line(line)

    def show(self, line: str) -> None:
        """Show what is going on, until the next line; only on a terminal that can erase it."""
        with self._writing() as terminal:
            if terminal and terminal.isatty:
                terminal.write(line[: terminal._tw.fullwidth - 1], flush=True)
                self._shown = True

    def clear(self) -> None:
        """Take away what is shown."""
        with self._writing():
            pass

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        if self._terminal is None:
            yield None
            return
        with self._capture.global_and_fixture_disabled():
            if self._shown:
                self._terminal.write(ERASE_LINE, flush=True)
                self._shown = False
            else:
                self._terminal.ensure_newline()
            yield self._terminal
