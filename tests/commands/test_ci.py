"""What the workflow does with the gate's answer, in a real repository; the GPU's part is played."""

from pathlib import Path

import pytest

from benchmarks.sessions import baseline
from benchmarks.verdicts import acknowledged
from tests.builders import LIFTED, verdict
from tests.repository import DOUBT, SAVED, SUSPICIOUS, Machine, git, pins, run

ACCEPTED = f"--acknowledged={acknowledged.FILE}"  # of the gate; they pass in a duet as well
COLD = verdict("w", "INCONCLUSIVE", metric="cold_round_s", suspicious=True)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return the machine, in the folder of its repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Machine(monkeypatch)


def pin_at_the_base(**others):
    """Let main be a commit of other pins, from which the branch starts anew."""
    git("checkout", "--quiet", "main")
    Path("constraints.txt").write_text(pins(**others))
    git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--all", "--message", "pins")
    git("checkout", "--quiet", "-B", "branch")


def test_nothing_regressed_so_the_session_becomes_a_baseline(machine, capsys):
    """The gate gets the workload options and the summary; its session is promoted."""
    assert run("--promote") == 0
    (gate,) = machine.called
    assert gate[:3] == ["pytest", "benchmarks", "--gate"]
    assert gate[-4:] == ["--summary", "summary.md", "--model", "synthetic:llama-3.1-8b"]
    assert machine.promoted["forced"] is None
    assert f"promoted: {SAVED}" in capsys.readouterr().out


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 12])
def test_a_failure_of_any_kind_is_passed_on_and_never_promoted(machine, status):
    """The job's status is the gate's, and the session stays as evidence."""
    machine.gate = status
    assert run("--promote") == status
    assert len(machine.called) == 1
    assert machine.promoted is None


def test_what_was_not_compared_fails_but_starts_a_history(machine):
    """The first session of a new benchmark has nothing to be compared with, and isn't a pass."""
    machine.gate = 10
    machine.saved |= {"verdicts": [verdict("a", "MISSING")], "exit_status": 10}
    assert run("--promote") == 10
    assert machine.promoted


def test_nothing_is_promoted_unless_asked_for(machine):
    """A pull request is no baseline."""
    assert run("--base", "main") == 0
    assert machine.promoted is None


@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1), (10, 10), (12, 12)])
def test_a_duet_against_the_merge_base_decides_what_is_suspicious(machine, duet, status):
    """It sees the commit where the branch left main, not what main got since; nothing is left."""
    machine.suspect(duet)
    assert run("--base", "main") == status
    assert machine.seen == "base"
    _, called = machine.called
    assert called[:3] == ["benchmarks", "duet", "--base"]
    assert called[4] == "--model=synthetic:llama-3.1-8b"
    assert called[5].startswith("--out=.benchmarks/duets/")
    assert called[6:] == [ACCEPTED]
    lines = Path("summary.md").read_text().splitlines()
    assert f"### Duet against {machine.commits['base'][:12]}" in lines
    assert "    REGRESSED  <b>a</b>" in lines  # indented: shown, not rendered
    assert len(git("worktree", "list").splitlines()) == 1
    assert machine.promoted is None


def test_what_a_duet_cleared_becomes_a_baseline_and_says_so(machine):
    """Else sessions beyond the interval would never count, and it would shrink for ever."""
    machine.suspect(0)
    assert run("--promote") == 0
    assert machine.seen == "base"  # the commit of the newest baseline
    assert machine.promoted["forced"].startswith("suspicious, but a duet against ")
    newest = baseline.stored(Path(".benchmarks")).sessions[-1]
    assert baseline.is_baseline(newest)


def test_a_duet_makes_no_lifted_bound_good(machine, capsys):
    """It finds no regression, which says nothing of the machine that the session was on."""
    machine.suspect(0, validity=LIFTED)
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "not checked (--bounds): trend_size" in capsys.readouterr().out


def test_what_stays_undecided_is_a_warning_and_no_baseline(machine, monkeypatch, capsys):
    """Nothing regressed as far as anyone can tell: the job doesn't fail, and doesn't keep quiet."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    machine.suspect(11)
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "::warning::suspicious and undecided" in capsys.readouterr().out


def test_what_is_only_noisy_may_become_a_baseline(machine):
    """Within what sessions vary, but they vary too much: that gets no better without new ones."""
    machine.suspect(11, verdicts=[DOUBT])
    assert run("--promote") == 0
    assert machine.promoted["forced"] is None


def test_the_same_commit_and_versions_need_no_duet(machine, capsys):
    """A nightly run of unchanged code: the machine moved. Fine, and nothing to compare with."""
    machine.suspect(commit=machine.commits["base"])
    assert run("--promote") == 0
    assert len(machine.called) == 1
    assert machine.promoted is None
    out = capsys.readouterr().out
    assert "only the machine changed" in out
    assert "not promoted: " in out


GONE = {"id": "unversioned", "branch": "(unknown)", "dirty": False}
SAID = (
    "fatal: detected dubious ownership in repository at '/x'\nTo add an exception for this "
    "directory, call:\n\n\tgit config --global --add safe.directory /x\n"
)
REFUSED = {**GONE, "id": "unknown", "error": f"CalledProcessError(128, {SAID!r})"}


@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        (GONE, GONE, "there is no .git here"),
        (REFUSED, REFUSED, "another user owns it: git config --global --add safe.directory /x"),
        ({"id": None}, {"id": None}, "there is no .git here"),
        ({}, {}, "there is no .git here"),
        (REFUSED, None, "detected dubious ownership in repository at '/x'"),
    ],
)
def test_an_unknown_commit_is_never_the_same(machine, capsys, then, now, says):
    """Undecided, with the cause; how deep the history is doesn't matter there."""
    machine.has_baseline(commit=then)
    machine.suspect(commit=machine.commits["head"] if now is None else now)
    assert run("--promote") == 11
    assert machine.promoted is None
    assert len(machine.called) == 1
    out = capsys.readouterr().out
    assert "only the machine changed" not in out
    assert says in out
    assert "fetch-depth" not in out


