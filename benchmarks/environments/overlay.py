"""From a SPEC to an environment that a worker runs in: built if need be, and checked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import process
from benchmarks.common.errors import InputError
from benchmarks.common.files import is_disk_full
from benchmarks.environments import installed

ROOT = Path(__file__).parent.parent.parent  # what has to be on a worker's path: this project
REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*([=<>!~@;].*)?")
EXPECTED = (
    "expected `current`, requirements such as bitsandbytes==0.49.2, a path to a Python "
    "interpreter, or a path to a source checkout"
)
SECONDS = 1800  # that an installation may take: a checkout may compile for many minutes
OLDEST = (3, 11)  # Python, as in pyproject.toml: a side's interpreter runs this suite as well
STARTED_WITHIN_S = 60  # that an interpreter may take to start


@dataclass(frozen=True)
class Environment:
    """Where a worker runs: an interpreter, and the overlay that comes first on its path."""

    spec: str
    python: Path
    overlay: Path | None = None

    @property
    def packages(self) -> list[str]:
        """The names of the packages in the overlay."""
        return installed.packages_in(self.overlay) if self.overlay else []

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of a process in it."""
        paths = [self.overlay, ROOT, inherited.get("PYTHONPATH")]
        return {**inherited, "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path)}


CURRENT = Environment("current", Path(sys.executable))


@dataclass(frozen=True)
class Overlays:
    """Builds environments with pip, below the folder `cache_dir`, and says what it installs."""

    cache_dir: Path
    variables: Mapping[str, str]  # of pip, and of what is checked
    say: Callable[[str], None]

    def sides(self, specs: Mapping[str, str], stack: ExitStack) -> dict[str, Environment]:
        """Return the environment of each side, built if need be; equal SPECs are one."""
        built = {
            spec: stack.enter_context(self.opened(spec)) for spec in dict.fromkeys(specs.values())
        }
        return {side: built[spec] for side, spec in specs.items()}

    @contextmanager
    def opened(self, spec: str) -> Iterator[Environment]:
        """Give the environment that a SPEC stands for; an overlay that can't be reused is removed.

        Pinned requirements are installed once per requirement and interpreter; what isn't pinned,
        and a checkout, anew each time. Raises InputError, in one line, if it isn't available.
        """
        if not spec.strip():
            raise InputError(f"{EXPECTED}; got an empty text")
        try:
            path = Path(spec).expanduser()
            python, folder = _interpreter(path), path.is_dir()
        except (OSError, RuntimeError, ValueError):  # too long for a path, nobody's home: no path
            python, folder = None, False
        if spec == "current":
            yield CURRENT
            return
        if python:
            self._check_version(spec, python)
            yield Environment(spec, python)
            return
        if folder and not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise InputError(f"{spec}: expected a source checkout with a pyproject.toml; got none")
        sources = [str(path.resolve())] if folder else split_requirements(spec)
        if not folder and all(re.search(r"===?[^*]+$", each) for each in sources):
            yield self.cached(spec, sources)
            return
        with self._temporary(spec, sources) as environment:
            yield environment

    def cached(self, spec: str, sources: Sequence[str]) -> Environment:
        """Return the overlay of sources whose contents never change, installing it if needed.

        Of two processes that need the same overlay, the second waits for the first.
        """
        from filelock import FileLock

        facts = [list(sources), os.path.realpath(sys.executable), sys.version]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
        name = re.sub(r"[^\w.-]+", "-", ",".join(sources))[:60]
        folder = self.cache_dir / "overlays" / f"{name}-{digest}"
        if not folder.is_dir():
            with _writable(folder.parent), FileLock(folder.with_name(f"{folder.name}.lock")):
                if not folder.is_dir():  # another process may have built it while this one waited
                    self._build(spec, sources, folder)
        return Environment(spec, Path(sys.executable), folder)

    @contextmanager
    def _temporary(self, spec: str, sources: Sequence[str]) -> Iterator[Environment]:
        """Give an overlay that is removed at the end."""
        digest = hashlib.sha256(spec.encode()).hexdigest()[:8]
        folder = self.cache_dir / "overlays" / f"temporary-{os.getpid()}-{digest}"
        try:
            with _writable(folder.parent):
                self._build(spec, sources, folder)
            yield Environment(spec, Path(sys.executable), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _check_version(self, spec: str, python: Path) -> None:
        """Raise InputError for an interpreter that this suite doesn't run in.

        A worker in it would be lost, and so would each restart until the duet gives up.
        """
        says = "import sys; print('Python %d.%d' % sys.version_info[:2]); "
        command = [str(python), "-c", f"{says}sys.exit(sys.version_info < {OLDEST})"]
        late = "start it by hand to see what keeps it"
        done = process.run(command, self.variables, STARTED_WITHIN_S, late=late)
        if done.status:
            oldest = ".".join(map(str, OLDEST))
            raise InputError(
                f"{spec}: expected Python {oldest} or newer; got {done.last_line}; "
                "name another interpreter"
            )

    def _build(self, spec: str, sources: Sequence[str], folder: Path) -> None:
        """Install beside the overlay's place, check it, and move it there: all of it, or nothing.

        pip's own files are on the same disk, and are swept with the rest.
        """
        _sweep(folder.parent)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        site = partial / "site"
        self.say(f"{spec}: installing into {folder}")
        try:
            (partial / "tmp").mkdir(parents=True)
            command = ["install", "--quiet", "--no-deps", "--target", str(site), *sources]
            _pip(spec, command, folder.parent, {**self.variables, "TMPDIR": str(partial / "tmp")})
            self.check(spec, site)
            site.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def check(self, spec: str, folder: Path) -> None:
        """Import an overlay in a process of its own. Raises InputError if that fails."""
        variables = Environment(spec, Path(sys.executable), folder).variables(self.variables)
        if (folder / "benchmarks").is_dir():  # a version of this suite, which runs that side
            door = process.module_command(sys.executable, "benchmarks", "worker", "--help")
            if process.run(door, variables, STARTED_WITHIN_S).status:
                raise InputError(
                    f"{spec}: a version of this suite without `python -m benchmarks worker`, which "
                    "a duet starts for each side; name a newer one"
                )
        # By its path: an overlay may hold another version of this suite, which runs that side.
        # With -P, so that the modules beside it aren't on the path.
        command = [sys.executable, "-P", installed.__file__, str(folder)]
        done = process.run(command, variables, SECONDS)
        if done.status:
            raise InputError(
                f"{spec}: installed, but can't be imported: {done.last_line}; it may need other "
                "versions of its dependencies, which an overlay doesn't bring: name them as well"
            )


def split_requirements(spec: str) -> list[str]:
    """Return the requirements of a SPEC. Raises InputError for what can't be one."""
    parts = [part.strip() for part in re.split(r",(?=\s*[A-Za-z])", spec)]
    for part in parts:
        if not REQUIREMENT.fullmatch(part) or part.endswith("/"):
            raise InputError(f"{spec!r}: {EXPECTED}; {part!r} is none of them")
    return sorted(parts)


def _interpreter(path: Path) -> Path | None:
    """Return the interpreter that a path leads to: itself, or that of a virtual environment."""
    for candidate in (path, path / "bin" / "python", path / "Scripts" / "python.exe"):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.absolute()  # not resolved: a virtual environment is told by its link
    return None


def _pip(spec: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    done = process.run([*command, *arguments], variables, SECONDS)
    if not done.status:
        return
    if "No space left on device" in done.errors:
        free = shutil.disk_usage(folder).free
        raise InputError(
            f"{spec}: can't install it: the disk of {folder} is full ({free / 1e6:,.0f} MB free); "
            "free some, or set XDG_CACHE_HOME to a larger disk"
        )
    errors = [line for line in done.lines if re.match(r"(?i)(\w+)?error:", line)]
    reason = (errors[-1] if errors else done.last_line).removeprefix("ERROR: ")
    raise InputError(f"{spec}: pip can't install it: {reason}; check the name and the version")


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Make the folder, and say in one line what can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = is_disk_full(error)
        raise InputError(
            f"can't write {folder}: {error.strerror or type(error).__name__}; "
            f"{'free some, or set' if full else 'set'} XDG_CACHE_HOME to another folder"
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what killed processes left: half-made overlays, and temporary ones."""
    for left in folder.glob("*"):
        found = re.search(r"^temporary-(\d+)-|\.(\d+)\.partial$", left.name)
        if found and not process.is_alive(int(found[1] or found[2])):
            shutil.rmtree(left, ignore_errors=True)
