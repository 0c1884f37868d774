"""The parent of replicas: it starts them by torch's launcher, waits, and ends whatever is left."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.common import process
from benchmarks.common.errors import ReplicaError
from benchmarks.common.text import telling
from benchmarks.machine import clock
from benchmarks.replicas.place import LINE, READY, RESULTS, log_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
SILENT_S = 600  # replicas that say nothing for so long are ended
LOG_LINES = 3  # of a log that the end of a replica is explained with
CHUNK = 1 << 16
GONE_WITHIN_S = 30
PROCESS = re.compile(r"process (\d+)")
# What torch's launcher says of the first replica that failed.
CAUSE = re.compile(r"Root Cause.*?rank\s*: (\d+) .*?exitcode\s*: (-?\d+)", re.DOTALL)


def variables(environment: Mapping[str, str], threads: int | None) -> dict[str, str]:
    """Return the environment of replicas: each one has the same threads, however many there are.

    The launcher would give one thread to each of several, and all cores to one alone. They find
    this suite wherever the session was started.
    """
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),
        **environment,
        "OMP_NUM_THREADS": str(threads or 1),
        "PYTHONPATH": os.pathsep.join(path),
    }


@dataclass
class Fleet:
    """So many replicas on this host, or ranks: `run` measures with them, and none of them stays.

    `arguments` are a replica's; `variables` is the environment; `show` is told what each one does,
    by its number.
    """

    count: int
    arguments: Sequence[str]
    variables: Mapping[str, str]
    show: Callable[[int, str], None] = lambda _, __: None
    kind: str = "replica"
    silent_s: float = SILENT_S
    _doing: dict[int, str] = field(default_factory=dict)
    _pids: list[int] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Return what the replicas wrote. Raises ReplicaError, in one line, if one is lost."""
        with TemporaryDirectory(prefix="replicas-") as name:
            folder = Path(name)
            launcher = self._start(folder)
            try:
                self._listen(launcher.stdout.fileno() if launcher.stdout else -1, folder)
                launcher.wait()
            finally:
                self._end(launcher)
            if launcher.returncode:
                raise self._lost(folder)
            found: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            return found

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start the launcher in a group of its own, so that Ctrl-C is this process's to handle.

        It needs no name of this host that can be resolved.
        """
        worker = process.module_command(sys.executable, "benchmarks.replicas.worker")
        command = process.module_command(
            sys.executable,
            "torch.distributed.run",
            *("--nnodes=1", f"--nproc-per-node={self.count}", "--max-restarts=0"),
            *("--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"),
            *("--no-python", *worker, f"--folder={folder}", f"--parent={os.getpid()}"),
            *self.arguments,
        )
        parent, libc = os.getpid(), ctypes.CDLL(None) if sys.platform == "linux" else None
        with (folder / "launcher.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 (torch's own launcher)
                command,
                env=dict(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: process.die_with(parent, libc),
            )

    def _listen(self, pipe: int, folder: Path) -> None:
        """Follow what the replicas say, until the launcher and all of them have ended."""
        buffer = b""
        while True:
            if not clock.wait(pipe, self.silent_s):
                raise self._hung(folder)
            if not (chunk := os.read(pipe, CHUNK)):
                break
            *whole, buffer = (buffer + chunk).split(b"\n")
            for line in whole:
                self._hear(line.decode(errors="replace"))

    def _hear(self, line: str) -> None:
        if (match := LINE.fullmatch(line)) is None:
            return
        replica, says = int(match[1]), match[2]
        self._doing[replica] = says
        if is_process := PROCESS.fullmatch(says):
            self._pids.append(int(is_process[1]))
        else:
            self.show(replica, says)

    def _hung(self, folder: Path) -> ReplicaError:
        """Name those that the others wait for; all of them if none waits.

        Ranks wait for one another within a step, and can't say so. So all of them are named.
        """
        if self.kind == "rank":
            at = ", ".join(f"{n} at: {self._doing.get(n, 'starting')}" for n in range(self.count))
            logs = "; ".join(f"{n}: {self._last(folder, n)}" for n in range(self.count))
            return ReplicaError(
                f"the ranks said nothing for {self.silent_s:g} s; one that hangs stops all; last "
                f"they were {at}; {logs}"
            )
        waits = {each for each, says in self._doing.items() if says.startswith(READY)}
        late = [each for each in range(self.count) if each not in waits]
        first = (late or [*range(self.count)])[0]
        doing = self._doing.get(first, "starting")
        also = f", nor did {', '.join(map(str, late[1:]))}" if late[1:] else ""
        return ReplicaError(
            f"{self.kind} {first} said nothing for {self.silent_s:g} s{also}; last it was at: "
            f"{doing}; {self._last(folder, first)}"
        )

    def _lost(self, folder: Path) -> ReplicaError:
        """Name the replica that the launcher saw failing first."""
        text = _text(folder / "launcher.log")
        if not (match := CAUSE.search(text)):
            last = " | ".join(telling(text)[-LOG_LINES:])
            return ReplicaError(f"torch's launcher failed: {last or 'it said nothing'}")
        replica, status = int(match[1]), int(match[2])
        how = f"ended with status {status}"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
            how += "; if nobody did, memory ran out" if status == -signal.SIGKILL else ""
        return ReplicaError(
            f"{self.kind} {replica} {how}; last it was at: {self._doing.get(replica, 'starting')}; "
            f"{self._last(folder, replica)}"
        )

    def _last(self, folder: Path, replica: int) -> str:
        """Return the end of a replica's log: the line of an error that is understood says all."""
        said = telling(_text(folder / log_name(replica)))
        known = said and re.match(r"\w+Error: ", said[-1])
        return " | ".join(said[-1 if known else -LOG_LINES :]) or "its log says nothing"

    def _end(self, launcher: subprocess.Popen[bytes]) -> None:
        """End the launcher, and each replica: the launcher gave them groups of their own.

        The next benchmark needs the memory of their GPUs, so this waits for their ends, a while.
        """
        process.kill_group(launcher)
        if launcher.stdout:
            launcher.stdout.close()
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        until = time.monotonic() + GONE_WITHIN_S
        while any(map(process.is_alive, self._pids)) and time.monotonic() < until:
            time.sleep(0.05)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
