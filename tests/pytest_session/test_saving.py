"""What a session says of its file: where it is, and of which commit, if that isn't known."""

from pathlib import Path

import pytest

from benchmarks.config.settings import SAVED_TO
from benchmarks.pytest_session import saving
from benchmarks.pytest_session.finish import command_line
from benchmarks.sessions import commit, pytest_format
from tests.running import LEAST


@pytest.mark.parametrize("refused", [False, True])
def test_a_session_of_an_unknown_commit_says_so_when_it_is_saved(
    session, monkeypatch, tmp_path, refused
):
    """Before anybody needs to know it: what is wrong, and what to do. So it says where it is."""
    monkeypatch.setattr(commit, "SUITE", tmp_path)
    if refused:
        (tmp_path / ".git").mkdir()
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    told = tmp_path / "told"
    monkeypatch.setenv(SAVED_TO, str(told))
    outcome = session(*LEAST, "--benchmark-save=here")
    assert outcome.status == 0, outcome.out
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("commit unknown, so")]
    assert ("not a git repository" if refused else "the folder of the suite has no .git") in line
    assert line.endswith("; run in a clone of the repository, with its .git")
    assert told.read_text() == str(tmp_path / "storage" / "0001_here.json")


def test_a_session_keeps_the_commit_of_the_suite(session, monkeypatch, tmp_path):
    """Not that of the folder that it was started in, which is no repository here."""
    monkeypatch.chdir(tmp_path)
    outcome = session(*LEAST, "--benchmark-save=here")
    assert outcome.status == 0, outcome.out
    assert outcome.saved["commit_info"] == pytest_format.commit_info()


def test_a_file_for_the_name_that_cant_be_written_is_found_first(session, monkeypatch, tmp_path):
    """Nothing is measured for whoever then couldn't find it."""
    monkeypatch.setenv(SAVED_TO, str(tmp_path / "missing" / "told"))
    outcome = session(*LEAST, "--benchmark-save=here")
    assert outcome.status == 4
    assert f"{SAVED_TO}={tmp_path}/missing/told: can't write it (No such file" in outcome.err
    assert "warm-up" not in outcome.out


def test_a_session_that_saves_nothing_names_no_file(session, monkeypatch, tmp_path):
    """Whoever started it must not find the name of another one."""
    told = tmp_path / "told"
    monkeypatch.setenv(SAVED_TO, str(told))
    assert session(*LEAST, "--collect-only", "--benchmark-save=here").status == 0
    assert not told.exists()


def test_a_command_repeats_what_the_session_measured():
    """What decides the code, the GPU and the threads is there, ready for a shell; no secret is."""
    environ = {
        "HF_TOKEN": "secret",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": "the old one:lib",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert command_line(["benchmarks", "-k", "int8 or nf4"], environ) == (
        "PYTHONPATH='the old one:lib' CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS=2 "
        "pytest benchmarks -k 'int8 or nf4'"
    )
    assert command_line(["benchmarks"], {}) == "pytest benchmarks"


def test_a_long_name_stands_below_its_folder():
    """On a GPU, with uncommitted changes, both have 128 columns; what was given stays whole."""
    name = f"0001_{'0' * 40}_20260101_000000_uncommitted-changes.json"
    folder = Path(".benchmarks/nvidia-h100-80gb-hbm3")
    assert saving.where(folder / name) == [f"saved in {folder}:", f"    {name}"]
    assert saving.where(folder / "0001_main.json") == [f"saved: {folder}/0001_main.json"]
    long = Path("/") / ("a" * 130)
    assert saving.where(long) == [f"saved: {long}"]
