"""The parent's end of a worker: start it, ask it, and end it, whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import errors, process
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.text import telling
from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

LOG_LINES = 3  # of a worker's log that its end is explained with
STOP_S = 10  # that a worker may take to end when it is asked to
ENDED_WITHIN_S = 10  # after its pipe closed, which happens just before it ends
CHUNK = 1 << 16


class LostError(HarnessError):
    """A worker died, hung, failed or answered nonsense; the restart that it was part of is lost."""


class Partner:
    """One worker. As a context manager it ends the worker, and all that it started.

    No answer is waited for beyond `deadline`, in the seconds of `clock.read`. `command` gets
    the numbers of two pipes, `--requests` and `--answers`, and its `--parent`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        log: Path,
        say: Callable[[str], None] = lambda _: None,
        *,
        deadline: float = inf,
    ) -> None:
        """Start it; what it prints goes to `log`, and what it says meanwhile to `say`."""
        self.name = name
        self.log = log
        self._say = say
        self._deadline = deadline
        self._buffer = b""
        self._given_up = False
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        try:
            self._process = self._start(command, variables, theirs_in, theirs_out)
        except BaseException as error:  # an interrupt as well: the end of the pipe ends the worker
            self._close()
            if not isinstance(error, OSError):
                raise
            raise InputError(
                f"{name}: can't start {command[0]} with the log {log}: {error.strerror}; check both"
            ) from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def _start(
        self, command: Sequence[str], variables: Mapping[str, str], requests: int, answers: int
    ) -> subprocess.Popen[bytes]:
        pipes = ["--requests", str(requests), "--answers", str(answers)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            return subprocess.Popen(  # noqa: S603 (this project's own worker)
                [*command, *pipes, "--parent", str(os.getpid())],
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(requests, answers),
                start_new_session=True,  # a group of its own: Ctrl-C is the parent's to handle
            )

    def __enter__(self) -> Partner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it end by itself if all went well; then end whatever is left."""
        try:
            if error is None and not self._given_up:
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    os.write(self._requests, b'{"do": "stop"}\n')
                    self._process.wait(STOP_S)
        finally:
            process.kill_group(self._process)
            self._close()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, do: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        self.send(do, **arguments)
        return self.answer(do, timeout_s)

    def send(self, do: str, **arguments: Any) -> None:
        """Make a request, without waiting for its answer. Raises LostError if it is dead."""
        try:
            os.write(self._requests, (json.dumps({"do": do, **arguments}) + "\n").encode())
        except BrokenPipeError:
            raise self._lost(self._ending(), do) from None

    def answer(self, do: str, timeout_s: float) -> dict[str, Any]:
        """Wait for the answer to the request that was made last; each line heard starts anew.

        Raises the worker's own error if that is one of the suite's, and LostError if it
        dies, says nothing for `timeout_s`, or answers nonsense.
        """
        while True:
            line = self._line(do, timeout_s)
            try:
                found = dict(json.loads(line))
            except (ValueError, TypeError):
                found = {}
            if "said" in found:
                self._say(f"{self.name}: {found['said']}")
            elif "failed" in found:
                raise self._failure(str(found["failed"]), str(found.get("message")), do)
            elif found.get("done") == do:
                return found
            else:
                raise self._lost(f"answered {line[:60]!r}", do)

    def _line(self, do: str, timeout_s: float) -> str:
        """Return the next line of its answers."""
        end = min(clock.read() + timeout_s, self._deadline)
        while b"\n" not in self._buffer:
            if not clock.wait(self._answers, max(0, end - clock.read())):
                late = end == self._deadline
                says = "was not done when --max-minutes were over"
                raise self._lost(says if late else f"said nothing for {timeout_s:g} s", do)
            chunk = os.read(self._answers, CHUNK)
            if not chunk:
                raise self._lost(self._ending(), do)
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def _failure(self, kind: str, message: str, do: str) -> HarnessError:
        """Return the error that the worker raised; one that isn't known loses the restart."""
        known = getattr(errors, kind, None)
        if isinstance(known, type) and issubclass(known, HarnessError):
            return known(f"{self.name}: {message.partition(chr(10))[0]}; its log: {self.log}")
        return self._lost(f"failed: {kind}: {message.partition(chr(10))[0]}", do)

    def _ending(self) -> str:
        try:
            status = self._process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if status == -9:
            return "was killed (SIGKILL); if nobody did, memory ran out"
        return f"died by signal {-status}" if status < 0 else f"ended with status {status}"

    def _lost(self, what: str, do: str) -> LostError:
        self._given_up = True
        last = " | ".join(telling(self._text())[-LOG_LINES:]) or "its log says nothing"
        return LostError(f"{self.name}: the worker {what}, asked to {do}; {last} ({self.log})")

    def _text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-CHUNK:]
        except OSError:
            return ""

    def _close(self) -> None:
        for descriptor in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                os.close(descriptor)
