"""Run git in a checkout, and give a worktree of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import process
from benchmarks.common.errors import InputError

SECONDS = 600  # for an answer of git or of the package index


def run_git(folder: Path, variables: Mapping[str, str], *arguments: str) -> str:
    """Return what git prints. Raises InputError, in one line, if it fails."""
    done = process.run(["git", "-C", str(folder), *arguments], variables, SECONDS)
    if done.status:
        raise InputError(
            f"{folder}: git {arguments[0]} failed: {process.last_line(done.output)}; "
            "expected a git checkout, and revisions that it has"
        )
    return done.output.strip()


@contextmanager
def worktree(checkout: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Give a worktree of a checkout, in a folder of its own, and remove it at the end."""
    with TemporaryDirectory(prefix="bisect-") as folder:
        path = Path(folder) / "tree"
        run_git(checkout, variables, "worktree", "add", "--detach", "--quiet", str(path), "HEAD")
        try:
            yield path
        finally:
            run_git(checkout, variables, "worktree", "remove", "--force", str(path))
