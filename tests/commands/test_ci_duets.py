"""Duets that decide in the workflow: against what, of which length, and what they can't clear."""

import os
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.sessions import baseline
from benchmarks.verdicts import acknowledged
from tests.builders import LIFTED, verdict
from tests.repository import DOUBT, OPTIONS, SAVED, SUSPICIOUS, git, pins, run

ACCEPTED = f"--acknowledged={acknowledged.FILE}"  # of the gate; they pass in a duet as well
COLD = verdict("w", "INCONCLUSIVE", metric="cold_round_s", suspicious=True)


def pin_at_the_base(**others):
    """Let main be a commit of other pins, from which the branch starts anew."""
    git("checkout", "--quiet", "main")
    Path("constraints.txt").write_text(pins(**others))
    git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--all", "--message", "pins")
    git("checkout", "--quiet", "-B", "branch")


@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1), (10, 10), (12, 12)])
def test_a_duet_against_the_merge_base_decides_what_is_suspicious(job, duet, status):
    """It sees the commit where the branch left main, not what main got since; nothing is left."""
    job.suspect(duet)
    assert run("--base", "main") == status
    assert job.seen == "base"
    _, called = job.called
    assert called[:3] == ["benchmarks", "duet", "--base"]
    assert called[4] == "--model=synthetic:llama-3.1-8b"
    assert called[5].startswith("--out=.benchmarks/duets/")
    assert called[6:] == [ACCEPTED]
    lines = Path("summary.md").read_text().splitlines()
    assert f"### Duet against {job.commits['base'][:12]}" in lines
    assert "    REGRESSED  <b>a</b>" in lines  # indented: shown, not rendered
    assert len(git("worktree", "list").splitlines()) == 1
    assert job.promoted is None


@pytest.mark.parametrize("name", ["~/s.md", ""])
def test_the_summary_is_where_a_shell_has_it(job, monkeypatch, name):
    """For the duet's part as for the session's; a variable that isn't set names none."""
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    Path("home").mkdir()
    job.suspect(0)
    assert main(["ci", "--options", OPTIONS, f"--summary={name}"]) == 0
    assert "--summary" not in job.called[0] or f"{Path.cwd()}/home/s.md" in job.called[0]
    assert [each.name for each in Path("home").iterdir()] == (["s.md"] if name else [])
    assert not Path("~").exists()


def test_what_a_duet_cleared_becomes_a_baseline_and_says_so(job):
    """Else sessions beyond the interval would never count, and it would shrink for ever."""
    job.suspect(0)
    assert run("--promote") == 0
    assert job.seen == "base"  # the commit of the newest baseline
    assert job.promoted["forced"].startswith("suspicious, but a duet against ")
    newest = baseline.stored(Path(".benchmarks")).sessions[-1]
    assert baseline.is_baseline(newest)


def test_a_duet_makes_no_lifted_bound_good(job, capsys):
    """It finds no regression, which says nothing of the machine that the session was on."""
    job.suspect(0, validity=LIFTED)
    assert run("--promote") == 0
    assert job.promoted is None
    assert "not checked (--bounds): trend_size" in capsys.readouterr().out


def test_what_stays_undecided_is_a_warning_and_no_baseline(job, monkeypatch, capsys):
    """Nothing regressed as far as anyone can tell: the job doesn't fail, and doesn't keep quiet."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    job.suspect(11)
    assert run("--promote") == 0
    assert job.promoted is None
    assert "::warning::suspicious and undecided" in capsys.readouterr().out


def test_what_is_only_noisy_may_become_a_baseline(job):
    """Within what sessions vary, but they vary too much: that gets no better without new ones."""
    job.suspect(11, verdicts=[DOUBT])
    assert run("--promote") == 0
    assert job.promoted["forced"] is None


def test_the_same_commit_and_versions_need_no_duet(job, capsys):
    """A nightly run of unchanged code: the machine moved. Fine, and nothing to compare with."""
    job.suspect(commit=job.commits["base"])
    assert run("--promote") == 0
    assert len(job.called) == 1
    assert job.promoted is None
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
        (GONE, GONE, "the folder of the suite has no .git"),
        (REFUSED, REFUSED, "another user owns it: git config --global --add safe.directory /x"),
        ({"id": None}, {"id": None}, "the folder of the suite has no .git"),
        ({}, {}, "the folder of the suite has no .git"),
        (REFUSED, None, "detected dubious ownership in repository at '/x'"),
    ],
)
def test_an_unknown_commit_is_never_the_same(job, capsys, then, now, says):
    """Undecided, with the cause; how deep the history is doesn't matter there."""
    job.has_baseline(commit=then)
    job.suspect(commit=job.commits["head"] if now is None else now)
    assert run("--promote") == 11
    assert job.promoted is None
    assert len(job.called) == 1
    out = capsys.readouterr().out
    assert "only the machine changed" not in out
    assert says in out
    assert "fetch-depth" not in out


@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1)])
@pytest.mark.parametrize("now", [GONE, REFUSED])
def test_the_commit_of_the_baseline_is_enough_for_a_duet(job, now, duet, status):
    """Its other side is what is here, whatever that is."""
    job.suspect(duet, commit=now)
    assert run("--promote") == status
    assert job.seen == "base"


@pytest.mark.parametrize("base", [[], ["--base", "main"]])
def test_a_repository_that_git_cant_read_is_the_cause(job, monkeypatch, capsys, base):
    """Refused for its owner, or copied without its .git: the next step is about that."""
    job.suspect(commit=GONE)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # which may trust any folder
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
def test_another_build_of_a_version_is_never_the_same(job, capsys, then, now, version):
    """Nor one of the development that nobody knows the commit of; and no duet can bring it back."""
    versions = {"bitsandbytes": version}
    job.has_baseline(software=versions, **built(then))
    job.suspect(commit=job.commits["base"], software=versions, **built(now))
    assert run("--promote") == 11
    assert job.promoted is None
    assert len(job.called) == 1
    assert "bitsandbytes: the same version, but another build" in capsys.readouterr().out


