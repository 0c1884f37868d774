"""Commits of this repository, checked out beside it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def at(commit: str) -> Iterator[Path]:
    """Check a commit out beside this one; raises InputError where it can't be had."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "base")
        git("worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))


def git(*arguments: str) -> str:
    """Return what git prints. Raises InputError where it fails."""
    program = shutil.which("git") or "git"
    done = subprocess.run(  # noqa: S603 (git, and a revision that is no option)
        [program, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or "no word").splitlines()[-1]
        raise InputError(
            f"git {arguments[0]} failed ({said}); check the base out with its history (fetch-depth)"
        )
    return done.stdout.strip()
