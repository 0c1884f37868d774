"""Baselines on a branch: real repositories, a bare one as the remote."""

import json
import os
import shutil

import pytest

from benchmarks.__main__ import main
from benchmarks.common.errors import InputError
from benchmarks.sessions import baseline, storage
from benchmarks.sharing.branch import Branch, _copy
from tests.builders import DUET, promoted, save
from tests.running import GIT, git

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    **GIT,
}


@pytest.fixture
def clone(tmp_path):
    """Return a function that makes a clone of one bare repository, and its branch of baselines."""
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")

    def clone(name):
        git(tmp_path, "clone", "--quiet", "remote.git", name)
        return tmp_path / name / ".benchmarks", Branch(
            "origin", "baselines", ENVIRONMENT, tmp_path / name
        )

    return clone


def on_branch(tmp_path):
    """Return the files of the branch in the bare repository."""
    return git(tmp_path / "remote.git", "ls-tree", "-r", "--name-only", "baselines").splitlines()


def test_baselines_go_through_the_branch(clone, tmp_path):
    """Baselines arrive in another clone under the same names; other sessions stay at home."""
    ours, branch = clone("one")
    assert branch.pull(ours) == []  # no branch yet, so no baselines yet
    assert branch.push(ours) == []
    save(ours / "gpu/0001_a.json", day=1, promoted=promoted())
    save(ours / "gpu/0002_b.json", day=2)
    assert [path.name for path in branch.push(ours)] == ["0001_a.json"]
    assert on_branch(tmp_path) == ["gpu/0001_a.json"]
    assert branch.push(ours) == []  # nothing new

    theirs, other = clone("two")
    assert other.pull(theirs) == [theirs / "gpu/0001_a.json"]
    assert other.pull(theirs) == []
    assert json.loads((theirs / "gpu/0001_a.json").read_text()) == json.loads(
        (ours / "gpu/0001_a.json").read_text()
    )
    save(theirs / "cpu/0001_c.json", day=3, promoted=promoted())
    other.push(theirs)
    assert on_branch(tmp_path) == ["cpu/0001_c.json", "gpu/0001_a.json"]
    assert git(tmp_path / "one", "branch", "--list") == ""  # the checkout is left alone


def test_one_number_for_two_sessions_keeps_both(clone, tmp_path):
    """Two runners of one kind count alike; sessions are told apart by what they measured."""
    ours, branch = clone("one")
    theirs, other = clone("two")
    save(ours / "gpu/0001_ci.json", day=1, promoted=promoted())
    save(theirs / "gpu/0001_ci.json", day=2, promoted=promoted())
    branch.push(ours)
    assert [path.name for path in other.push(theirs)] == ["0002_ci.json"]
    assert on_branch(tmp_path) == ["gpu/0001_ci.json", "gpu/0002_ci.json"]
    assert [path.name for path in branch.pull(ours)] == ["0002_ci.json"]
    assert [path.name for path in other.pull(theirs)] == ["0002_ci.json"]
    for folder in (ours, theirs):
        assert {each.when[:10] for each in baseline.stored(folder).sessions} == {
            "2026-01-01",
            "2026-01-02",
        }
    assert branch.push(ours) == other.push(theirs) == []


def test_the_later_of_promotion_and_demotion_counts(clone):
    """A demotion reaches the branch and others, and no older promotion takes it back."""
    ours, branch = clone("one")
    theirs, other = clone("two")
    path = save(ours / "gpu/0001_a.json", promoted=promoted())
    branch.push(ours)
    other.pull(theirs)
    mark = {"promoted": None, "demoted": {"when": "2026-02-01T00:00:00+00:00"}}
    storage.change(path, lambda content: content["llm_int8"].update(mark))
    branch.push(ours)
    assert other.push(theirs) == []
    assert other.pull(theirs) == [theirs / "gpu/0001_a.json"]
    (session,) = baseline.stored(theirs).sessions
    assert not baseline.is_baseline(session)


