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
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tests.waiting import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SUITE = Path(__file__).parent.parent / "benchmarks"

LINEAGE: tuple[int, ...] = ()  # which fork of which fork this process is; the tests' own: none
FORKED: list[int] = []  # the ids of the processes that this one forked
NAME = "fork of {}"  # of such a process, in /proc/PID/comm, which has 15 bytes: by its parent


@contextlib.contextmanager
def instead_of_new_processes() -> Iterator[None]:
    """Let `subprocess.Popen` fork what it would run as `python -m MODULE` or `python -c TEXT`.

    And files of this suite; the rest is run as ever. The count of forks starts anew inside: what
    depends on LINEAGE doesn't depend on the tests that ran before.
    """
    new, subprocess.Popen = subprocess.Popen, Forked  # type: ignore[misc]
    before, FORKED[:] = FORKED[:], []
    try:
        yield
    finally:
        FORKED[:] = before
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
    """A process as `subprocess` has it, except for how it begins."""

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
        begins, begun = os.pipe()
        self.pid, interrupts = _fork()
        if self.pid == 0:
            streams, kept = (p2cread, c2pwrite, errwrite), {*pass_fds, begun}
            _run(program, streams, kept, cwd, env, preexec_fn, begun, new_session=new_session)
        FORKED[-1] = self.pid
        self._child_created = True
        os.close(begun)
        # The pipe ends once the process is what it was asked to be.
        assert readable(begins), "a forked program did not begin"
        os.close(begins)
        for each in interrupts:
            raise each
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


def _fork() -> tuple[int, list[BaseException]]:
    """Fork, and return what os.fork does, and interrupts that came meanwhile.

    Python would drop one that is raised in what logging and others do at each fork.
    """
    interrupts: list[BaseException] = []

    def keep(ignored: Any) -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            interrupts.append(ignored.exc_value)

    hook, sys.unraisablehook = sys.unraisablehook, keep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: they hold no lock
            return os.fork(), interrupts
    finally:
        sys.unraisablehook = hook


@dataclass(frozen=True)
class Program:
    """What an interpreter is to run: a module ("-m"), a text ("-c") or a file (""), and how."""

    kind: str
    what: str
    arguments: list[str]
    unbuffered: bool  # what it prints
    here_first: bool  # on the path, as with -m and without -P

    def run(self) -> None:
        """Run it as the main module."""
        sys.argv = [self.kind if self.kind == "-c" else self.what, *self.arguments]
        if self.kind == "-m":
            package = hasattr(sys.modules.get(self.what), "__path__")
            sys.modules.pop(f"{self.what}.__main__" if package else self.what, None)
            runpy.run_module(self.what, run_name="__main__", alter_sys=True)
        elif self.kind == "-c":
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(self.what, "<string>", "exec"), vars(main))  # noqa: S102 (a test's own)
        else:
            runpy.run_path(self.what, run_name="__main__")


def _program(args: Any) -> Program | None:
    """Return what is to be run, if this Python is to run one of ours."""
    if not isinstance(args, (list, tuple)) or str(args[0]) != sys.executable:
        return None
    words = [str(each) for each in args[1:]]
    given = set()
    while words and words[0] in ("-u", "-P", "-I", "-B"):
        given.add(words.pop(0))
    if words and words[0] in ("-m", "-c"):
        here_first = words[0] == "-m" and not given & {"-P", "-I"}
        return Program(words[0], words[1], words[2:], "-u" in given, here_first)
    if words and Path(words[0]).is_relative_to(SUITE):
        return Program("", words[0], words[1:], "-u" in given, here_first=False)
    return None


def _run(
    program: Program,
    streams: Sequence[int],
    kept: set[int],
    cwd: str | None,
    env: Mapping[str, str] | None,
    preexec_fn: Any,
    begun: int,
    *,
    new_session: bool,
) -> None:
    """Become the program, close `begun`, and end with the program's status. Never returns."""
    global LINEAGE
    status = 255
    try:
        gc.freeze()  # what was there stays: collecting it would copy memory, and close its files
        LINEAGE = (*LINEAGE, len(FORKED))
        FORKED.clear()
        if new_session:
            os.setsid()
        _take_streams(streams, kept, unbuffered=program.unbuffered)
        if preexec_fn:
            preexec_fn()
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(NAME.format(os.getppid()))
        _settle(program, cwd, env)
        os.close(begun)
        status = _status(program)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _settle(program: Program, cwd: str | None, env: Mapping[str, str] | None) -> None:
    """Take the folder, the environment and the path that the program was given."""
    if cwd:
        os.chdir(cwd)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    _forget()
    _renew_threads()
    here = [str(Path.cwd())] if program.here_first else []
    given = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:0] = [*here, *given]


def _renew_threads() -> None:
    """Let torch make its pool of threads anew, as it does at first use after a fork.

    The first two threads of the child that use torch at once could race for that, and one of them
    then dies by "Invalid thread pool!".
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(torch.get_num_threads())


def _take_streams(streams: Sequence[int], kept: set[int], *, unbuffered: bool) -> None:
    """Put the pipes in their usual places. Other files of the parent are gone, not closed.

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
    """Undo what a new interpreter doesn't have: handlers, hooks, filters, a random state."""
    import logging

    sys.modules.pop("conftest", None)  # the tests' own, or that of the root: who knows which
    sys.unraisablehook = sys.__unraisablehook__
    sys.meta_path[:] = [each for each in sys.meta_path if "pytest" not in type(each).__module__]

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


def _status(program: Program) -> int:
    """Run it, and return the status that Python would end with."""
    try:
        program.run()
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
