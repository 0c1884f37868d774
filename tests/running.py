"""How tests run whole sessions of `pytest benchmarks`, and what they see of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import virtual
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
SECRET = "hf_aSecretThatMustNotLeak"  # noqa: S105 (not one)
FAST = ["--new-tokens", "6", "--rounds", "3", "--warmup-rounds", "1"]
ALONE = ["-k", "throughput"]
LEAST = ["--batch-size=1", "--new-tokens=2", "--rounds=2", "--warmup-rounds=1", *ALONE]

GIT = {  # an environment in which git knows nothing of the user's
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass
class Outcome:
    """How a session ended, what it printed, and where it stored its results."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def saved(self) -> dict[str, Any]:
        """The session that was saved in the storage."""
        (file,) = self.folder.glob("storage/*.json")
        return json.loads(file.read_text())


def run_module(
    *arguments: str, environment: Mapping[str, str], folder: Path = ROOT, timeout_s: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run `python -m ...` to its end, in a process of its own, and keep what it writes."""
    with heard(signal.SIGINT):
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=timeout_s,
        )


def git(folder: Path | str, *arguments: str | Path) -> str:
    """Run git as a user of its own, and return what it prints."""
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x", *arguments],  # noqa: S607 (the user's)
        cwd=folder,
        env=GIT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return done.stdout.strip()


@contextmanager
def heard(number: int, handler: Any = signal.SIG_DFL) -> Iterator[None]:
    """Let a signal end the processes that are started inside, or call this handler.

    A shell's background job ignores Ctrl-C, one of nohup(1) a closed terminal: tests that run so
    would pass it on.
    """
    was = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, was)


def interrupt_at(
    moment: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[subprocess.Popen[str], list[str]]:
    """Run `python -m ...`, press Ctrl-C at each line that begins so; return it, and its lines."""
    with heard(signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", *arguments],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
    patience = threading.Timer(300, process.kill)  # one that doesn't end fails its test
    patience.start()
    try:
        with process:
            lines = []
            for line in process.stdout or ():
                lines.append(line)
                if line.startswith(moment):
                    process.send_signal(signal.SIGINT)
    finally:
        patience.cancel()
    return process, lines


def command(
    folder: Path,
    *options: str,
    storage: str | None = "{}/storage",
    model: str | None = virtual.ONE_LAYER,
    root: Path = ROOT,
) -> list[str]:
    """Return the arguments of a session that stores below `folder`; None is the suite's default.

    `root` is a path to the checkout.
    """
    ours = [
        "-p",
        "no:cacheprovider",
        "--device=cpu",
        *([f"--model={model}"] if model else []),
        *([f"--benchmark-storage={storage.format(folder)}"] if storage else []),
    ]
    return [
        f"--rootdir={root}",
        "-c",
        str(root / "pytest.ini"),
        str(root / "benchmarks"),
        *ours,
        *options,
    ]
