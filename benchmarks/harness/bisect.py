"""Find where a verdict turned, among releases or commits in order: by halving, with a duet each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.version import InvalidVersion, Version

from benchmarks.harness import overlay, tool
from benchmarks.harness.errors import InputError
from benchmarks.harness.overlay import Environment

SECONDS = 600  # for an answer of git or of the package index


class Turn(Enum):
    """What a duet of a candidate against the good side says."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Tried:
    """One candidate, what its duet said, and why in a few words."""

    name: str
    turn: Turn
    why: str


@dataclass(frozen=True)
class Found:
    """The last good candidate and the first bad one; between them, those that can't be tried."""

    good: str
    bad: str
    between: tuple[str, ...]


def search(candidates: Sequence[str], turn: Callable[[str], Turn]) -> Found | None:
    """Return where the candidates, in order, turn from good to bad; None where the last is good.

    The first is good by definition, the last is tried first. `turn` is asked for each candidate at
    most once; where it is skipped, the nearest one that isn't decides. With one turn among n
    candidates that takes about log2(n) questions.
    """
    if turn(candidates[-1]) is not Turn.BAD:
        return None
    good, bad = 0, len(candidates) - 1
    skipped: set[int] = set()
    while open_ := [i for i in range(good + 1, bad) if i not in skipped]:
        middle = (good + bad) / 2
        tried = min(open_, key=lambda i: abs(i - middle))
        answer = turn(candidates[tried])
        if answer is Turn.SKIPPED:
            skipped.add(tried)
        elif answer is Turn.BAD:
            bad = tried
        else:
            good = tried
    return Found(candidates[good], candidates[bad], tuple(candidates[good + 1 : bad]))


def releases(
    package: str,
    good: str,
    bad: str,
    variables: Mapping[str, str],
    say: Callable[[str], None],
) -> list[str]:
    """Return the releases from good to bad, in order, as the package index has them.

    Without pre-releases, unless an end of the search is one: nobody ships them. They are named by
    `say`. Raises InputError where it can't be asked, or lacks one of them.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--pre"]
    done = tool.run(command, variables, SECONDS)
    found = re.search(r"^Available versions: (.+)$", done.output, re.MULTILINE)
    if done.status or not found:
        raise InputError(
            f"--package {package}: can't ask the package index: {tool.last_line(done.output)}; "
            "check the name and the network"
        )
    known = {Version(text.strip()): text.strip() for text in found[1].split(",")}
    ordered = [known[version] for version in sorted(known)]
    first, last = (_as_known(known, name) for name in (good, bad))
    inner = between(ordered, first, last, f"releases of {package}")
    kept = [each for each in inner if each in (first, last) or not Version(each).is_prerelease]
    if left_out := [each for each in inner if each not in kept]:
        say(f"left out, as pre-releases: {', '.join(left_out)}")
    return kept


def commits(checkout: Path, good: str, bad: str, variables: Mapping[str, str]) -> list[str]:
    """Return the commits of the main line from good to bad, in order. Raises InputError."""
    first, last = (
        _git(checkout, variables, "rev-parse", "--verify", f"{rev}^{{commit}}")
        for rev in (good, bad)
    )
    listed = _git(
        checkout, variables, "rev-list", "--first-parent", "--reverse", f"{first}..{last}"
    ).split()
    if not listed or _git(checkout, variables, "merge-base", first, last) != first:
        raise InputError(
            f"--good {good}: expected an ancestor of --bad {bad} in {checkout}; check the order"
        )
    return [first, *listed]


def between(ordered: Sequence[str], good: str, bad: str, what: str) -> list[str]:
    """Return the part of an ordered list from one name to a later one. Raises InputError."""
    for option, name in (("--good", good), ("--bad", bad)):
        if name not in ordered:
            known = f"{ordered[0]} to {ordered[-1]}" if ordered else "none"
            raise InputError(f"{option} {name}: expected one of the {what} ({known})")
    start, stop = ordered.index(good), ordered.index(bad)
    if start >= stop:
        raise InputError(f"--good {good}: expected it before --bad {bad} among the {what}")
    return list(ordered[start : stop + 1])


def _as_known(known: Mapping[Version, str], name: str) -> str:
    """Return a version as the index writes it: 1.0 and 1.0.0 are the same; as it is if unknown."""
    try:
        return known.get(Version(name), name)
    except InvalidVersion:
        return name


@contextmanager
def worktree(checkout: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Give a worktree of a checkout, in a folder of its own, and remove it at the end."""
    with TemporaryDirectory(prefix="bisect-") as folder:
        path = Path(folder) / "tree"
        _git(checkout, variables, "worktree", "add", "--detach", "--quiet", str(path), "HEAD")
        try:
            yield path
        finally:
            _git(checkout, variables, "worktree", "remove", "--force", str(path))


def commit_environment(
    commit: str,
    tree: Path,
    cache_dir: Path,
    variables: Mapping[str, str],
    say: Callable[[str], None],
) -> Environment:
    """Return the overlay of a commit, installed from its worktree where the cache lacks it."""
    _git(tree, variables, "checkout", "--detach", "--quiet", "--force", commit)
    _git(tree, variables, "clean", "-ffdxq")  # what building another commit left
    origin = _git(tree, variables, "rev-parse", "--git-common-dir")
    key = f"commit-{commit[:12]} of {origin}"
    return overlay.cached(commit[:12], [str(tree)], cache_dir, variables, say, key=key)


def _git(folder: Path, variables: Mapping[str, str], *arguments: str) -> str:
    done = tool.run(["git", "-C", str(folder), *arguments], variables, SECONDS)
    if done.status:
        raise InputError(
            f"{folder}: git {arguments[0]} failed: {tool.last_line(done.output)}; "
            "expected a git checkout, and revisions that it has"
        )
    return done.output.strip()
