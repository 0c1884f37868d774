"""Ctrl-C and SIGTERM: they end a session in order, by status 2, whenever they come."""

from __future__ import annotations

import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def listen(config: pytest.Config) -> None:
    """Take SIGTERM, which a cancelled job is sent, for Ctrl-C, until `config` is taken back."""
    if threading.current_thread() is not threading.main_thread():  # no other hears a signal
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        config.add_cleanup(partial(_hear, number, signal.getsignal(number)))
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def ignore() -> None:
    """Let both pass from here on, until pytest is done with its configuration."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def simplify(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
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
