"""What the workflow does with the gate's answer: it is passed on, and may become a baseline."""

import pytest

from benchmarks.commands import ci
from tests.builders import verdict
from tests.repository import SAVED, run


def test_nothing_regressed_so_the_session_becomes_a_baseline(job, capsys):
    """The gate gets the workload options and the summary; its session is promoted."""
    assert run("--promote") == 0
    (gate,) = job.called
    assert gate[:3] == ["pytest", "benchmarks", "--gate"]
    assert gate[-4:] == ["--summary", "summary.md", "--model", "synthetic:llama-3.1-8b"]
    assert job.promoted["forced"] is None
    assert f"promoted: {SAVED}" in capsys.readouterr().out


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 12])
def test_a_failure_of_any_kind_is_passed_on_and_never_promoted(job, status):
    """The job's status is the gate's, and the session stays as evidence."""
    job.gate = status
    assert run("--promote") == status
    assert len(job.called) == 1
    assert job.promoted is None


def test_what_was_not_compared_fails_but_starts_a_history(job):
    """The first session of a new benchmark has nothing to be compared with, and isn't a pass."""
    job.gate = 10
    job.saved |= {"verdicts": [verdict("a", "MISSING")], "exit_status": 10}
    assert run("--promote") == 10
    assert job.promoted


def test_nothing_is_promoted_unless_asked_for(job):
    """A pull request is no baseline."""
    assert run("--base", "main") == 0
    assert job.promoted is None


def test_a_warning_is_one_line_whatever_it_says(capsys, monkeypatch):
    """On GitHub what follows an end of line would be another command, and % an escape."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ci._warn("slower by 5 %\n::error::x")
    assert capsys.readouterr().out == "::warning::slower by 5 %25%0A::error::x\n"


@pytest.mark.parametrize(("gate", "says"), [(10, ""), (11, "was not saved")])
def test_a_gate_that_saved_nothing_is_passed_on(job, capsys, gate, says):
    """Nothing to promote, and nothing to start a duet from."""
    job.gate, job.saved = gate, None
    assert run("--promote") == gate
    assert not SAVED.exists()
    assert says in capsys.readouterr().out


def test_an_acknowledged_regression_passes_and_is_no_baseline(job, capsys):
    """It is compared with what was before for as long as it is acknowledged."""
    job.saved |= {"verdicts": [verdict("a", "REGRESSED", acknowledged="known")]}
    assert run("--promote") == 0
    assert job.promoted is None
    assert "not promoted: " in capsys.readouterr().out
