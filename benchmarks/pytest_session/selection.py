"""Which benchmarks of the past a command line asks for, though there may be none of them now."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchmarks.config.options import TENSOR

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pytest

    from benchmarks.config.settings import Settings


RANKS = "test_tensor_parallel.py"


def is_of_map(file: str, device_map: str) -> bool:
    """Whether the benchmarks of a file, by its name, are measured with this --device-map."""
    return (file == RANKS) == (device_map == TENSOR)


@dataclass(frozen=True)
class Selection:
    """What was selected of all tests that there are, and what the command line says of paths.

    Folders that it names are absolute, and paths are compared as they are on the disk: a checkout
    may be reached by a link.
    """

    root: Path
    here: Path  # where the command was given
    arguments: Sequence[str]
    ignored: Sequence[str]  # --ignore, and patterns of --ignore-glob
    prefixes: Sequence[str]  # --deselect
    selected: Collection[str]
    left_out: Collection[str]  # by -k, -m, --deselect, or the suite itself
    device_map: str

    def asks_for(self, name: str) -> bool:
        """Whether it contains a benchmark, by its full name.

        One that isn't there now is asked for as those of the same test are that are most like it:
        with other parameters it has another name, but -k and -m mean the same.
        """
        if name in self.selected or name in self.left_out:
            return name in self.selected
        if not is_of_map(PurePosixPath(name.partition("::")[0]).name, self.device_map):
            return False
        if self._is_ignored(name) or name.startswith(tuple(self.prefixes)):
            return False
        nearest = self._nearest(name)
        if nearest and all(each in self.left_out for each in nearest):
            return False
        return any(self._contains(argument, name) for argument in self.arguments)

    def _nearest(self, name: str) -> list[str]:
        known = [*self.selected, *self.left_out]
        unlike = {each: _unlike(each, name) for each in known if _test(each) == _test(name)}
        return [each for each, parts in unlike.items() if parts == min(unlike.values())]

    def _contains(self, argument: str, name: str) -> bool:
        file, _, inside = name.partition("::")
        path, _, test = argument.partition("::")
        where = (self.here / path).resolve()
        # What isn't there is the name of a module (--pyargs), which may contain anything.
        if where.exists() and where not in self._places(file):
            return False
        return not test or inside == test or inside.startswith((f"{test}[", f"{test}::"))

    def _is_ignored(self, name: str) -> bool:
        places = self._places(name.partition("::")[0])
        for each in self.ignored:
            given = self.here / each
            for place in places:
                if place == given.resolve() or fnmatch(str(place), str(given)):
                    return True
        return False

    def _places(self, file: str) -> list[Path]:
        path = (self.root / file).resolve()
        return [path, *path.parents]


def of_session(session: pytest.Session, left_out: Collection[str]) -> Selection:
    """Return the selection of a session that has collected its tests."""
    config = session.config
    ignored = [*(config.getoption("ignore") or ()), *(config.getoption("ignore_glob") or ())]
    return Selection(
        root=config.rootpath,
        here=config.invocation_params.dir,
        arguments=config.args,
        ignored=[str(each) for each in ignored],
        prefixes=config.getoption("deselect") or (),
        selected={item.nodeid for item in session.items},
        left_out=left_out,
        device_map=config.option.device_map,
    )


def _test(name: str) -> str:
    return name.partition("[")[0]


def _unlike(one: str, other: str) -> int:
    """Return how many parts of their parameters two names don't share."""
    sides = [set(each.partition("[")[2].rstrip("]").split("-")) for each in (one, other)]
    return len(sides[0] ^ sides[1])


def model_of(benchmark: Any, settings: Settings) -> str | None:
    """Return the model that a benchmark measures: a parameter of it if there are several."""
    if len(settings.models) == 1:
        return settings.model
    return str(benchmark.callspec.params["model"])


def leave_out_other_times(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the benchmarks of cold and of profiled rounds, whose work is that of the others."""
    marks = ("runs_first", "runs_last")
    left_out = [each for each in items if any(map(each.get_closest_marker, marks))]
    items[:] = [each for each in items if each not in left_out]
    config.hook.pytest_deselected(items=left_out)