def built(commit):
    """Return what a session attests of bitsandbytes' commit."""
    commits = {"torch": "0" * 40, "bitsandbytes": commit}
    return {"attestation": {"software": {"commits": commits}}}


def test_uncommitted_changes_are_never_the_same(job):
    """A commit says little of a checkout with changes: a duet against it decides."""
    same = {"id": job.commits["base"], "branch": "main"}
    job.suspect(0, commit={**same, "dirty": True})
    assert run() == 0
    assert job.seen == "base"


def test_other_libraries_than_the_newest_baselines_are_laid_over(job, capsys):
    """One environment's code on both sides would show nothing of them."""
    then = {"bitsandbytes": "0.50.1", "transformers": "5.22.0", "accelerate": "1.15.0"}
    now = {"bitsandbytes": "0.50.2", "transformers": "5.23.0", "accelerate": "1.15.0"}
    job.has_baseline(software=then)
    job.suspect(0, commit=job.commits["base"], software=now)
    assert run("--promote") == 0
    spec = "transformers==5.22.0,bitsandbytes==0.50.1"
    assert job.called[1][3] == spec
    assert f"the base is {spec} laid over" in capsys.readouterr().out
    assert f"### Duet against {spec}" in Path("summary.md").read_text()
    assert spec in job.promoted["forced"]


def test_other_pins_than_the_merge_bases_are_laid_over(job):
    """A pull request that moves a pin is compared with what main had."""
    pin_at_the_base(bitsandbytes="0.1.0")
    job.suspect(1)
    assert run("--base", "main") == 1
    assert job.called[1][3] == "bitsandbytes==0.1.0"
    assert job.seen is None


def test_another_torch_than_the_merge_bases_is_undecided(job, capsys):
    """No overlay brings it, so a duet would clear what it can't see."""
    pin_at_the_base(torch="2.0.1", bitsandbytes="0.1.0")
    job.suspect()
    assert run("--base", "main") == 11
    assert len(job.called) == 1
    assert "torch 2.0.1 -> " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch", "python", "cuda", "driver"])
def test_what_no_duet_can_lay_over_stays_undecided(job, capsys, name):
    """Neither fine nor a baseline: a person decides, and the warning names what changed."""
    software = {"torch": "2.13.0", name: "99"}
    job.suspect(commit=job.commits["base"], software=software)
    assert run("--promote") == 11
    assert len(job.called) == 1
    assert job.promoted is None
    assert "-> 99: a duet can't lay that over" in capsys.readouterr().out


def test_a_base_that_is_not_there_is_said(job, capsys):
    """A shallow checkout has no merge base: that isn't green, and names the next step."""
    job.suspect()
    assert run("--base", "origin/none") == 11
    out = capsys.readouterr().out
    assert "with no duet: git merge-base failed" in out
    assert "fetch-depth" in out


@pytest.mark.parametrize("duet", [2, 3, 4, -9])
def test_a_duet_that_could_not_run_is_not_green(job, capsys, duet):
    """Whatever ended it: nothing was decided."""
    job.suspect(duet)
    assert run("--promote") == 11
    assert job.promoted is None
    assert f"ended with status {duet}" in capsys.readouterr().out


@pytest.mark.parametrize("others", [[], [SUSPICIOUS["verdicts"][0]]])
@pytest.mark.parametrize("duet", [0, 11])
def test_a_cold_start_is_not_cleared_by_a_duet(job, capsys, others, duet):
    """A duet doesn't measure it; where nothing else is suspicious, none is run."""
    job.suspect(duet, verdicts=[COLD, *others])
    assert run("--promote") == 11
    assert len(job.called) == 1 + len(others)
    assert job.promoted is None
    assert "w cold_round_s: no duet measures it" in capsys.readouterr().out


def test_an_acknowledged_cold_start_passes_and_is_no_baseline(job):
    """The duet decides the rest, and what is acknowledged isn't cleared along with it."""
    job.suspect(0, verdicts=[{**COLD, "acknowledged": "known"}, *SUSPICIOUS["verdicts"]])
    assert run("--promote") == 0
    assert job.promoted is None


@pytest.mark.parametrize("by", ["gate", "duet"])
def test_an_accepted_regression_beside_a_suspicion_is_no_baseline(job, by):
    """The duet passes, but not because nothing regressed."""
    known = verdict("b", "REGRESSED", acknowledged="known")
    job.suspect(0, verdicts=[*SUSPICIOUS["verdicts"], *([known] if by == "gate" else [])])
    job.verdicts += [known] if by == "duet" else []
    assert run("--promote") == 0
    assert job.promoted is None


def test_a_duet_measures_as_many_tokens_as_the_session(job):
    """Its own default is fewer; what is chosen counts, and what is pytest's alone stays away."""
    job.suspect(0, workload={"model": "synthetic:tiny", "new_tokens": 128})
    options = "--again-within 0 --warmup-rounds 2 -k throughput"
    assert run("--base", "main", options=options) == 0
    assert job.called[0][-6:] == options.split()
    assert job.called[1][4:-2] == ["--new-tokens=128", "--warmup-rounds=2"]
    SAVED.unlink()
    assert run("--base", "main", options="--new-tokens 64") == 0
    assert job.called[3][4:-2] == ["--new-tokens=64"]
