"""Bisection asks few questions, and its answer is right whatever can't be tried."""

from __future__ import annotations

import os
import sys
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.commands.bisect import Search, is_work
from benchmarks.common.errors import InputError
from benchmarks.common.git import run_git, worktree
from benchmarks.duet import bisection
from benchmarks.duet.bisection import Turn
from benchmarks.environments import candidates
from benchmarks.environments.overlay import Environment, Overlays
from benchmarks.sessions.outcome import Outcome, Verdict
from tests.local_packages import pip_in_forks, pip_variables, write_checkout, write_wheel
from tests.running import git


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

    found = bisection.search(names, turn)
    assert int(found.good) < turned <= int(found.bad)
    assert {int(name) for name in found.between} <= broken
    assert len(asked) == len(set(asked))
    assert names[0] not in asked
    assert len(asked) <= 2 + log2(count) + len(broken)


@pytest.mark.parametrize("answer", [Turn.GOOD, Turn.SKIPPED])
def test_nothing_is_searched_where_the_bad_end_is_not_bad(answer):
    """One question, and no turn."""
    asked = []
    assert bisection.search(["1", "2", "3"], lambda name: (asked.append(name), answer)[1]) is None
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
        assert candidates.between(["0", "1", "2", "3", "4"], good, bad, "x") == ["1", "2", "3"]
        return
    with pytest.raises(InputError, match=says):
        candidates.between(["0", "1", "2", "3", "4"], good, bad, "x")


@pytest.fixture(autouse=True)
def quick_pip():
    """Let pip start quickly."""
    with pip_in_forks():
        yield


@pytest.fixture
def checkout(tmp_path):
    """Return a git checkout of a package with four commits, and the commits' hashes."""
    folder = write_checkout(tmp_path / "checkout", "bisected", "STATE = 0\n")
    git(folder, "init", "--quiet")
    hashes = []
    for state in range(4):
        (folder / "bisected.py").write_text(f"STATE = {state}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", str(state))
        hashes.append(git(folder, "rev-parse", "HEAD"))
    (folder / "bisected.py").write_text("STATE = 'being worked on'\n")
    return folder, hashes


def test_commits_are_installed_from_a_worktree_of_their_own(checkout, tmp_path):
    """The user's checkout, and what is being worked on in it, is not touched.

    What building another commit left in the worktree is gone before the next one is built.
    """
    folder, hashes = checkout
    variables = os.environ | pip_variables(tmp_path)
    assert candidates.commits(folder, hashes[0], "HEAD", variables) == hashes
    with worktree(folder, variables) as tree:
        built = []
        for number in (2, 1, 2):
            (tree / "left.o").touch()
            environment = candidates.commit_environment(
                hashes[number], tree, Overlays(tmp_path, variables, built.append)
            )
            text = (environment.overlay / "bisected.py").read_text()
            assert text.endswith(f"STATE = {number}\n")
            assert not (tree / "left.o").exists()
        assert len(built) == 2  # the second time it comes from the cache
    assert not tree.exists()
    assert (folder / "bisected.py").read_text() == "STATE = 'being worked on'\n"
    assert len(run_git(folder, variables, "worktree", "list").splitlines()) == 1


def test_revisions_that_cant_be_searched_are_one_line(checkout, tmp_path):
    """In the wrong order, unknown, or not in a checkout at all."""
    folder, hashes = checkout
    for where, good, bad, says in (
        (folder, hashes[3], hashes[0], "expected an ancestor"),
        (folder, "nonesuch", "HEAD", "git rev-parse failed"),
        (tmp_path / "nowhere", "a", "b", "git rev-parse failed"),
    ):
        with pytest.raises(InputError, match=says) as raised:
            candidates.commits(where, good, bad, dict(os.environ))
        assert "\n" not in str(raised.value)


def test_releases_are_ordered_and_pre_releases_are_named(tmp_path):
    """A post-release is one that people have; a release candidate counts only as an end."""
    for version in ("1.0", "1.0.post1", "1.9", "1.10rc1", "1.10", "1.11.dev1"):
        write_wheel(tmp_path, "numbered", version, "")
    variables = os.environ | pip_variables(tmp_path)
    said = []
    found = candidates.releases("numbered", "1.0.0", "1.10", variables, said.append)
    assert found == ["1.0", "1.0.post1", "1.9", "1.10"]
    assert said == ["left out, as pre-releases: 1.10rc1"]
    assert candidates.releases("numbered", "1.9", "1.10rc1", variables, said.append) == [
        "1.9",
        "1.10rc1",
    ]
    assert len(said) == 1
    with pytest.raises(InputError, match="--good one: expected one of the releases of numbered"):
        candidates.releases("numbered", "one", "1.10", variables, said.append)


