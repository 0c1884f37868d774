"""`python -m benchmarks ci`: what the workflow runs on the GPU: screen, decide, promote."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.baselines import STORAGE
from benchmarks.harness import baseline, comparable, promotion, sessions
from benchmarks.harness.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from benchmarks.harness.sessions import Session

FINE, NOTHING_COMPARED, UNDECIDED = 0, 10, 11  # exit statuses of the gate
ARTIFACTS = "artifacts"
MOST = 100  # lines of a duet in the summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to compare with, and what follows from it."""
    parser.add_argument(
        "--base",
        metavar="REV",
        help="the branch to merge into: a duet against the merge base decides what is suspicious "
        "(default: against the commit of the newest baseline)",
    )
    parser.add_argument(
        "--promote", action="store_true", help="make the session a baseline if nothing regressed"
    )
    parser.add_argument("--summary", metavar="FILE", help="append Markdown to this file")
    parser.add_argument(
        "--options", default="", metavar="TEXT", help='workload options, as in "--batch-size 1,8"'
    )


def run(arguments: argparse.Namespace) -> int:
    """Return the status of the gate, or of the duet that decided in its place.

    What a duet leaves undecided is no regression: it is a warning, and status 0.
    """
    options = shlex.split(arguments.options)
    summary = ["--summary", arguments.summary] if arguments.summary else []
    before = set(baseline.files(STORAGE))
    gate = ["benchmarks", "--gate", "--benchmark-save=ci", "--artifacts", ARTIFACTS, *summary]
    status = _call("pytest", *gate, *options)
    saved = [path for path in baseline.files(STORAGE) if path not in before]
    reason = None
    if status == UNDECIDED and saved:
        status, reason = _decide(sessions.read(saved[0]), arguments, options)
    if arguments.promote and saved and status in (FINE, NOTHING_COMPARED, UNDECIDED):
        _promote(saved[0], reason)
    if status == UNDECIDED:
        _warn("suspicious and undecided: no regression was found, and none was ruled out")
        return FINE
    return status


def _decide(
    session: Session, arguments: argparse.Namespace, options: list[str]
) -> tuple[int, str | None]:
    """Return the status of a duet against the base, and in words what it found if all is fine."""
    said: list[str] = []
    try:
        if arguments.base:
            commit = _git("merge-base", arguments.base, "HEAD")
        else:
            newest = baseline.baselines(baseline.stored(STORAGE).sessions, session)[-1]
            if _same_code(newest, session):
                return FINE, "suspicious, but of the same commit and versions as the last baseline"
            commit = newest.commit["id"]
        with _worktree(commit) as folder:
            status = _call("benchmarks", "duet", "--base", str(folder), *options, said=said)
    except InputError as error:
        _warn(f"no duet: {error}")
        return UNDECIDED, None
    if arguments.summary:
        _append(Path(arguments.summary), f"### Duet against {commit[:12]}", said)
    found = f"suspicious, but a duet against {commit[:12]} found no regression"
    return status, found if status == FINE else None


def _same_code(base: Session, head: Session) -> bool:
    """Whether only the machine can have made a difference."""
    clean = not (base.commit.get("dirty") or head.commit.get("dirty"))
    same = base.commit.get("id") == head.commit.get("id")
    return clean and same and not comparable.treatment(base, head)


def _promote(path: Path, reason: str | None) -> None:
    """Promote a session; where it is refused (suspicious, an acknowledged regression), say so."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        promotion.promote(path, when=now, reason=reason)
    except InputError as error:
        _warn(f"not promoted: {error}")
    else:
        print(f"promoted: {path}")


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """Check a commit out beside this one; raises InputError where it can't be had."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "base")
        _git("worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> str:
    git = shutil.which("git") or "git"
    done = subprocess.run(  # noqa: S603 (git, and a revision that is no option)
        [git, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or "no word").splitlines()[-1]
        raise InputError(
            f"git {arguments[0]} failed ({said}); check the base out with its history (fetch-depth)"
        )
    return done.stdout.strip()


def _call(*module: str, said: list[str] | None = None) -> int:
    """Run a module of Python as a user would, in sight, and return its exit status.

    With `said`, what it prints is kept there as well.
    """
    print(f"$ python -m {shlex.join(module)}", flush=True)
    command = [sys.executable, "-m", *module]
    if said is None:
        return subprocess.call(command)  # noqa: S603 (modules of ours)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        for line in process.stdout or ():
            print(line, end="", flush=True)
            said.append(line.rstrip())
    return process.returncode


def _append(summary: Path, title: str, said: list[str]) -> None:
    """Add the end of what was said to the summary; indented, so that nothing in it is Markdown."""
    with summary.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(["", title, "", *(f"    {line}" for line in said[-MOST:]), ""]))


def _warn(text: str) -> None:
    """Say it; on GitHub as an annotation that is seen without opening the log."""
    print(f"::warning::{text}" if os.environ.get("GITHUB_ACTIONS") == "true" else text)
