"""A hub that can't be reached, or lacks a model: asked once, and told in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import errors

from benchmarks.common.errors import InputError
from benchmarks.model.checkpoint import resolve
from tests.running import command, run_module
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "org/model"
SECRET = "hf_" + "x" * 34  # looks like an access token of the hub
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


def http(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    """Return an error as the hub's client raises it, whose own text holds an access token."""
    response = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"{status} error\nfor https://user:{SECRET}@huggingface.co", response=response)


FAILURES = {
    "gated": (http(errors.GatedRepoError, 403), "access is restricted", "hf auth login"),
    "no such model": (http(errors.RepositoryNotFoundError, 401), "no such model", "check the name"),
    "no such revision": (http(errors.RevisionNotFoundError, 404), "--revision: ", "'v9'"),
    "expired token": (http(errors.HfHubHTTPError, 401), "access token", "hf auth login"),
    "hub is down": (http(errors.HfHubHTTPError, 503), "can't reach the hub", "connect"),
    "no network": (errors.LocalEntryNotFoundError(SECRET), "can't reach the hub", "connect"),
    "HF_HUB_OFFLINE": (errors.OfflineModeIsEnabled(SECRET), "OFFLINE is set", "unset it"),
    "no connection": (ConnectionError(SECRET), "can't reach the hub", "synthetic:llama-3.1-8b"),
    "timeout": (TimeoutError(SECRET), "can't reach the hub", "synthetic:llama-3.1-8b"),
    "no hub id": (errors.HFValidationError(SECRET), "expected a hub id, a folder", "'org/model'"),
    "disk full": (OSError(errno.ENOSPC, SECRET), "the disk is full", "HF_HOME"),
    "in Rust": (RuntimeError(f"{SECRET}: No space left on device"), "the disk is full", "HF_HOME"),
    "read-only cache": (PermissionError(errno.EACCES, SECRET), "can't write", "HF_HOME"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_model_that_can_not_be_had(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way a download fails has one line with a next step, and no access token in it."""
    error, what, next_step = FAILURES[case]
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", Mock())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=error))
    with pytest.raises(InputError) as raised:
        resolve(MODEL, "v9", Path("nowhere"), print)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert MODEL in message
    assert what in message
    assert next_step in message
    assert "hf_" not in message


def test_ctrl_c_ends_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no error of the hub: it goes through."""
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", Mock())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        resolve(MODEL, None, tmp_path, print)
