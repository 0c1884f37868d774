"""Ctrl-C and signals that end a process: a command hears them at once, a session in order."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# Ctrl-C; a stop from outside; a terminal that is gone. Not all systems have all of them.
ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
DEAF_S = 15  # after the first of them


@contextmanager
def interruptible() -> Iterator[None]:
    """For a command: let Ctrl-C, SIGTERM and SIGHUP interrupt what is inside.

    After the first one, none is heard for a while. A terminal that is closed sends two, and
    impatient fingers do: the second would disturb how workers are ended and what is half-made is
    removed. What is ignored, as nohup(1) has it, stays so.
    """
    heard_at = -inf

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (Python's signature)
        nonlocal heard_at
        if monotonic() - heard_at > DEAF_S:
            heard_at = monotonic()
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in numbers}
    try:
        for each, was in before.items():
            if was is not signal.SIG_IGN:
                signal.signal(each, interrupt)
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was or signal.SIG_DFL)  # None: not Python's own


def listen(at_end: Callable[[Callable[[], None]], object]) -> None:
    """For a session of pytest: take SIGTERM, which a cancelled job is sent, for Ctrl-C.

    `at_end` is given what takes that back.
    """
    if threading.current_thread() is not threading.main_thread():  # no other hears a signal
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        at_end(partial(_hear, number, signal.getsignal(number)))
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def ignore() -> None:
    """Let both pass from here on, until pytest is done with its configuration."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def simplify(excinfo: Any) -> None:
    """Drop what pytest can't show of an interrupt.

    It computes with the line of each frame, and an instruction may have none, as some of torch's
    Module. A second interrupt while the first was handled has frames of both.
    """
    excinfo.traceback = excinfo.traceback.filter(
        lambda entry: entry._rawentry.tb_lineno is not None
    )
    excinfo.value.__suppress_context__ = True


def _hear(number: int, handler: Any) -> None:
    signal.signal(number, handler or signal.SIG_DFL)  # None: not Python's own
