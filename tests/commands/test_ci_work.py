"""A pull request whose work decides: the wall only screens it."""

import pytest

from tests.builders import verdict
from tests.repository import DOUBT, run


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
