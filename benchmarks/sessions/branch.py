"""Baselines on a git branch of their own, so that runners and people share them.

The branch holds the files of `.benchmarks` and nothing else. Sessions are recognised by what they
measured, not by their names: two runners may give one number to two sessions, and both are kept.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import git
from benchmarks.common.errors import InputError
from benchmarks.sessions import baseline, storage
from benchmarks.sessions.session import read_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.common.process import Done

COMMIT = (
    *("-c", "user.name=LLM.int8() benchmarks", "-c", "user.email=benchmarks@example.invalid"),
    *("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message"),
)


@dataclass(frozen=True)
class Branch:
    """A branch of a remote repository, as git reaches it from the folder `here`."""

    remote: str
    name: str
    environment: Mapping[str, str]
    here: Path = Path()

    def pull(self, folder: Path) -> list[Path]:
        """Copy the sessions of the branch that the folder lacks, and return what is new here.

        A later promotion or demotion is taken over. No branch means no baselines yet. Raises
        InputError if the remote can't be reached: that must not look like no baselines.
        """
        with self._clone() as (clone, head):
            return _copy(clone, folder, baseline.files(clone)) if head else []

    def push(self, folder: Path) -> list[Path]:
        """Add the folder's baselines to the branch, and return those that were new or changed.

        So is a later demotion. What others push meanwhile is kept. Raises InputError if the
        remote can't be written.
        """
        while True:  # a push that another one overtook is made again, on what is there now
            with self._clone() as (clone, head):
                copied = _copy(folder, clone, _wanted(folder, clone))
                if not copied:
                    return []
                self._git("add", "--force", "--", "*.json", cwd=clone)  # no lock files
                self._git(*COMMIT, f"Keep {', '.join(each.stem for each in copied)}", cwd=clone)
                to = f"HEAD:{self._ref}"
                pushed = git.try_git(clone, self.environment, "push", "--quiet", "origin", to)
                if not pushed.status:
                    return copied
                if self._head(clone) == head:  # nobody was faster, so it is something else
                    raise self._failed(pushed)

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    @contextmanager
    def _clone(self) -> Iterator[tuple[Path, str | None]]:
        """Check the branch out into a folder of its own; with it the commit, None without one."""
        url = self._git("remote", "get-url", self.remote, cwd=self.here)
        if Path(url).exists():
            url = str(Path(url).resolve())
        with tempfile.TemporaryDirectory() as name:
            clone = Path(name)
            self._git("init", "--quiet", cwd=clone)
            self._git("config", "core.symlinks", "false", cwd=clone)  # files, not ways out
            self._git("remote", "add", "origin", url, cwd=clone)
            head = self._head(clone)
            if head:
                self._git("fetch", "--quiet", "--depth=1", "origin", self._ref, cwd=clone)
                head = self._git("rev-parse", "FETCH_HEAD", cwd=clone)
                self._git("checkout", "--quiet", "--detach", head, cwd=clone)
            yield clone, head

    def _head(self, clone: Path) -> str | None:
        """Return the commit of the remote's branch, or None if it has no such branch."""
        listed = self._git("ls-remote", "origin", self._ref, cwd=clone)
        return listed.split()[0] if listed else None

    def _git(self, *arguments: str, cwd: Path) -> str:
        done = git.try_git(cwd, self.environment, *arguments)
        if done.status:
            raise self._failed(done)
        return done.output.strip()

    def _failed(self, done: Done) -> InputError:
        return InputError(
            f"{self.remote}: git can't reach branch {self.name} ({git.reason(done)}); "
            "check the remote, the network and the permissions"
        )


def _wanted(folder: Path, clone: Path) -> list[Path]:
    """Return the baselines of a folder, and what the branch has of it, promoted or not."""
    there = _identities(clone)
    contents = {path: _content(path) for path in baseline.files(folder)}
    return [
        path
        for path, content in contents.items()
        if content and (content["llm_int8"].get("promoted") or _identity(content) in there)
    ]


def _copy(source: Path, target: Path, paths: Sequence[Path]) -> list[Path]:
    """Copy sessions that the target lacks, and return the files there that are new or changed.

    A name that another session has there gets the next number. Of a session that both have, the
    later promotion or demotion counts.
    """
    known: dict[Path, dict[str, Path]] = {}
    copied = []
    for path in paths:
        if not (content := _content(path)):
            continue
        folder = target / path.relative_to(source).parent
        if folder not in known:
            known[folder] = _identities(folder)
        there = known[folder]
        if (found := there.get(_identity(content))) is None:
            copied.append(storage.add(folder / path.name, content))
            there[_identity(content)] = copied[-1]
        elif _marked(content) > _marked(_content(found) or content):
            storage.change(found, _marker(content["llm_int8"]))
            copied.append(found)
    return copied


def _marked(content: Mapping[str, Any]) -> str:
    """Return when a session was last promoted or demoted, in ISO 8601; "" for never."""
    marks = (content["llm_int8"].get(name) or {} for name in ("promoted", "demoted"))
    return max(str(mark.get("when", "")) for mark in marks)


def _marker(mark: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update(llm_int8=mark)


def _identities(folder: Path) -> dict[str, Path]:
    """Return the sessions below a folder, by what they measured."""
    if not folder.exists():
        return {}
    return {
        _identity(content): path for path in baseline.files(folder) if (content := _content(path))
    }


def _identity(content: Mapping[str, Any]) -> str:
    """Return a hash of all that was measured, which no promotion changes."""
    measured = {name: value for name, value in content.items() if name != "llm_int8"}
    return hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> dict[str, Any] | None:
    """Return what a session's file holds, or None if it is none of this suite."""
    try:
        baseline.own(read_session(path))
    except InputError:
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
