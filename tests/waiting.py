"""How tests wait for what other processes do: for events, with bounds that only a fault reaches."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.common.process import is_alive

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 300  # beside anything, on a machine that stands still now and then


def gone(pid: int) -> bool:
    """Wait for the end of a process, whoever started it. False if it doesn't end."""
    if sys.platform != "linux":
        return _gone_by_and_by(pid)
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return readable(process)
    finally:
        os.close(process)


def line_of(fifo: Path) -> str:
    """Wait for the one line that another process writes into a FIFO, and return it."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert readable(descriptor), f"nobody wrote into {fifo}"
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, closefd=False) as stream:
            return stream.readline().rstrip("\n")
    finally:
        os.close(descriptor)


def wait_for_text(file: Path, text: str) -> None:
    """Wait until another process has written a line with the text into a file."""
    command = ["tail", "-n", "+1", "-F", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        assert tail.stdout is not None
        found = b""
        while text.encode() not in found:
            assert readable(tail.stdout.fileno()), f"nobody wrote {text!r} into {file}"
            found += os.read(tail.stdout.fileno(), 4096)
        tail.kill()


def readable(descriptor: int) -> bool:
    """Wait until there is something to read. False if there never is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(PATIENCE_S * 1000))


def _gone_by_and_by(pid: int) -> bool:
    """Do it on a system without files that stand for processes."""
    for _ in range(20 * PATIENCE_S):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False