def test_a_push_that_is_overtaken_is_to_be_made_again(clone, tmp_path, monkeypatch):
    """What another one pushed between the look and the push is kept, and nothing is lost."""
    ours, branch = clone("one")
    theirs, other = clone("two")
    save(ours / "gpu/0001_a.json", day=1, promoted=promoted())
    save(theirs / "gpu/0001_b.json", day=2, promoted=promoted())

    def late(source, target):
        copied = _copy(source, target)
        monkeypatch.undo()
        other.push(theirs)
        return copied

    monkeypatch.setattr("benchmarks.sharing.branch._copy", late)
    with pytest.raises(InputError, match="somebody pushed meanwhile: push again"):
        branch.push(ours)
    branch.push(ours)
    assert on_branch(tmp_path) == ["gpu/0001_a.json", "gpu/0001_b.json"]


def test_a_remote_that_cannot_be_reached_is_not_no_baselines(clone, tmp_path):
    """Otherwise everything would look new, and a regression could become a baseline."""
    ours, branch = clone("one")
    save(ours / "gpu/0001_a.json", promoted=promoted())
    shutil.rmtree(tmp_path / "remote.git")
    for use in (branch.pull, branch.push):
        with pytest.raises(InputError, match="git can't reach branch baselines") as caught:
            use(ours)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="upstream"):
        Branch("upstream", "baselines", ENVIRONMENT, tmp_path / "one").pull(ours)


def test_a_refused_push_says_why(clone, tmp_path):
    """A remote that takes no pushes is no race: what it says is passed on."""
    ours, branch = clone("one")
    save(ours / "gpu/0001_a.json", promoted=promoted())
    hook = tmp_path / "remote.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(InputError, match="pre-receive hook declined"):
        branch.push(ours)


def test_damaged_and_foreign_files_stay_at_home(clone, tmp_path):
    """Nothing but sessions of this suite gets to the branch, and no lock files."""
    ours, branch = clone("one")
    path = save(ours / "gpu/0001_a.json", promoted=promoted())
    storage.change(path, lambda _: None)  # leaves a lock file
    (ours / "gpu/0002_half.json").write_text(path.read_text()[:-9])
    (ours / "notes.json").write_text("{}")
    branch.push(ours)
    assert on_branch(tmp_path) == ["gpu/0001_a.json"]


