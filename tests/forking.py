"""Start this project's own programs by a fork of the process that tests, not by a new interpreter.

Importing torch, transformers and bitsandbytes takes five seconds a process, and here they are
imported already. All else is as it would be: a process of its own with the arguments, environment,
folder, pipes, signals and group that its caller gives it. What a test has patched holds in it too.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import random
import runpy
import signal
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LINEAGE: tuple[int, ...] = ()  # which fork of which fork this process is; the tests' own: none
FORKED: list[int] = []  # the ids of the processes that this one forked
NAME = "forked of {}"  # of such a process, in /proc/PID/comm: by its parent


@contextlib.contextmanager
def instead_of_new_processes() -> Iterator[None]:
    """Let `subprocess.Popen` fork whatever it would run as `python -m MODULE`; the rest as ever."""
    new, subprocess.Popen = subprocess.Popen, Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = new  # type: ignore[misc]


def children(parent: int) -> list[int]:
    """Return the ids of the forked processes of a parent that still run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            stat = file.with_name("stat").read_text(encoding="utf-8")
            if file.read_text().strip() == NAME.format(parent) and " Z " not in stat:
                found.append(int(file.parent.name))
    return found


class Forked(subprocess.Popen):  # type: ignore[type-arg]
    """A process as `subprocess` has it, but for how it begins."""

    def _execute_child(
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        *rest: Any,
    ) -> None:
        program = _program(args)
        if program is None:
            given = (args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
            super()._execute_child(*given)  # type: ignore[misc]
            return
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[3:9]
        new_session = rest[14]
        sys.stdout.flush()
        sys.stderr.flush()
        FORKED.append(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: they hold no lock
            self.pid = os.fork()
        if self.pid == 0:
            streams = (p2cread, c2pwrite, errwrite)
            _run(*program, streams, set(pass_fds), cwd, env, preexec_fn, new_session=new_session)
        FORKED[-1] = self.pid
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


def _program(args: Any) -> tuple[str, list[str], bool] | None:
    """Return module, arguments and whether output is unbuffered, if this Python is to run one."""
    if not isinstance(args, (list, tuple)) or str(args[0]) != sys.executable:
        return None
    words = [str(each) for each in args[1:]]
    flags = {"-u", "-P", "-I", "-B"}
    unbuffered = False
    while words and words[0] in flags:
        unbuffered |= words.pop(0) == "-u"
    if words[:1] == ["-m"]:
        return words[1], words[2:], unbuffered
    return None


def _run(
    module: str,
    arguments: list[str],
    unbuffered: bool,  # noqa: FBT001 (a part of what `_program` returns)
    streams: Sequence[int],
    kept: set[int],
    cwd: str | None,
    env: Mapping[str, str] | None,
    preexec_fn: Any,
    *,
    new_session: bool,
) -> None:
    """Become the program, and end with its status. Never returns."""
    global LINEAGE
    status = 255
    try:
        gc.freeze()  # what was there stays: collecting it would copy memory, and close its files
        LINEAGE = (*LINEAGE, len(FORKED))
        FORKED.clear()
        if new_session:
            os.setsid()
        _take_streams(streams, kept, unbuffered=unbuffered)
        if preexec_fn:
            preexec_fn()
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(NAME.format(os.getppid()))
        if cwd:
            os.chdir(cwd)
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        _forget()
        sys.argv = [module, *arguments]
        sys.path[:0] = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
        sys.modules.pop(module, None)
        status = _status(module)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _take_streams(streams: Sequence[int], kept: set[int], *, unbuffered: bool) -> None:
    """Put the pipes where a process has them. Other files of the parent are gone, not closed.

    Their numbers stay in use: an object of the parent's that is closed later would close a new file
    of the same number.
    """
    for number, stream in enumerate(streams):
        if stream not in (-1, number):
            os.dup2(stream, number)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (needs no paths)
        if number > 2 and number not in kept and number != nothing:
            with contextlib.suppress(OSError):
                os.dup2(nothing, number, inheritable=False)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(
            raw,
            encoding="utf-8",
            errors="replace",
            line_buffering=number == 2,
            write_through=unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _forget() -> None:
    """Undo what a new interpreter doesn't have: handlers, filters, a random state."""
    import logging

    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, signal.Handlers):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.root.handlers.clear()
    warnings.resetwarnings()
    for each in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", each)
    random.seed()


def _status(module: str) -> int:
    """Run the module as the main one, and return the status that Python would end with."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return int(ended.code or 0)
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
