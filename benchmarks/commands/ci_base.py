"""What `ci` lets a suspicious session duel with: a commit, and versions that differ."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import git, packages
from benchmarks.common.errors import InputError
from benchmarks.environments import versions
from benchmarks.sessions import baseline, commit, comparable

if TYPE_CHECKING:
    from benchmarks.sessions.comparable import Changes
    from benchmarks.sessions.session import Session

HISTORY = "check the base out with its history (fetch-depth)"


def find(session: Session, revision: str | None, storage: Path) -> tuple[str, Changes] | None:
    """Return the commit to compare with, and the versions that differ from its own.

    That is where a revision forked off, or the newest baseline in the storage. None if both are
    those of the session. Raises InputError if they can't be known.
    """
    if not revision:
        return _newest(session, storage)
    installed = {name: metadata.version(name) for name in packages.COMPARED}
    here, variables = Path.cwd(), os.environ
    fork = git.run_git(here, variables, "merge-base", revision, "HEAD", next_step=HISTORY)
    pins = git.run_git(here, variables, "show", f"{fork}:constraints.txt", next_step=HISTORY)
    return fork, versions.of_pins(pins, installed)


def _newest(session: Session, storage: Path) -> tuple[str, Changes] | None:
    found = baseline.baselines(baseline.stored(storage).sessions, session)
    if not found:
        raise InputError("there is no baseline; name what to compare with --base")
    newest = found[-1]
    if not (then := commit.known(newest)):
        raise InputError(
            f"the commit of the newest baseline is unknown, {newest.name} "
            f"({commit.why_unknown(newest.commit)}); name what to compare with --base"
        )
    changed = comparable.changed_versions(newest, session)
    if not changed and (builds := commit.other_builds(newest, session)):
        raise InputError(
            f"{', '.join(builds)}: the same version, but another build or an unknown one, which no "
            "duet can lay over; compare two environments by hand"
        )
    return None if commit.code(newest) == commit.code(session) else (then, changed)
