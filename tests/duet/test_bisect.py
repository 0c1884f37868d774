"""Whole bisections of restarts that are made, not measured: what is found, and what stays open."""

from __future__ import annotations

import json

import pytest

from benchmarks.duet.restart import RestartRun
from benchmarks.duet.worker_process import LostError
from tests.duets import made

SURE, NONE = (0.3, 0.31, 0.29), (0.0, 0.001, -0.001)
NOISE = (-0.2, 0.6, -0.04)  # +7 % on average, and nobody knows


@pytest.fixture
def bisect(command, machine, monkeypatch, tmp_path):
    """Return a function that bisects four releases, each slower in its restarts by these shares.

    A restart of None takes more than all of the time. 1.2 can't be imported.
    """

    def bisect(*options, **slower):
        left = {f"sluggish==1.{name[1:]}": iter(shares) for name, shares in slower.items()}

        def play(run):
            share = next(left[run.environments["head"].spec])
            if share is None:
                machine.rest(3600)
                raise LostError("head: the worker was not done when --max-minutes were over")
            return made(slower=1 + share)

        monkeypatch.setattr(RestartRun, "play", play)
        ends = ("--package=sluggish", "--good=1.0", "--bad=1.3", "--max-restarts=3")
        status, said = command("bisect", *ends, "--new-tokens=1", *options)
        tried = json.loads((tmp_path / "out" / "tried.json").read_text())
        return status, said.splitlines(), {each["name"]: each["turn"] for each in tried}

    return bisect


@pytest.mark.parametrize(
    ("shares", "options"), [(NOISE, []), (NOISE[:2], ["--max-restarts=2"])], ids=["noise", "few"]
)
def test_an_end_that_is_undecided_is_not_good(bisect, shares, options):
    """Status 11 with metric, change, interval, and what it would take; nothing else is tried."""
    status, said, turns = bisect(*options, _3=shares)
    assert (status, turns) == (11, {"1.3": "undecided"})
    (line,) = [line for line in said if line.startswith("can't tell")]
    assert line.startswith("can't tell whether --bad 1.3 is slower: round_s INCONCLUSIVE by +")
    assert ("[-" in line) == (shares is NOISE)
    assert "3 are needed" in line or "raise --rounds" in line
    assert line.endswith(f"(now --max-restarts {len(shares)}, --max-minutes 60, --rounds 2)")


def test_a_middle_that_is_undecided_is_not_decided_by_its_estimate(bisect):
    """Both sides of it are named, with what its duet would need."""
    status, said, turns = bisect(_3=SURE, _1=NOISE)
    assert (status, turns) == (11, {"1.3": "bad", "1.2": "skipped", "1.1": "undecided"})
    assert "can't tell in which of 1.1, 1.2, 1.3 it turned; the last good one is 1.0" in said
    (line,) = [line for line in said if line.startswith("undecided: 1.1: round_s INCONCLUSIVE")]
    assert "--max-restarts 3" in line


def test_a_candidate_for_which_there_is_no_time_is_undecided(bisect):
    """It may run as well as any other: nobody waited for it."""
    status, said, turns = bisect(_3=[None])
    assert (status, turns) == (11, {"1.3": "undecided"})
    (line,) = [line for line in said if line.startswith("can't tell")]
    assert "no restart was complete; restart 1: head: the worker was not done when" in line


def test_an_end_that_is_good_has_no_turn(bisect):
    """Status 10: it is shown that nothing got slower."""
    status, said, turns = bisect(_3=NONE)
    assert (status, turns) == (10, {"1.3": "good"})
    assert any(line.startswith("--bad 1.3 is not found to be slower") for line in said)
