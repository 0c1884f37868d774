"""Bisection asks few questions, and its answer is right whatever can't be tried."""

from __future__ import annotations

import os
import subprocess
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_packages import write_checkout

from benchmarks.harness import bisect
from benchmarks.harness.bisect import Turn
from benchmarks.harness.errors import InputError


@given(data=st.data(), count=st.integers(2, 40))
def test_the_turn_lies_between_the_two_that_are_named(data, count):
    """All before are good, all after are bad; only what can't be tried lies between."""
    names = [str(number) for number in range(count)]
    turned = data.draw(st.integers(1, count - 1))
    inner = list(range(1, count - 1))
    broken = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    asked = []

    def turn(name):
        asked.append(name)
        if int(name) in broken:
            return Turn.SKIPPED
        return Turn.BAD if int(name) >= turned else Turn.GOOD

    found = bisect.search(names, turn)
    assert int(found.good) < turned <= int(found.bad)
    assert {int(name) for name in found.between} <= broken
    assert len(asked) == len(set(asked))
    assert names[0] not in asked
    assert len(asked) <= 2 + log2(count) + len(broken)


@pytest.mark.parametrize("answer", [Turn.GOOD, Turn.SKIPPED])
def test_nothing_is_searched_where_the_bad_end_is_not_bad(answer):
    """One question, and no turn."""
    asked = []
    assert bisect.search(["1", "2", "3"], lambda name: (asked.append(name), answer)[1]) is None
    assert asked == ["3"]


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("1", "3", None),
        ("3", "1", "expected it before"),
        ("2", "2", "before"),
        ("9", "3", "one of"),
    ],
)
def test_the_ends_must_be_there_and_in_order(good, bad, says):
    """The part from one to the other, or one line."""
    if says is None:
        assert bisect.between(["0", "1", "2", "3", "4"], good, bad, "x") == ["1", "2", "3"]
        return
    with pytest.raises(InputError, match=says):
        bisect.between(["0", "1", "2", "3", "4"], good, bad, "x")


@pytest.fixture
def checkout(tmp_path):
    """Return a git checkout of a package with four commits, and the commits' hashes."""
    folder = write_checkout(tmp_path / "checkout", "bisected", "STATE = 0\n")
    who = {
        f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*arguments):
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    hashes = []
    for state in range(4):
        (folder / "bisected.py").write_text(f"STATE = {state}\n")
        git("add", ".")
        git("commit", "--quiet", "-m", str(state))
        hashes.append(git("rev-parse", "HEAD"))
    (folder / "bisected.py").write_text("STATE = 'being worked on'\n")
    return folder, hashes


def test_commits_are_installed_from_a_worktree_of_their_own(checkout, tmp_path):
    """The user's checkout, and what is being worked on in it, is not touched."""
    folder, hashes = checkout
    variables = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    assert bisect.commits(folder, hashes[0], "HEAD", variables) == hashes
    with bisect.worktree(folder, variables) as tree:
        built = []
        for number in (2, 1, 2):
            environment = bisect.commit_environment(
                hashes[number], tree, tmp_path, variables, built.append
            )
            text = (environment.overlay / "bisected.py").read_text()
            assert text.endswith(f"STATE = {number}\n")
        assert len(built) == 2  # the second time it comes from the cache
    assert not tree.exists()
    assert (folder / "bisected.py").read_text() == "STATE = 'being worked on'\n"
    assert len(bisect._git(folder, variables, "worktree", "list").splitlines()) == 1


def test_revisions_that_cant_be_searched_are_one_line(checkout, tmp_path):
    """In the wrong order, unknown, or not in a checkout at all."""
    folder, hashes = checkout
    for where, good, bad, says in (
        (folder, hashes[3], hashes[0], "expected an ancestor"),
        (folder, "nonesuch", "HEAD", "git rev-parse failed"),
        (tmp_path / "nowhere", "a", "b", "git rev-parse failed"),
    ):
        with pytest.raises(InputError, match=says) as raised:
            bisect.commits(where, good, bad, dict(os.environ))
        assert "\n" not in str(raised.value)
