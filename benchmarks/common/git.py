"""Run git in a checkout, and give a worktree of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import process
from benchmarks.common.errors import InputError
from benchmarks.common.process import Done

SECONDS = 600  # for an answer of git or of the package index
CHECKOUT = "run in a clone of the repository, with its .git"
TRUST = re.compile(r"git config --global --add safe\.directory ('[^']*'|[^\s\\'\"]+)")  # advice
OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # in a hook they name the repository around


def try_git(folder: Path, variables: Mapping[str, str], *arguments: str) -> Done:
    """Run git in a folder, and return how that ended. It never waits for a password."""
    around = {name: value for name, value in variables.items() if name not in OURS}
    command = ["git", "-C", str(folder), *arguments]
    plain = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # `reason` reads what it says
    return process.run(command, {**around, **plain}, SECONDS)


def run_git(folder: Path, variables: Mapping[str, str], *arguments: str, next_step: str) -> str:
    """Return what git prints. Raises InputError, in one line, if it fails.

    `next_step` helps if git can read the repository; else that is repaired first.
    """
    done = try_git(folder, variables, *arguments)
    if done.status:
        step = repair(done.errors) or next_step
        raise InputError(f"git {arguments[0]} failed in {folder}: {reason(done)}; {step}")
    return done.output.strip()


def reason(done: Done) -> str:
    """Return the line of git's that says what was wrong; advice comes after it."""
    telling = (line for line in done.lines if line.startswith("fatal:") or "rejected]" in line)
    return next(telling, done.last_line)


def repair(says: str) -> str | None:
    """Return the next step if git says that it can't, or won't, read a repository at all."""
    if advice := TRUST.search(says):
        return f"another user owns it: {advice[0]}"
    return CHECKOUT if "not a git repository" in says else None


@contextmanager
def worktree(
    checkout: Path, variables: Mapping[str, str], revision: str, next_step: str
) -> Iterator[Path]:
    """Give a worktree of a checkout, in a folder of its own, and remove it at the end."""
    with TemporaryDirectory(prefix="worktree-") as folder:
        path = str(Path(folder) / "tree")
        add = ("worktree", "add", "--detach", "--quiet", path, revision)
        run_git(checkout, variables, *add, next_step=next_step)
        try:
            yield Path(path)
        finally:
            run_git(checkout, variables, "worktree", "remove", "--force", path, next_step=next_step)
