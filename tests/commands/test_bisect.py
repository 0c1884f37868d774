"""Bisection asks few questions, and its answer is right whatever can't be tried."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.commands import duet
from benchmarks.commands.bisect import Search, is_work
from benchmarks.common.errors import InputError
from benchmarks.duet import bisection
from benchmarks.duet.bisection import Turn
from benchmarks.environments import candidates
from benchmarks.environments.overlay import Environment
from benchmarks.sessions.outcome import Outcome, Verdict
from tests.local_packages import pip_in_forks, pip_variables, write_wheel
from tests.running import ROOT, git


@given(data=st.data(), count=st.integers(2, 40))
def test_the_turn_lies_between_the_two_that_are_named(data, count):
    """All before are good, all after are bad; between lies only what can't be tried or decided."""
    names = [str(number) for number in range(count)]
    turned = data.draw(st.integers(1, count - 1))
    inner = list(range(1, count - 1))
    broken = data.draw(st.sets(st.sampled_from(inner))) if inner else set()
    noisy = data.draw(st.sets(st.sampled_from(sorted(broken)))) if broken else set()
    asked = []

    def turn(name):
        asked.append(name)
        if int(name) in broken:
            return Turn.UNDECIDED if int(name) in noisy else Turn.SKIPPED
        return Turn.BAD if int(name) >= turned else Turn.GOOD

    found = bisection.search(names, turn)
    assert int(found.good) < turned <= int(found.bad)
    assert {int(name) for name in found.between} <= broken
    assert {int(name) for name in found.undecided} == noisy & set(map(int, found.between))
    assert len(asked) == len(set(asked))
    assert names[0] not in asked
    assert len(asked) <= 2 + log2(count) + len(broken)


@pytest.mark.parametrize("answer", [Turn.GOOD, Turn.SKIPPED, Turn.UNDECIDED])
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


# Plays a duet's Python: what it was asked is kept, and the commit says how it ends.
PLAYED = """#!/bin/sh
echo "$@" >> asked
for out; do :; done
read -r status verdict < ../bisected/what
[ "$verdict" ] && echo "$verdict" > "$out/verdicts.json"
exit "$status"
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Return a folder with the script of docs/duet.md, beside an empty repository to bisect."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    python = tmp_path / "suite/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PLAYED)
    python.chmod(0o755)
    text = (ROOT / "docs/duet.md").read_text()
    (tmp_path / "suite/bisect.sh").write_text(re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1])
    git(tmp_path, "init", "--quiet", "bisected")
    return tmp_path / "suite"


def commit(suite, what):
    """Commit what a duet of this commit ends with."""
    (suite / "../bisected/what").write_text(f"{what}\n")
    git(suite / "../bisected", "add", ".")
    git(suite / "../bisected", "commit", "--quiet", "-m", what)


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("0", 0),
        ("1 REGRESSED", 1),
        ("1 INVALID", 125),  # an error after the first restarts
        ("1", 125),  # before them
        *((str(status), 255) for status in (2, 3)),
        *((str(status), 125) for status in (4, 10, 11, 12)),
    ],
)
def test_the_script_tells_git_what_a_duet_says_of_a_commit(suite, what, answer):
    """Good, bad, can't be told, or an end of it all; and the duet knows its options."""
    commit(suite, what)
    done = subprocess.run(["sh", suite / "bisect.sh"], check=False)  # noqa: S607
    assert done.returncode == answer
    parser = argparse.ArgumentParser()
    duet.add_arguments(parser)
    _, _, command, *options = (suite / "asked").read_text().split()
    assert command == "duet"
    assert parser.parse_args(options).head == "../bisected"


def test_git_bisect_run_finds_the_commit(suite):
    """As docs/duet.md calls it, in the folder of the checkout."""
    for what in ("0", "0 a", "1 REGRESSED", "1 REGRESSED b"):
        commit(suite, what)
    folder = suite / "../bisected"
    git(folder, "bisect", "start", "--first-parent", "HEAD", "HEAD~3", "--", "what")
    assert "found first bad commit" in git(folder, "bisect", "run", "sh", suite / "bisect.sh")
    assert git(folder, "log", "-1", "--format=%s", "refs/bisect/bad") == "1 REGRESSED"


def test_git_bisect_run_decides_nothing_that_a_duet_leaves_open(suite):
    """The undecided commit and the bad one are named, and none of them is the first bad one."""
    for what in ("0", "11 INCONCLUSIVE", "1 REGRESSED"):
        commit(suite, what)
    folder = suite / "../bisected"
    git(folder, "bisect", "start", "--first-parent", "HEAD", "HEAD~2", "--", "what")
    with pytest.raises(subprocess.CalledProcessError) as ended:
        git(folder, "bisect", "run", "sh", suite / "bisect.sh")
    assert "The first bad commit could be any of:" in ended.value.output
    assert "found first bad commit" not in ended.value.output


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


def verdict(metric, outcome, change, kind="time", benchmark="test_a", **more):
    """Return a verdict of a duet."""
    return Verdict(benchmark, metric, kind, outcome, 1.0, 1.0, change, **more)


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


@pytest.mark.parametrize(
    ("metric", "kind", "outcome", "turn"),
    [
        ("tpot_s", "time", Outcome.INCONCLUSIVE, Turn.UNDECIDED),
        ("round_s", "time", Outcome.INVALID, Turn.UNDECIDED),
        ("decode_device_s", "device", Outcome.INVALID, Turn.UNDECIDED),
        ("decode.python_calls", "counter", Outcome.MISSING, Turn.SKIPPED),
        ("tpot_s", "time", Outcome.NOT_COMPARABLE, Turn.SKIPPED),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_a_bad_end_that_is_not_decided_is_not_good(named, metric, kind, outcome, turn):
    """Neither too few restarts nor a busy machine, nor what isn't measured, say it is as fast."""
    found = [
        verdict(metric, outcome, 0.119, kind, detail="5 more decide"),
        verdict("weights_bytes", Outcome.NO_CHANGE, 0.2, "memory"),
    ]
    said = searching(None, metric if named else None)._bad_end("2.0", found)
    assert said.turn is turn
    assert said.why == f"{metric} {outcome.value} by +11.9 %: 5 more decide"


@pytest.mark.parametrize(
    ("outcome", "change", "turn"),
    [
        (Outcome.REGRESSED, 0.3, Turn.BAD),
        (Outcome.NO_CHANGE, 0.0, Turn.GOOD),
        (Outcome.IMPROVED, -0.1, Turn.GOOD),
        (Outcome.INCONCLUSIVE, 0.29, Turn.UNDECIDED),
        (Outcome.INCONCLUSIVE, 0.0, Turn.UNDECIDED),
        (Outcome.INVALID, None, Turn.UNDECIDED),
        (Outcome.MISSING, None, Turn.SKIPPED),
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
