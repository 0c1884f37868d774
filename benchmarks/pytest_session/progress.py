"""Lines for whoever waits: kept ones, and on a terminal one that changes in place."""

from __future__ import annotations

import re
import shutil
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
        self._phase = ""
        self.taken_over = False

    def take_over(self) -> None:
        """Write lines instead of pytest's file names and dots, unless -v asks for its own lines."""
        if self._terminal and self._terminal.verbosity == 0:
            self._terminal.showfspath = False
            self.taken_over = True

    def status_of(self, report: Any) -> tuple[str, str, str] | None:
        """Return category, letter and word of a report, no dots; None if these are pytest's own."""
        if not self.taken_over or report.outcome not in ("passed", "failed"):
            return None
        if report.when != "call" and report.passed:
            return "", "", ""
        category = "error" if report.failed and report.when != "call" else report.outcome
        return category, "", category.upper()

    def say(self, line: str) -> None:
        """Write a line that stays."""
        with self._writing() as terminal:
            if terminal:
                terminal.write_line(line)

    def show(self, line: str) -> None:
        """Show what is going on, until the next line; in a log, the first line of each phase."""
        if self._terminal and not self._terminal.isatty:
            phase = re.sub(r"\d+( of \d+)?$", "...", line)
            if phase != self._phase:
                self._phase = phase
                self.say(phase)
            return
        with self._writing() as terminal:
            if terminal:
                terminal.write(line[: shutil.get_terminal_size().columns - 1], flush=True)
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
