"""What a duet saves of a restart, beside what its workers measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.duet.saving import Files
from benchmarks.duet.schedule import SIDES, Take, plan
from tests import duets, running

FACTS: dict[str, Any] = {"id": "d", "looks": {"5": 0.05}}


def test_each_side_is_of_the_commit_that_its_worker_ran(tmp_path):
    """A checkout at another place is of another commit; one of an older suite doesn't say which."""
    played, takes = duets.made(), tuple(map(Take, SIDES))
    side = played.started["head"]
    played.started["base"] = {**side, "commit": {"id": "b" * 40, "branch": "main"}}
    (planned,) = plan(1, 3, takes, 1)
    conditions: Any = SimpleNamespace(alternate=False, takes=takes)
    saved = Files(tmp_path, dict.fromkeys(SIDES, "current")).save(
        1, planned, played, conditions, FACTS
    )
    assert [saved[take].commit.get("id") for take in takes] == ["b" * 40, None]


def test_a_checkout_that_is_installed_keeps_its_commit(tmp_path):
    """The worker runs a copy of it, which no repository keeps."""
    checkout = tmp_path / "checkout"
    (checkout / "benchmarks").mkdir(parents=True)
    (checkout / "benchmarks/__main__.py").touch()
    running.git(checkout, "init", "--quiet", "--initial-branch=old")
    running.git(checkout, "add", "--all")
    running.git(checkout, "commit", "--quiet", "--message", "old")
    played, takes = duets.made(), tuple(map(Take, SIDES))
    (planned,) = plan(1, 3, takes, 1)
    conditions: Any = SimpleNamespace(alternate=False, takes=takes)
    specs = {"base": str(checkout), "head": str(tmp_path)}
    saved = Files(tmp_path / "out", specs).save(1, planned, played, conditions, FACTS)
    commits = [saved[take].commit for take in takes]
    assert commits[0]["branch"] == "old"
    assert commits[0]["id"] == running.git(checkout, "rev-parse", "HEAD")
    assert commits[1] == {}
