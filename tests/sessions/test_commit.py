"""Which code a session ran: known, or not, and then the same as no other."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.page import labels
from benchmarks.sessions import commit, pytest_format
from benchmarks.verdicts import exact
from benchmarks.verdicts.records import Record
from tests import running
from tests.builders import DUET, session

BUILT = {"attestation": {"software": {"commits": {"bitsandbytes": "1" * 40}}}}
UNKNOWN = [{}, {"id": None}, {"id": ""}, {"id": "unknown"}, {"id": "unversioned"}]


def code(info=None, **changes):
    """Return what a session of one benchmark ran."""
    return commit.code(session(("a", [1.0], {"schema": 1, **(info or {})}), **changes))


@pytest.mark.parametrize("id_", [*UNKNOWN, {"id": "a" * 40, "dirty": True}])
def test_what_is_not_known_is_no_other_sessions(id_):
    """However alike two sessions look; but the restarts of a duet's side ran one code."""
    assert code(commit=id_, name="one") != code(commit=id_, name="two")
    restarts = [code(commit=id_, name=name, duet=DUET) for name in ("one", "two")]
    assert restarts[0] == restarts[1]
    assert restarts[0] != code(commit=id_, duet={**DUET, "side": "head"})


def test_a_clean_commit_with_the_same_versions_is_the_same():
    """Any version or build that differs makes another code of it."""
    assert code(name="one") == code(name="two")
    assert code() != code(commit="b" * 40)
    assert code() != code(software={"torch": "2.0"})
    assert code(BUILT) == code(BUILT)
    assert code(BUILT) != code()
    nightly = {"bitsandbytes": "0.51.0.dev0"}
    assert code(BUILT, software=nightly) == code(BUILT, software=nightly, name="two")
    assert code(software=nightly) != code(software=nightly, name="two")


@pytest.mark.parametrize("id_", UNKNOWN)
def test_counters_are_compared_with_the_newest_of_an_unknown_commit(id_):
    """An older one could be of before an improvement, which then might be undone."""
    sides = [
        session(("a", [1.0], None), commit=id_, name=name, when=f"2026-01-0{name}") for name in "12"
    ]
    records = [Record(each, each.measured["a"]) for each in sides]
    assert exact.newest_code(records) == records[1:]
    known = [dataclasses.replace(each, commit={"id": "a" * 40}) for each in sides]
    assert len(exact.newest_code([Record(each, each.measured["a"]) for each in known])) == 2


@pytest.mark.parametrize("id_", UNKNOWN)
def test_a_page_says_that_a_commit_is_not_known(id_):
    """Ten characters of pytest-benchmark's word for it are none."""
    assert labels.commit_label(session(commit=id_)) == "unknown"


def test_why_a_commit_is_not_known(monkeypatch, tmp_path):
    """As pytest-benchmark stores it: no .git, another owner's, no commit yet, and no git."""
    monkeypatch.setattr(commit, "SUITE", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # which may trust any folder

    def why():
        return commit.why_unknown(pytest_format.commit_info())

    assert why().startswith("the folder of the suite has no .git; ")
    subprocess.run(["git", "init", "--quiet"], check=True)  # noqa: S607 (the user's)
    assert why().startswith("git: bad revision 'HEAD'; ")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        assert why() == (
            f"git: detected dubious ownership in repository at '{tmp_path}'; another user owns it: "
            f"git config --global --add safe.directory {tmp_path}"
        )
        patch.setenv("PATH", "/nowhere")
        assert why().startswith("git isn't installed; ")
    assert commit.why_unknown({"id": "a" * 40}) == ""


def test_the_commit_is_that_of_the_suite(monkeypatch, tmp_path):
    """Wherever it is run from: the code of another folder's repository measured nothing."""
    here = pytest_format.commit_info()
    running.git(tmp_path, "init", "--quiet", "--initial-branch=other")
    running.git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as in a hook
    found = pytest_format.commit_info()
    assert found == here
    assert found["branch"] != "other"
    assert Path.cwd() == tmp_path
    assert os.environ["GIT_DIR"] == str(tmp_path / ".git")


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r/commit/"),
        ("git@github.com:o/r.git\n", "https://github.com/o/r/commit/"),
        ("https://user:secret@gitlab.com/g/s/r", "https://gitlab.com/g/s/r/-/commit/"),
        ("ssh://git@gitlab.a.org:2222/g/r.git", "https://gitlab.a.org/g/r/-/commit/"),
        ("https://example.org/o/r", None),
        ("/srv/github.com/r", None),
        ("javascript:alert('github')", None),
    ],
)
def test_a_commit_has_a_page_at_github_or_gitlab(remote, page):
    """Out of the address of any remote, without user and password; elsewhere there is none."""
    id_ = "0123456789abcdef"
    found = commit.page(session(commit={"id": id_, "remote": remote}))
    assert found == (page and page + id_)
    assert commit.page(session(commit={"id": "unknown", "remote": remote})) is None


def test_where_a_repository_is_on_the_web_is_stored(tmp_path, monkeypatch):
    """Of the remote that is called origin; never what it was reached with."""
    monkeypatch.setattr(commit, "SUITE", tmp_path)
    running.git(tmp_path, "init", "--quiet")
    assert "remote" not in pytest_format.commit_info()
    running.git(tmp_path, "remote", "add", "origin", "https://user:secret@github.com/o/r.git")
    assert pytest_format.commit_info()["remote"] == "https://github.com/o/r"


def test_the_repository_around_an_installed_suite_is_not_its_own(monkeypatch, tmp_path):
    """As that of a project in whose .venv the suite is: its commit says nothing of our code."""
    running.git(tmp_path, "init", "--quiet", "--initial-branch=other")
    running.git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "other")
    suite = tmp_path / ".venv/site-packages"
    (suite / "benchmarks").mkdir(parents=True)
    (suite / "benchmarks/__init__.py").touch()
    monkeypatch.setattr(commit, "SUITE", suite)
    found = pytest_format.commit_info()
    assert found["id"] == "unversioned"
    assert commit.why_unknown(found).startswith("git: the repository around doesn't keep the suite")
    running.git(tmp_path, "add", "--force", ".venv")
    assert pytest_format.commit_info()["id"] == running.git(tmp_path, "rev-parse", "HEAD")