@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1)])
@pytest.mark.parametrize("now", [GONE, REFUSED])
def test_the_commit_of_the_baseline_is_enough_for_a_duet(machine, now, duet, status):
    """Its other side is what is here, whatever that is."""
    machine.suspect(duet, commit=now)
    assert run("--promote") == status
    assert machine.seen == "base"


@pytest.mark.parametrize("base", [[], ["--base", "main"]])
def test_a_repository_that_git_cant_read_is_the_cause(machine, monkeypatch, capsys, base):
    """Refused for its owner, or copied without its .git: the next step is about that."""
    machine.suspect(commit=GONE)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert run(*base) == 11
    first = capsys.readouterr().out
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    Path(".git").rename("git")
    assert run(*base) == 11
    second = capsys.readouterr().out
    assert "another user owns it: git config --global --add safe.directory" in first
    assert "not a git repository" in second
    assert "run in a clone" in second
    assert "fetch-depth" not in first + second


@pytest.mark.parametrize(
    ("then", "now", "version"),
    [("1" * 40, "2" * 40, "0.51.0"), ("1" * 40, None, "0.51.0"), (None, None, "0.51.0.dev0")],
)
def test_another_build_of_a_version_is_never_the_same(machine, capsys, then, now, version):
    """Nor one of the development that nobody knows the commit of; and no duet can bring it back."""
    versions = {"bitsandbytes": version}
    machine.has_baseline(software=versions, **built(then))
    machine.suspect(commit=machine.commits["base"], software=versions, **built(now))
    assert run("--promote") == 11
    assert machine.promoted is None
    assert len(machine.called) == 1
    assert "bitsandbytes: the same version, but another build" in capsys.readouterr().out


def built(commit):
    """Return what a session attests of bitsandbytes' commit."""
    commits = {"torch": "0" * 40, "bitsandbytes": commit}
    return {"attestation": {"software": {"commits": commits}}}


def test_uncommitted_changes_are_never_the_same(machine):
    """A commit says little of a checkout with changes: a duet against it decides."""
    same = {"id": machine.commits["base"], "branch": "main"}
    machine.suspect(0, commit={**same, "dirty": True})
    assert run() == 0
    assert machine.seen == "base"


def test_other_libraries_than_the_newest_baselines_are_laid_over(machine, capsys):
    """One environment's code on both sides would show nothing of them."""
    then = {"bitsandbytes": "0.50.1", "transformers": "5.22.0", "accelerate": "1.15.0"}
    now = {"bitsandbytes": "0.50.2", "transformers": "5.23.0", "accelerate": "1.15.0"}
    machine.has_baseline(software=then)
    machine.suspect(0, commit=machine.commits["base"], software=now)
    assert run("--promote") == 0
    spec = "transformers==5.22.0,bitsandbytes==0.50.1"
    assert machine.called[1][3] == spec
    assert f"the base is {spec} laid over" in capsys.readouterr().out
    assert f"### Duet against {spec}" in Path("summary.md").read_text()
    assert spec in machine.promoted["forced"]


def test_other_pins_than_the_merge_bases_are_laid_over(machine):
    """A pull request that moves a pin is compared with what main had."""
    pin_at_the_base(bitsandbytes="0.1.0")
    machine.suspect(1)
    assert run("--base", "main") == 1
    assert machine.called[1][3] == "bitsandbytes==0.1.0"
    assert machine.seen is None


def test_another_torch_than_the_merge_bases_is_undecided(machine, capsys):
    """No overlay brings it, so a duet would clear what it can't see."""
    pin_at_the_base(torch="2.0.1", bitsandbytes="0.1.0")
    machine.suspect()
    assert run("--base", "main") == 11
    assert len(machine.called) == 1
    assert "torch 2.0.1 -> " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch", "python", "cuda", "driver"])
def test_what_no_duet_can_lay_over_stays_undecided(machine, capsys, name):
    """Neither fine nor a baseline: a person decides, and the warning names what changed."""
    software = {"torch": "2.13.0", name: "99"}
    machine.suspect(commit=machine.commits["base"], software=software)
    assert run("--promote") == 11
    assert len(machine.called) == 1
    assert machine.promoted is None
    assert "-> 99: a duet can't lay that over" in capsys.readouterr().out