def searching(environment, metric=None):
    """Return a search that has not asked anything."""
    good = Environment("good", sys.executable, environment)
    return Search(None, None, None, good, lambda _: good, [], metric=metric)


def test_a_commit_that_changes_no_file_of_the_package_is_good(checkout, tmp_path):
    """Nothing is measured: the same files can't be slower."""
    folder, hashes = checkout
    (folder / "README").write_text("more words\n")
    for command in (["checkout", "-q", "bisected.py"], ["add", "."], ["commit", "-qm", "words"]):
        git(folder, *command)
    variables = os.environ | pip_variables(tmp_path)
    with worktree(folder, variables) as tree:
        older, same, words = (
            candidates.commit_environment(
                run_git(folder, variables, "rev-parse", rev),
                tree,
                Overlays(tmp_path, variables, print),
            )
            for rev in (hashes[0], hashes[3], "HEAD")
        )
    assert not older.same_files(same)
    assert words.overlay != same.overlay
    assert words.same_files(same)
    search = searching(same.overlay)
    assert search.turn("words") is Turn.GOOD
    assert search.tried[0].why == "the same files as those of the good end"


def verdict(metric, outcome, change, kind="time", benchmark="test_a"):
    """Return a verdict of a duet."""
    return Verdict(benchmark, metric, kind, outcome, 1.0, 1.0, change)


AT_THE_BAD_END = [
    verdict("decode.cpu_ops", Outcome.REGRESSED, 3.0, kind="counter"),
    verdict("ttft_s", Outcome.REGRESSED, 0.02),
    verdict("tpot_s", Outcome.REGRESSED, 0.3),
    verdict("tpot_s", Outcome.IMPROVED, -0.3, benchmark="test_b"),
]


@pytest.mark.parametrize(
    ("metric", "asked"), [(None, "tpot_s"), ("ttft_s", "ttft_s"), ("decode.cpu_ops",) * 2]
)
def test_the_worst_regression_of_the_bad_end_is_followed(tmp_path, metric, asked):
    """Times come first; a metric that is named is the only one."""
    search = searching(tmp_path, metric)
    assert search._bad_end("2.0", AT_THE_BAD_END).turn is Turn.BAD
    assert search.asked == ("test_a", asked)
    assert searching(tmp_path, "round_s")._bad_end("2.0", AT_THE_BAD_END).turn is Turn.SKIPPED


def test_a_bad_end_whose_times_are_not_judged_is_not_good(tmp_path):
    """A machine that couldn't be trusted says nothing of a release."""
    found = [
        verdict("round_s", Outcome.INVALID, None),
        verdict("weights_bytes", Outcome.NO_CHANGE, 0),
    ]
    said = searching(tmp_path)._bad_end("2.0", found)
    assert said.turn is Turn.SKIPPED
    assert "INVALID" in said.why


@pytest.mark.parametrize(
    ("outcome", "change", "turn"),
    [
        (Outcome.REGRESSED, 0.3, Turn.BAD),
        (Outcome.NO_CHANGE, 0.0, Turn.GOOD),
        (Outcome.IMPROVED, -0.1, Turn.GOOD),
        (Outcome.INCONCLUSIVE, 0.2, Turn.BAD),
        (Outcome.INCONCLUSIVE, 0.1, Turn.GOOD),
        (Outcome.INVALID, None, Turn.SKIPPED),
    ],
)
def test_candidates_are_asked_for_what_regressed_at_the_bad_end(tmp_path, outcome, change, turn):
    """Another metric, or another benchmark, that regresses meanwhile is another story."""
    search = searching(tmp_path)
    search._bad_end("2.0", AT_THE_BAD_END)
    others = [
        verdict("ttft_s", Outcome.REGRESSED, 0.5),
        verdict("tpot_s", Outcome.REGRESSED, 0.5, benchmark="test_b"),
    ]
    found = search._judged("1.5", [*others, verdict("tpot_s", outcome, change)])
    assert found.turn is turn
    assert search._judged("1.5", others).turn is Turn.SKIPPED


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("decode_device_s", True),
        ("prefill_device_s", True),
        ("decode.python_calls", True),
        ("prefill.kernel_launches", True),
        ("tpot_s", False),
        ("round_s", False),
        ("weights_bytes", False),
        ("", False),
    ],
)
def test_a_figure_of_the_work_is_followed_without_rounds(metric, expected):
    """Three restarts that only gather work tell it."""
    assert is_work(metric) is expected
