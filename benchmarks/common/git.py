"""Run git in a checkout, and give a worktree of it."""

from __future__ import annotations

import re
import subprocess
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
REMOTE = re.compile(r"(?:\w+://)?(?:[^@/]*@)?([\w.-]+)(?::\d+/|[:/])([\w./~-]+?)(?:\.git)?/?")
SITES = {"github": "commit", "gitlab": "-/commit"}  # by a word of their names; what is before an id
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


def on_the_web(address: str) -> str | None:
    """Return the page of a repository at GitHub or GitLab, out of the address of a remote.

    None if it is somewhere else. Neither user nor password are kept.
    """
    found = REMOTE.fullmatch(address.strip())
    if not found or not any(site in found[1] for site in SITES):
        return None
    return f"https://{found[1]}/{found[2].strip('/')}"


def published() -> dict[str, str]:
    """Return as `remote` where the current folder's repository is on the web, if it is."""
    command = ["git", "remote", "get-url", "origin"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no input)
    except OSError:  # there is no git
        return {}
    page = on_the_web(said.stdout)
    return {"remote": page} if page else {}


def commit_page(repository: str, commit: str) -> str | None:
    """Return the page of a commit in a repository on the web; None if there is none."""
    page = on_the_web(repository)
    if page is None or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return None
    host = page.split("/")[2]
    return f"{page}/{next(path for site, path in SITES.items() if site in host)}/{commit}"


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
