"""Which code a session ran: its commit and its builds, as far as they are known."""

from __future__ import annotations

import os
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import git
from benchmarks.common.errors import InputError
from benchmarks.common.packages import COMPARED, TREATMENT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from benchmarks.sessions.session import Record, Session

SUITE = Path(__file__).parents[2]  # the checkout whose code measures, wherever it is run from
UNKNOWN = frozenset({"", "None", "unknown", "unversioned"})  # what pytest-benchmark has for one
END = ("')", '")')  # of an error of one line
LIBRARY = "bitsandbytes_library_sha256"


@contextmanager
def asked_of(folder: Path) -> Iterator[None]:
    """Let pytest-benchmark, which asks for the commit of the current folder, ask this one's.

    In a hook of git's the environment names the repository around, which git would take instead.
    """
    around = {name: os.environ.pop(name) for name in git.OURS if name in os.environ}
    try:
        with chdir(folder):
            yield
    finally:
        os.environ.update(around)


def if_the_suites(commit: Record) -> Record:
    """Return a commit of the repository around the suite, if that keeps the suite's files.

    It doesn't where the suite is installed, as in the .venv of another project. Then none is known.
    """
    if str(commit.get("id") or "") in UNKNOWN:
        return commit
    try:
        done = git.try_git(SUITE, os.environ, "ls-files", "--error-unmatch", "benchmarks")
    except InputError:  # no git: it is Mercurial's
        return commit
    if done.status != 1:  # 128: git can't read it
        return commit
    why = "the repository around doesn't keep the suite's files"
    return {**commit, "id": "unversioned", "branch": "(unknown)", "error": why}


def known(session: Session) -> str | None:
    """Return the id of a session's commit, or None if nothing says which it was."""
    name = str(session.commit.get("id") or "")
    return None if name in UNKNOWN else name


def page(session: Session) -> str | None:
    """Return the web page of a session's commit; None if it isn't known to have one."""
    return git.commit_page(str(session.commit.get("remote") or ""), known(session) or "")


def why_unknown(commit: Record) -> str:
    """Return why a session's commit isn't known, and what to do; an empty text if it is known."""
    name, error = str(commit.get("id") or ""), str(commit.get("error") or "")
    if name not in UNKNOWN:
        return ""
    if not error:
        return f"the folder of the suite has no .git; {git.CHECKOUT}"
    return f"{_fatal(error)}; {git.repair(error) or git.CHECKOUT}"


def code(session: Session) -> Hashable:
    """Return what is equal for two sessions only if both are known to have run the same code.

    Neither an unknown commit nor uncommitted changes are the same as any other; but all restarts
    of one side of a duet are.
    """
    versions = tuple(str(session.software.get(name)) for name in TREATMENT)
    builds = tuple(sorted((name, str(value)) for name, value in _builds(session).items()))
    if session.duet:
        return "duet", session.duet.get("id"), session.duet.get("side"), versions, builds
    if session.commit.get("dirty") or not known(session) or any(_unknown_builds(session)):
        return "unknown", session.name, session.when
    return "known", known(session), versions, builds


def other_builds(base: Session, head: Session) -> list[str]:
    """Return the packages of one version on both sides whose code may differ all the same.

    They were built from other commits, or it isn't known from which.
    """
    then, now = _builds(base), _builds(head)
    differ = {
        name.partition("_")[0] for name in then.keys() & now.keys() if then[name] != now[name]
    }
    return sorted(differ | {*_unknown_builds(base), *_unknown_builds(head)})


def _builds(session: Session) -> Mapping[str, Any]:
    """Return what is known of the code of packages beside their versions, by name."""
    for each in session.measured.values():
        if software := each.attestation.get("software"):
            library = software.get(LIBRARY)
            return {**(software.get("commits") or {}), **({LIBRARY: library} if library else {})}
    return {}


def _unknown_builds(session: Session) -> Iterator[str]:
    """Yield the packages whose installed version is one under development, of unknown origin."""
    builds = _builds(session)
    for name in COMPARED:
        if ".dev" in str(session.software.get(name) or "") and not builds.get(name):
            yield name


def _fatal(error: str) -> str:
    """Return the line of git's in an error, which pytest-benchmark stores as Python shows it."""
    if error.startswith("FileNotFoundError"):
        return "git isn't installed"
    _, found, says = error.partition("fatal: ")
    line = (says if found else error).partition("\\n")[0]
    return f"git: {line.removesuffix(END[0]).removesuffix(END[1])}"