def test_a_base_that_is_not_there_is_said(machine, capsys):
    """A shallow checkout has no merge base: that isn't green, and names the next step."""
    machine.suspect()
    assert run("--base", "origin/none") == 11
    out = capsys.readouterr().out
    assert "with no duet: git merge-base failed" in out
    assert "fetch-depth" in out


@pytest.mark.parametrize("duet", [2, 3, 4, -9])
def test_a_duet_that_could_not_run_is_not_green(machine, capsys, duet):
    """Whatever ended it: nothing was decided."""
    machine.suspect(duet)
    assert run("--promote") == 11
    assert machine.promoted is None
    assert f"ended with status {duet}" in capsys.readouterr().out


@pytest.mark.parametrize(("gate", "says"), [(10, ""), (11, "was not saved")])
def test_a_gate_that_saved_nothing_is_passed_on(machine, capsys, gate, says):
    """Nothing to promote, and nothing to start a duet from."""
    machine.gate, machine.saved = gate, None
    assert run("--promote") == gate
    assert not SAVED.exists()
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("others", [[], [SUSPICIOUS["verdicts"][0]]])
@pytest.mark.parametrize("duet", [0, 11])
def test_a_cold_start_is_not_cleared_by_a_duet(machine, capsys, others, duet):
    """A duet doesn't measure it; where nothing else is suspicious, none is run."""
    machine.suspect(duet, verdicts=[COLD, *others])
    assert run("--promote") == 11
    assert len(machine.called) == 1 + len(others)
    assert machine.promoted is None
    assert "w cold_round_s: no duet measures it" in capsys.readouterr().out


def test_an_acknowledged_cold_start_passes_and_is_no_baseline(machine):
    """The duet decides the rest, and what is acknowledged isn't cleared along with it."""
    machine.suspect(0, verdicts=[{**COLD, "acknowledged": "known"}, *SUSPICIOUS["verdicts"]])
    assert run("--promote") == 0
    assert machine.promoted is None


def test_an_acknowledged_regression_passes_and_is_no_baseline(machine, capsys):
    """It is compared with what was before for as long as it is acknowledged."""
    machine.saved |= {"verdicts": [verdict("a", "REGRESSED", acknowledged="known")]}
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "not promoted: " in capsys.readouterr().out


@pytest.mark.parametrize("by", ["gate", "duet"])
def test_an_accepted_regression_beside_a_suspicion_is_no_baseline(machine, by):
    """The duet passes, but not because nothing regressed."""
    known = verdict("b", "REGRESSED", acknowledged="known")
    machine.suspect(0, verdicts=[*SUSPICIOUS["verdicts"], *([known] if by == "gate" else [])])
    machine.verdicts += [known] if by == "duet" else []
    assert run("--promote") == 0
    assert machine.promoted is None


def test_a_duet_measures_as_many_tokens_as_the_session(machine):
    """Its own default is fewer; what is chosen counts, and what is pytest's alone stays away."""
    machine.suspect(0, workload={"model": "synthetic:tiny", "new_tokens": 128})
    options = "--again-within 0 --warmup-rounds 2 -k throughput"
    assert run("--base", "main", options=options) == 0
    assert machine.called[0][-6:] == options.split()
    assert machine.called[1][4:-2] == ["--new-tokens=128", "--warmup-rounds=2"]
    SAVED.unlink()
    assert run("--base", "main", options="--new-tokens 64") == 0
    assert machine.called[3][4:-2] == ["--new-tokens=64"]


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
def test_the_work_decides_a_pull_request(machine, verdicts, gate, status):
    """Without a duet, whatever the wall says beside a regression of the work."""
    machine.gate = gate
    machine.saved |= {"verdicts": verdicts, "exit_status": gate}
    assert run("--base", "main", "--gate=work") == status
    assert len(machine.called) == 1


@pytest.mark.parametrize("outcome", ["INVALID", "MISSING"])
def test_a_wall_that_could_not_be_judged_is_a_warning_there(machine, capsys, outcome):
    """A busy host is no failure of a pull request whose work is judged."""
    machine.gate = 12
    machine.saved |= {"verdicts": [of_work(), verdict("a", outcome)], "exit_status": 12}
    assert run("--base", "main", "--gate=work") == 0
    assert f"times of the wall: {outcome}" in capsys.readouterr().out
    assert run("--base", "main") == 12


@pytest.mark.parametrize("wall", [{**DOUBT, "suspicious": True}, verdict("a", "REGRESSED")])
@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1)])
def test_a_duet_decides_where_the_wall_alone_is_suspicious(machine, wall, duet, status):
    """Times of the wall only screen there, however large they are."""
    machine.gate, machine.duet = 11, duet
    machine.saved |= {"verdicts": [of_work(), wall], "exit_status": 11}
    assert run("--base", "main", "--gate=work") == status
    assert [each[:2] for each in machine.called] == [
        ["pytest", "benchmarks"],
        ["benchmarks", "duet"],
    ]