def test_the_command_lists_pulls_and_pushes(clone, tmp_path, monkeypatch, capsys):
    """As a user calls it, in the folder of a clone."""
    ours, _ = clone("one")
    monkeypatch.chdir(tmp_path / "one")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    save(ours / "gpu/0001_a.json", day=1, promoted=promoted("on purpose"))
    save(ours / "gpu/0002_b.json", day=2)
    save(ours / "gpu/0003_c.json", day=3, passed=False)
    (ours / "gpu/0004_d.json").write_text("{")
    side = save(ours / "duets/1/restart-01-base.json", day=4)
    content = json.loads(side.read_text())
    side.write_text(json.dumps(content | {"llm_int8": content["llm_int8"] | {"duet": DUET}}))
    assert main(["baselines", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("skipped .benchmarks/gpu/0004_d.json")
    assert lines[-7:] == [
        "session      saved             commit    workload  tokens/s  state",
        "0001_a.json  2026-01-01 08:00  00000000  m +1             -  baseline",
        "    forced: on purpose",
        "0002_b.json  2026-01-02 08:00  00000000  m +1             -  not promoted",
        "0003_c.json  2026-01-03 08:00  00000000  m +1             -  refused",
        "    tests failed, or it was interrupted",
        "not listed: 1 of duets",
    ]
    assert lines[-8] == ".benchmarks/gpu:"
    assert main(["baselines", "push", "--branch", "baselines"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pushed: 0001_a.json",
        "push origin/baselines: 1 new or changed",
    ]
    assert main(["baselines", "push", "--branch", "baselines", "--storage", "x", str(ours)]) == 0
    assert "0 new or changed" in capsys.readouterr().out
    shutil.rmtree(ours)
    for arguments in (["list"], ["list", "--storage", ".", "x"]):
        with pytest.raises(SystemExit, match="4"):
            main(["baselines", *arguments])
        said = capsys.readouterr()
        assert "--storage: expected a folder of saved sessions, got none at " in said.err
        assert not said.out
    assert main(["baselines", "pull", "--branch", "baselines"]) == 0
    assert "pulled: 0001_a.json" in capsys.readouterr().out
    assert (ours / "gpu/0001_a.json").exists()
    with pytest.raises(SystemExit):
        main(["baselines", "pull", "--branch", "baselines", "--storage", "a", "b"])
    assert "expected one folder to pull into, got 2" in capsys.readouterr().err


def _year(folder, count=50):
    for n in range(count):
        when = f"2026-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00+00:00"
        save(folder / f"gpu/{n + 1:04}_a.json", when=when, promoted=promoted())


def test_a_push_sets_old_sessions_aside_and_a_pull_leaves_them(clone, tmp_path):
    """Judging needs the newest and the oldest of a level; a history needs all of them."""
    ours, branch = clone("one")
    _year(ours)
    assert len(branch.push(ours)) == 50
    aside = [name for name in on_branch(tmp_path) if "/history/" in name]
    assert aside == [f"gpu/history/{n:04}_a.json" for n in range(21, 31)]
    assert len(on_branch(tmp_path)) == 50
    assert branch.push(ours) == []  # a whole session here is known there as the thinned one

    theirs, other = clone("two")
    assert len(other.pull(theirs)) == 40
    assert not (theirs / "gpu/history").exists()
    assert len(other.pull(theirs, history=True)) == 10
    assert other.pull(theirs, history=True) == branch.pull(ours, history=True) == []
    known = baseline.stored(theirs)
    assert len(known.sessions) == 50
    assert not known.damaged
    assert other.push(theirs) == []


def test_a_demotion_of_a_thinned_session_and_one_that_comes_back(clone, tmp_path):
    """A demotion reaches it; if a newer one is demoted, the next older one counts again."""
    ours, branch = clone("one")
    _year(ours)
    branch.push(ours)
    for name in ("0022_a", "0050_a"):
        assert main(["promote", "--demote", str(ours / f"gpu/{name}.json")]) == 0
    assert {path.name for path in branch.push(ours)} == {"0022_a.json", "0050_a.json"}
    names = on_branch(tmp_path)
    assert "gpu/0030_a.json" in names
    assert {"gpu/history/0022_a.json", "gpu/0050_a.json"} <= {*names}  # a pull brings the demotion
    theirs, other = clone("two")
    other.pull(theirs, history=True)
    for path, is_thin in (("gpu/history/0022_a.json", True), ("gpu/0030_a.json", True)):
        saved = json.loads((theirs / path).read_text())["llm_int8"]
        assert bool(saved.get("thinned")) == is_thin
        assert bool(saved["promoted"]) == ("0030" in path)


def test_a_pull_fetches_only_what_it_checks_out(clone, tmp_path):
    """From a remote that filters, as hosts do, the files of a history aren't even fetched."""
    ours, branch = clone("one")
    _year(ours)
    branch.push(ours)
    remote = tmp_path / "remote.git"
    git(remote, "config", "uploadpack.allowFilter", "true")
    git(remote, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(tmp_path / "one", "remote", "set-url", "origin", remote.as_uri())
    with branch._clone(history=False) as clone_:
        missing = git(clone_, "rev-list", "--objects", "--all", "--missing=print", "FETCH_HEAD")
        assert sum(line.startswith("?") for line in missing.splitlines()) == 10
        assert len(baseline.files(clone_)) == 40
