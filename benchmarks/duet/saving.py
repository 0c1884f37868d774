"""The files of a duet's restarts: a session of each take, all of them or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.files import write_json
from benchmarks.sessions import pytest_format
from benchmarks.sessions.session import parse_session

if TYPE_CHECKING:
    from benchmarks.duet.restart import Conditions, Played
    from benchmarks.duet.schedule import Restart, Take
    from benchmarks.sessions.session import Session


class Files:
    """Saves restarts below a folder; asks what is saved of machine and commits at once."""

    def __init__(self, out: Path, specs: Mapping[str, str]) -> None:
        """Take the SPEC of each side; no file is written before a restart is saved."""
        self._out = out
        self._specs = specs
        self._machine = pytest_format.machine_info()
        self._commits = {side: _commit(spec) for side, spec in specs.items()}

    def save(
        self,
        number: int,
        planned: Restart,
        played: Played,
        conditions: Conditions,
        facts: Mapping[str, Any],
    ) -> dict[Take, Session]:
        """Write a session of each take: all of them, or none. Return them as they are read back.

        `facts` say of which duet they are.
        """
        alone = conditions.alternate  # then pairs are no neighbours
        content: dict[Take, Any] = {}
        for take in conditions.takes:
            ours = {
                **facts,
                "side": take.side,
                "spec": self._specs[take.side],
                "restart": number,
                "design": "alternate processes" if alone else "both resident",
                "order": list(planned.start),
                "position_in_pair": None if alone else [p.index(take) for p in planned.pairs],
                "core": played.cores.get(take.side),
                "injected_slowdown": take.slowdown,
                "loaded": played.started[take.side]["loaded"],
                "agreement": played.agreement or None,
            }
            machine = self._machine | played.started[take.side]["machine"]
            said = played.started[take.side].get("commit")  # an older suite doesn't say
            commit = self._commits[take.side] or said or {}
            benchmarks = played.benchmarks[take]
            content[take] = pytest_format.session(benchmarks, machine, commit, {"duet": ours})
        return self._write(number, content)

    def _write(self, number: int, content: Mapping[Take, Any]) -> dict[Take, Session]:
        prefix = f"restart-{number:02}"
        paths = {take: self._out / f"{prefix}-{_name(take, content)}.json" for take in content}
        try:
            for take, path in paths.items():
                write_json(path, content[take])
        except BaseException:  # half a restart can't be judged
            for path in paths.values():
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        return {take: parse_session(content[take], str(path)) for take, path in paths.items()}


def _commit(spec: str) -> dict[str, Any] | None:
    """Return the commit of a checkout of the suite, of which the worker has an installed copy."""
    folder = Path(spec).expanduser()
    is_one = (folder / "benchmarks" / "__main__.py").is_file()
    return pytest_format.commit_info(folder) if is_one else None


def _name(take: Take, takes: Iterable[Take]) -> str:
    """Return what a take's files are called: its side, and what tells it from others of it."""
    first = next(each for each in takes if each.side == take.side)
    return take.side if take == first else f"{take.side}-slowed-{take.slowdown:g}"
