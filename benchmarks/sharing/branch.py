"""Baselines on a git branch of their own, so that runners and people share them.

The branch holds the files of `.benchmarks` and nothing else. Sessions are recognised by what they
measured, not by their names: two runners may give one number to two sessions, and both are kept.
Each push thins what no verdict needs whole any more, and sets it aside in folders called `history`,
which a pull leaves on the branch unless they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import git
from benchmarks.common.errors import InputError
from benchmarks.common.files import from_json
from benchmarks.sessions import baseline, instants, storage
from benchmarks.sessions.session import parse_session
from benchmarks.sharing import thinning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.sessions.session import Session

HISTORY = "history"  # in the folder of a machine: what was thinned
WITHOUT_HISTORY = ("/*", f"!{HISTORY}/")  # patterns of git
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

    def pull(self, folder: Path, *, history: bool = False) -> list[Path]:
        """Copy the sessions of the branch that the folder lacks, and return what is new here.

        What was thinned comes along only with `history`: judging needs none of it. A later
        promotion or demotion is taken over. No branch means no baselines yet. Raises InputError if
        the remote can't be reached: that must not look like no baselines.
        """
        with self._clone(history=history) as clone:
            return _copy(clone, folder)

    def push(self, folder: Path) -> list[Path]:
        """Add the folder's baselines to the branch, and return those that were new or changed.

        So is a later demotion. Raises InputError if the remote can't be written, or if another
        push came first.
        """
        with self._clone(history=True) as clone:
            if copied := _copy(folder, clone):
                set_aside(clone)
                self._git("add", "--all", "--force", "--", "*.json", cwd=clone)  # no lock files
                self._git(*COMMIT, f"Keep {', '.join(each.stem for each in copied)}", cwd=clone)
                self._git("push", "--quiet", "origin", f"HEAD:{self._ref}", cwd=clone)
            return copied

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    @contextmanager
    def _clone(self, *, history: bool) -> Iterator[Path]:
        """Check the branch out into a folder of its own, which is empty if there is none.

        Without `history` only files that are checked out are fetched, if the remote knows how to.
        """
        little = () if history else ("--filter=blob:none",)
        url = self._git("remote", "get-url", self.remote, cwd=self.here)
        if Path(url).exists():
            url = str(Path(url).resolve())
        with tempfile.TemporaryDirectory() as name:
            clone = Path(name)
            self._git("init", "--quiet", cwd=clone)
            self._git("config", "core.symlinks", "false", cwd=clone)  # files, not ways out
            self._git("remote", "add", "origin", url, cwd=clone)
            if self._git("ls-remote", "origin", self._ref, cwd=clone):
                if not history:
                    self._git("sparse-checkout", "set", "--no-cone", *WITHOUT_HISTORY, cwd=clone)
                self._git("fetch", "--quiet", "--depth=1", *little, "origin", self._ref, cwd=clone)
                self._git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=clone)
            yield clone

    def _git(self, *arguments: str, cwd: Path) -> str:
        done = git.try_git(cwd, self.environment, *arguments)
        if not done.status:
            return done.output.strip()
        why = git.reason(done)
        step = git.repair(done.errors) or "check the remote, the network and the permissions"
        if "[rejected]" in why:  # not "[remote rejected]"
            step = "somebody pushed meanwhile: push again"
        raise InputError(f"{self.remote}: git can't reach branch {self.name} ({why}); {step}")


def _copy(source: Path, target: Path) -> list[Path]:
    """Copy what was ever promoted, and return the files of the target that are new or changed.

    A name that another session has there gets the next number. Of a session that both have, the
    later promotion or demotion counts.
    """
    there = {_identity(known): (path, _marked(known)) for path, known, _ in _sessions(target)}
    copied = []
    for path, content, _ in _sessions(source):
        identity, marked = _identity(content), _marked(content)
        if identity in there:
            stored, before = there[identity]
            if marked > before:
                storage.change(stored, partial(_take_over, content["llm_int8"]))
                copied.append(stored)
        elif marked:
            copied.append(storage.add(target / path.relative_to(source), content))
            there[identity] = (copied[-1], marked)
    return copied


def _take_over(marks: Mapping[str, Any], content: dict[str, Any]) -> None:
    """Take over how a session ended elsewhere; whether it is thinned is a matter of the file."""
    thinned = content["llm_int8"].get(thinning.THINNED)
    content["llm_int8"] = {k: v for k, v in marks.items() if k != thinning.THINNED}
    if thinned:
        content["llm_int8"][thinning.THINNED] = thinned


def set_aside(folder: Path) -> None:
    """Thin the sessions below a folder that no verdict needs whole, and move them to `history`.

    One that is needed again, as after a demotion, comes back as it is.
    """
    found = list(_sessions(folder))
    needed = thinning.needed([session for *_, session in found])
    for path, content, session in found:
        aside = path.parent.name == HISTORY
        if session.name in needed and aside:
            storage.add(path.parent.parent / path.name, content)
        elif session.name not in needed and not aside:
            storage.add(
                path.parent / HISTORY / path.name, thinning.thin(content, _identity(content))
            )
        else:
            continue
        path.unlink()


def _sessions(folder: Path) -> Iterator[tuple[Path, dict[str, Any], Session]]:
    """Yield the sessions of this suite below a folder, and what their files hold."""
    for path in baseline.files(folder) if folder.exists() else ():
        with suppress(InputError, OSError, ValueError, RecursionError):  # no file of ours
            content = from_json(path.read_text(encoding="utf-8"))
            session = baseline.own(parse_session(content, str(path)))
            yield path, content, session


def _marked(content: Mapping[str, Any]) -> str:
    """Return when a session was last promoted or demoted, in UTC; "" for never."""
    marks = (content["llm_int8"].get(name) or {} for name in ("promoted", "demoted"))
    return max(_instant(mark.get("when")) for mark in marks)


def _instant(when: Any) -> str:
    """Return an instant in UTC; one that can't be read as the first of all, but not as never."""
    try:
        return instants.in_utc(str(when or ""))
    except ValueError:
        return "0"


def _identity(content: Mapping[str, Any]) -> str:
    """Return a hash of all that was measured, which no promotion changes, nor thinning."""
    if thinned := content["llm_int8"].get(thinning.THINNED):
        return str(thinned["identity"])
    measured = {name: value for name, value in content.items() if name != "llm_int8"}
    return hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()
