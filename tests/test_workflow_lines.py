"""The lines of the workflow, run here as they stand in its file."""

import json
import os
import re
import shutil
import sys

import pytest

from benchmarks.sessions import baseline
from tests.builders import promoted, save, write
from tests.commands.test_history import days
from tests.running import GIT, git
from tests.workflow import JOBS, ROOT, as_the_runner, commands


def in_a_clone(tmp_path, line, environment):
    """Run a command of the workflow in a clone of an empty repository, as the runner would."""
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    if not remote.exists():
        git(tmp_path, "init", "--bare", remote)
        git(tmp_path, "clone", remote, clone)
        (clone / ".venv").symlink_to(sys.prefix)
    given = {name: value for name, value in environment.items() if not value.startswith("${{")}
    return as_the_runner(line, clone, GIT | given | {"TOKEN": "x", "PYTHONPATH": str(ROOT)})


def line_with(job, words):
    """Return the one command of a job that has these words."""
    (found,) = [each for each in commands(job) if words in each[0]]
    return found


def test_the_nightly_line_finds_a_new_step(tmp_path):
    """At night only, whatever the gate said; as it stands in the file, on stored sessions."""
    (step,) = [each for each in JOBS["main"]["steps"] if " history" in each.get("run", "")]
    assert step["if"] == "${{ !cancelled() && github.event_name == 'schedule' }}"
    _, environment = line_with("main", "baselines pull ${HISTORY:-}")
    assert environment["HISTORY"] == "${{ github.event_name == 'schedule' && '--history' || '' }}"
    summary = tmp_path / "summary.md"
    given = {"GITHUB_STEP_SUMMARY": str(summary)}
    assert in_a_clone(tmp_path, step["run"], given).returncode == 4  # nothing is stored yet
    for number, each in enumerate(days(at=26)):
        write(tmp_path / f"clone/.benchmarks/gpu/{number:04}_ci.json", each)
    done = in_a_clone(tmp_path, step["run"], given)
    assert (done.returncode, done.stderr) == (1, "")
    assert "decode&#95;device&#95;s" in summary.read_text()


def test_the_lines_that_pull_and_push_run_here(tmp_path):
    """As they stand in the file, with their credentials helper, against a real repository."""
    pull, push = line_with("main", "baselines pull"), line_with("store", "baselines push")
    first = in_a_clone(tmp_path, *pull)
    assert first.returncode == 0, first.stderr
    assert "benchmark-baselines: 0 new" in first.stdout
    nothing = in_a_clone(tmp_path, *push)
    assert nothing.returncode == 0, nothing.stderr
    measured = tmp_path / "clone/measured"
    save(measured / "benchmarks-a/.benchmarks/gpu/0001_ci.json", promoted=promoted())
    save(measured / "benchmarks-b/.benchmarks/gpu/0001_ci.json", slower=1.01, promoted=promoted())
    save(measured / ".benchmarks/gpu/0001_ci.json", slower=1.02, promoted=promoted())
    assert "3 new or changed" in in_a_clone(tmp_path, *push).stdout
    assert "3 new or changed" in in_a_clone(tmp_path, *pull).stdout
    names = [path.name for path in baseline.files(tmp_path / "clone/.benchmarks")]
    assert names == ["0001_ci.json", "0002_ci.json", "0003_ci.json"]


def test_the_line_that_measures_main_runs_here(tmp_path, cache_dir, one_layer):
    """On a tiny model, in a copy of the suite: nothing to compare with, so 10, and saved.

    In new interpreters, without anything that the tests bring: they import, read the real clock,
    and count over all steps. It is no baseline: bounds are lifted, since this machine may be busy.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / "llm-int8-benchmarks").symlink_to(cache_dir)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / ".venv").symlink_to(sys.prefix)
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "benchmarks", copy / "benchmarks")
    line, _ = line_with("main", " ci ")
    given = {
        "OPTIONS": f"--device cpu --model {one_layer.path} --batch-size 1 --new-tokens 2 "
        "--rounds 3 --warmup-rounds 1 --bounds *=inf",
        "SHARDED": "",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "XDG_CACHE_HOME": str(home),
    }
    done = as_the_runner(line, copy, os.environ | given)
    assert done.returncode == 10, done.stdout + done.stderr
    (session,) = baseline.stored(copy / ".benchmarks").sessions
    assert session.saved["passed"]
    assert not baseline.is_baseline(session)
    (file,) = baseline.files(copy / ".benchmarks")
    benchmarks = {each["name"]: each for each in json.loads(file.read_text())["benchmarks"]}
    bench = benchmarks["test_throughput[int8-decomp-b1-p16-n2]"]
    assert bench["extra_info"]["attestation"]["linears"] == {"Linear8bitLt": 7}
    assert bench["extra_info"]["counters"]["decode_steps"] == [2, 6]
    assert bench["stats"]["min"] > 0
    (line,) = [line for line in done.stdout.splitlines() if "not promoted: " in line]
    assert "not checked (--bounds): anything about the machine; no baseline" in line
    assert (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("job", "chosen"), [("main", "--promote"), ("pull-request", "--base 'origin/main'")]
)
def test_the_lines_that_measure_are_understood(tmp_path, job, chosen):
    """The command takes every option that the file gives it."""
    line, _ = line_with(job, " ci ")
    assert chosen.split(maxsplit=1)[0] in line
    (tmp_path / ".venv").symlink_to(sys.prefix)  # the tests may run in another environment
    given = {"OPTIONS": "--model x", "SHARDED": "--device-map auto"}
    given |= {"GITHUB_STEP_SUMMARY": "x", "BASE": "main"}
    environment = os.environ | given | {"PYTHONPATH": str(ROOT)}
    done = as_the_runner(line.replace(" ci ", " ci --help ", 1), tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in re.findall(r"--[a-z]+", line))
