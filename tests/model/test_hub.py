"""A hub that can't be reached: asked once, and told in one line."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.running import command, run_module
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "org/model"
COMMIT = "0123abc" * 5 + "01234"


class DeafHub:
    """A server that hangs up on whoever calls, and keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection, connection.makefile() as lines:
                self.asked.append(lines.readline().strip())

    def close(self) -> None:
        """Stop answering; from now on the port is closed."""
        with contextlib.suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def hub() -> Iterator[DeafHub]:
    """Return a hub that hangs up."""
    found = DeafHub()
    yield found
    found.close()


DOWNLOAD = f"from benchmarks.model import hub; hub.download({MODEL!r}, {COMMIT!r}, print)"


def asking(hub: DeafHub, folder: Path) -> dict[str, str]:
    """Return the environment of somebody who has that hub, and nothing in the cache."""
    return {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder), "HF_HUB_OFFLINE": ""}


def test_a_hub_that_hangs_up_is_asked_once(hub: DeafHub, tmp_path: Path) -> None:
    """Its client would ask six times, in 24 seconds, with a warning each time."""
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD],
        env=os.environ | asking(hub, tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "lacks the model (RemoteProtocolError); connect, or use --model" in done.stderr
    assert "Warning" not in done.stderr
    about = [each for each in hub.asked if MODEL in each]  # its client asks for a list of its own
    assert len(about) == 1, about


def test_without_a_network_there_is_one_line(hub: DeafHub, tmp_path: Path) -> None:
    """The config.json, which says how a model is quantized, is looked for first."""
    hub.close()
    done = run_module("pytest", *command(tmp_path, model=MODEL), environment=asking(hub, tmp_path))
    assert done.returncode == 4
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith(f"ERROR: --model {MODEL}: can't reach the hub, and this machine's cache")
    assert "lacks the model (ConnectError); connect, or use" in line
    assert line.endswith("which needs no download")
