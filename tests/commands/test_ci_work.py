"""A pull request whose work decides: the wall only screens it."""

from pathlib import Path

import pytest

from tests.builders import verdict
from tests.repository import DOUBT, SAVED, run


def of_work(outcome="NO CHANGE"):
    """Return a verdict on the device time of a benchmark."""
    return {**verdict("a", outcome), "metric": "decode_device_s", "kind": "device"}


@pytest.mark.parametrize(
    ("verdicts", "gate", "status"),
    [
        ([of_work(), verdict("a", "NO CHANGE")], 0, 0),
        ([of_work("REGRESSED"), verdict("a", "NO CHANGE")], 1, 1),
        ([of_work("REGRESSED"), {**DOUBT, "suspicious": True}], 1, 1),
        ([of_work("INVALID"), verdict("a", "NO CHANGE")], 12, 12),
        ([of_work("MISSING"), verdict("a", "NO CHANGE")], 10, 10),
    ],
)
def test_the_work_decides_a_pull_request(job, verdicts, gate, status):
    """Without a duet, whatever the wall says beside a regression of the work."""
    job.gate = gate
    job.saved |= {"verdicts": verdicts, "exit_status": gate}
    assert run("--base", "main", "--gate=work") == status
    assert len(job.called) == 1


@pytest.mark.parametrize("outcome", ["INVALID", "MISSING"])
def test_a_wall_that_could_not_be_judged_is_a_warning_there(job, capsys, outcome):
    """A busy host is no failure of a pull request whose work is judged."""
    job.gate = 12
    job.saved |= {"verdicts": [of_work(), verdict("a", outcome)], "exit_status": 12}
    assert run("--base", "main", "--gate=work") == 0
    assert f"wall times: {outcome}" in capsys.readouterr().out
    assert run("--base", "main") == 12


@pytest.mark.parametrize(
    ("options", "refused", "is_promoted"),
    [(["--gate=work"], {}, True), ([], {}, False), (["--gate=work"], {"passed": False}, False)],
)
def test_a_busy_machine_has_baselines_of_work(job, options, refused, is_promoted):
    """Otherwise the first one would wait for a quiet night; times of it are compared with none."""
    busy = {"valid": False, "reasons": ["other programs used 50 % of this core; wait"]}
    Path(".benchmarks/gpu/0001_ci.json").unlink()
    job.gate = 10
    job.saved |= {"validity": busy, "exit_status": 10, **refused}
    assert run("--promote", *options) == 10
    assert bool(job.promoted) is is_promoted
    if is_promoted:
        assert job.promoted["forced"].startswith("its work decides")


@pytest.mark.parametrize("wall", [{**DOUBT, "suspicious": True}, verdict("a", "REGRESSED")])
@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1), (12, 0)])
def test_a_duet_decides_where_the_wall_alone_is_suspicious(job, wall, duet, status):
    """Times of the wall only screen there, however large they are."""
    job.gate, job.duet = 11, duet
    job.saved |= {"verdicts": [of_work(), wall], "exit_status": 11}
    assert run("--base", "main", "--gate=work") == status
    assert [each[:2] for each in job.called] == [
        ["pytest", "benchmarks"],
        ["benchmarks", "duet"],
    ]
    assert "--gate=work" not in job.called[1]  # it times rounds: the work is decided already


def test_a_much_slower_cold_start_is_not_cleared_by_a_duet(job, capsys):
    """No duet measures it, however much slower the session says that it is."""
    job.gate = 1
    job.saved |= {"verdicts": [of_work(), verdict("a", "REGRESSED", metric="cold_round_s")]}
    assert run("--base", "main", "--gate=work") == 11
    assert len(job.called) == 1
    assert "a cold_round_s: no duet measures it" in capsys.readouterr().out


@pytest.mark.parametrize("duet", [0, 1])
def test_the_wall_is_no_error_before_a_duet_decided(job, monkeypatch, capsys, duet):
    """The session, which knows of no duet, annotates nothing; a regression of the work is one."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    wall = verdict("a", "REGRESSED", change=0.15, base=1.0, head=1.15, detail="beyond the 3.7%")
    job.gate, job.duet = 1, duet
    job.saved |= {"verdicts": [of_work(), wall], "exit_status": 1}
    assert run("--base", "main", "--gate=work") == duet
    assert job.variables[0]["GITHUB_ACTIONS"] == ""
    out = capsys.readouterr().out
    assert "::error" not in out
    (line,) = [line for line in out.splitlines() if line.startswith("::warning title=a::")]
    assert "INCONCLUSIVE round_s" in line
    assert "suspicious: beyond the 3.7%25; a duet decides it" in line
    job.saved |= {"verdicts": [of_work("REGRESSED"), wall], "failed": {"x::test_b[c]": "it broke"}}
    SAVED.unlink()
    assert run("--base", "main", "--gate=work") == 1
    out = capsys.readouterr().out
    assert "::error title=a::REGRESSED decode_device_s" in out
    assert "::error title=FAILED::FAILED: it broke (b[c])" in out


def test_failures_are_an_error_though_nothing_was_saved(job, monkeypatch, capsys):
    """Then nobody knows which, but that every benchmark failed."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    job.gate, job.saved = 1, None
    assert run("--gate=work") == 1
    assert "::error::every benchmark failed" in capsys.readouterr().out


def test_the_last_line_says_why_the_status_is_another(job, capsys):
    """After a gate that failed and a duet that passed, and the other way round; the summary too."""
    job.gate = 1
    job.saved |= {"verdicts": [of_work(), verdict("a", "REGRESSED")], "exit_status": 1}
    assert run("--base", "main", "--gate=work") == 0
    (*_, last) = capsys.readouterr().out.splitlines()
    says = "the session exited with 1, and ci with 0: nothing regressed, as far as it was decided"
    assert last == f"ci: {says}"
    (*_, last) = Path("summary.md").read_text().splitlines()
    assert last == f"### In the end: {says}"
    SAVED.unlink()
    job.suspect(1)
    assert run("--base", "main") == 1
    (*_, last) = capsys.readouterr().out.splitlines()
    assert last.endswith("with 11, and ci with 1: a benchmark failed, or got worse")
    SAVED.unlink()
    job.gate = job.duet = 0
    job.saved |= {"verdicts": [of_work()], "exit_status": 0}
    assert run("--base", "main") == 0
    assert "ci: the session" not in capsys.readouterr().out


def test_a_duet_about_the_work_times_no_round(job):
    """Device time alone is suspicious: its duet needs few restarts, and no quiet host."""
    job.suspect(0, verdicts=[{**of_work("INCONCLUSIVE"), "suspicious": True}])
    assert run("--base", "main", "--gate=work") == 0
    assert "--gate=work" in job.called[1]


def test_the_fast_gate_runs_there_as_well(job):
    """A session of work alone has no wall that another gate could judge."""
    job.saved |= {"verdicts": [of_work()]}
    assert run("--base", "main", "--gate=work", options="--work-only") == 0
    assert job.called[0][:3] == ["pytest", "benchmarks", "--gate=work"]
