"""Run another program to its end: its output is kept, and it never outlives its caller."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.errors import InputError
from benchmarks.common.text import telling

KILLED_WITHIN_S = 30
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it wrote to standard output and standard error."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """The lines that say something, the errors last, without their indentation."""
        return telling(f"{self.output}\n{self.errors}")

    @property
    def last_line(self) -> str:
        """The last of them."""
        return self.lines[-1] if self.lines else "it said nothing"


def run(
    command: Sequence[str],
    variables: Mapping[str, str],
    timeout_s: float,
    cwd: Path | None = None,
    late: str = "check the network",
) -> Done:
    """Run a program, and end it and all that it started when this is interrupted.

    If this process is killed the kernel ends the program (Linux). It has a group of its own, so
    that Ctrl-C reaches only this process, which then ends the group.
    Raises InputError if it can't be started, or takes longer than `timeout_s`; `late` is the
    next step then.
    """
    parent, libc = os.getpid(), ctypes.CDLL(None) if sys.platform == "linux" else None
    try:
        process = subprocess.Popen(  # noqa: S603 (pip, git or Python, by a list of arguments)
            command,
            env=dict(variables),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: die_with(parent, libc),  # no thread holds a lock that it needs
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise InputError(f"can't start {command[0]}: {error.strerror}; install it") from error
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except BaseException as error:  # an interrupt most of all
        kill_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise InputError(
                f"{' '.join(command[:4])} …: not done after {timeout_s:.0f} s; {late}"
            ) from error
        raise
    return Done(process.returncode, output, errors)


def module_command(python: Path | str, module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as a program, whatever the current folder holds.

    Without -P the folder would come first on the path: a checkout there would be imported instead
    of the side that is measured.
    """
    return [str(python), "-P", "-m", module, *arguments]


def die_with(parent: int, libc: ctypes.CDLL | None) -> None:
    """Let the kernel end this process when its parent ends, however that happens (Linux)."""
    if libc:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that took effect
        os._exit(1)


def kill_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and the group, at once; and wait for it, a while."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold it: that isn't ours
        process.wait(KILLED_WITHIN_S)


def is_alive(pid: int) -> bool:
    """Whether there is a process with this id that still runs; a zombie doesn't."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True
    return status.rpartition(")")[2].split()[0] != "Z"  # proc_pid_stat(5): after the name
