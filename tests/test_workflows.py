"""The workflows: linted, closed to unseen code, and made of commands that run here as well."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.commands.baselines import BRANCH
from benchmarks.sessions import baseline
from tests.builders import promoted, save, write
from tests.commands.test_history import days
from tests.running import GIT, git
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
HOOK = ROOT / ".github" / "runner" / "job-started.sh"
WORKFLOW = yaml.safe_load((FOLDER / "benchmarks.yml").read_text())
JOBS = WORKFLOW["jobs"]
ON_A_GPU = {name: job for name, job in JOBS.items() if "self-hosted" in job["runs-on"]}


def run(*command, **more):
    """Run a command to its end, and keep what it says."""
    kept = {"capture_output": True, "text": True, "timeout": PATIENCE_S}
    return subprocess.run(command, check=False, **kept, **more)


def tool(name, *arguments):
    """Run a command of this environment."""
    return run(Path(sys.executable).with_name(name), *arguments)


def as_the_runner(line, folder, environment):
    """Run a line of a workflow in a folder, as the runner would."""
    return run("bash", "-euo", "pipefail", "-c", line, cwd=folder, env=environment)


def zizmor(*paths):
    """Return the exit status of zizmor, as `make lint` calls it."""
    (line,) = [each for each in (ROOT / "Makefile").read_text().splitlines() if "zizmor" in each]
    return tool("zizmor", *shlex.split(line)[1:-1], *paths).returncode


def test_zizmor_finds_nothing(tmp_path):
    """And it would: a workflow that fetches a fork's code with the rights of main is found."""
    assert zizmor(*FILES) == 0
    bad = tmp_path / ".github/workflows/benchmarks.yml"
    bad.parent.mkdir(parents=True)
    text = (FOLDER / "benchmarks.yml").read_text()
    bad.write_text(text.replace("  pull_request:\n", "  pull_request_target:\n"))
    assert bad.read_text() != text
    assert zizmor(bad) > 0


def test_the_workflows_follow_githubs_schema():
    """check-jsonschema knows what GitHub accepts, and needs no network for it."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *FILES)
    assert done.returncode == 0, done.stdout


def test_a_pull_request_runs_only_in_the_moment_of_its_label():
    """A push after the label starts nothing, and nothing runs with the rights of main."""
    triggers = WORKFLOW[True]  # YAML 1.1 reads the key `on` so
    assert triggers["pull_request"] == {"types": ["labeled"]}
    assert set(triggers) == {"schedule", "push", "workflow_dispatch", "pull_request"}
    assert triggers["push"] == {"branches": ["main"]}
    assert all("pull_request_target" not in file.read_text() for file in FILES)
    assert "github.event.label.name == 'benchmark'" in JOBS["pull-request"]["if"]
    assert "github.event_name != 'pull_request'" in JOBS["main"]["if"]
    assert "github.ref == 'refs/heads/main'" in JOBS["main"]["if"]
    assert JOBS["store"]["needs"] == "main"


def test_the_labelled_commit_is_what_runs():
    """Not the newest one, which may have been pushed since."""
    code, baselines = [
        step["with"] for step in JOBS["pull-request"]["steps"] if "checkout" in step.get("uses", "")
    ]
    assert code["ref"] == "${{ github.event.pull_request.head.sha }}"
    assert baselines["ref"] == BRANCH


def test_a_pull_request_needs_no_baselines_and_writes_no_cache_of_main():
    """The branch isn't there at first; caches outlive a job, and main's trusts them."""
    steps = JOBS["pull-request"]["steps"]
    (baselines,) = [step for step in steps if step.get("with", {}).get("ref") == BRANCH]
    assert baselines["continue-on-error"] is True
    (measures,) = [step for step in steps if " ci " in step.get("run", "")]
    assert measures["env"]["XDG_CACHE_HOME"].startswith("${{ runner.temp }}/")
    (download,) = [
        step for step in JOBS["store"]["steps"] if "download-artifact" in step.get("uses", "")
    ]
    assert "merge-multiple" not in download["with"]


def test_each_job_has_the_least_rights_and_an_end():
    """Nothing by default; the right to write is with a job that runs on no GPU of ours."""
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "main": {"contents": "read"},
        "store": {"contents": "write"},
        "pull-request": {"contents": "read"},
    }
    assert set(ON_A_GPU) == {"main", "pull-request"}
    assert all(job["timeout-minutes"] for job in JOBS.values())
    assert "secrets." not in (FOLDER / "benchmarks.yml").read_text()
    for step in JOBS["pull-request"]["steps"]:
        assert "token" not in json.dumps(step)


def test_each_machine_runs_one_job():
    """Both jobs take the same labels and wait for each other, without being dropped.

    Also those that use other GPUs of it.
    """
    assert len({json.dumps(job["strategy"]["matrix"]) for job in ON_A_GPU.values()}) == 1
    for job in ON_A_GPU.values():
        assert job["concurrency"] == {
            "group": "benchmarks-${{ matrix.gpu }}",
            "cancel-in-progress": False,
            "queue": "max",
        }


def test_a_machine_is_measured_with_each_number_of_its_gpus():
    """The matrix says which; a model over several is sharded, and no artifact hides another."""
    for job in ON_A_GPU.values():
        assert job["strategy"]["matrix"]["cards"] == ["0"]
        assert job["env"]["CUDA_VISIBLE_DEVICES"] == "${{ matrix.cards }}"
        assert job["env"]["SHARDED"].startswith("${{ contains(matrix.cards, ',') && '--device-map")
        (upload,) = [s["with"] for s in job["steps"] if "upload-artifact" in s.get("uses", "")]
        assert upload["name"] == "benchmarks-${{ matrix.gpu }}-${{ matrix.cards }}"
        assert any('"$OPTIONS $SHARDED"' in step.get("run", "") for step in job["steps"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_and_credentials_not_kept(file):
    """Each action is a commit with its version beside it; no checkout leaves a token behind."""
    uses = re.findall(r"uses: (.*)", file.read_text())
    assert uses
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in uses)
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_what_the_checks_run_anybody_can_run():
    """Each line is a target of the Makefile; no job can write, and each has an end."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ran = set()
    for job in yaml.safe_load((FOLDER / "checks.yml").read_text())["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"]
        ran |= {step["run"].partition(" ARGS=")[0] for step in job["steps"] if "run" in step}
    assert ran == {"make lint", "make test", "make bench", "make test-lowest"}
    assert {line.removeprefix("make ") for line in ran} <= set(targets)


def commands(job):
    """Return the commands of a job: the words, and the environment of the step."""
    return [
        (step["run"], {name: str(value) for name, value in step.get("env", {}).items()})
        for step in JOBS[job]["steps"]
        if "run" in step
    ]


def test_the_workflow_only_calls_the_suite():
    """Every line is one command: set-up, or one of python -m benchmarks."""
    found = [line for job in JOBS for line, _ in commands(job)]
    assert len(found) == 8
    for line in found:
        assert line == "make .venv/.ready" or line.startswith(".venv/bin/python -m benchmarks ")
        assert not set(";&|\n`") & set(line)


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


MAIN, PULL = "refs/heads/main", "refs/pull/7/merge"
LABELLED = {"action": "labeled", "label": {"name": "benchmark"}}
PUSHED = {"action": "synchronize", "pull_request": {"labels": [LABELLED["label"]]}}
TAKEN = {
    "push": ("push", MAIN, {}),
    "nightly": ("schedule", MAIN, {}),
    "labelled": ("pull_request", PULL, LABELLED),
}
REFUSED = {
    "opened": ("pull_request", PULL, {"action": "opened"}),
    "pushed after the label": ("pull_request", PULL, PUSHED),
    "another label": ("pull_request", PULL, LABELLED | {"label": {"name": "bug"}}),
    "with the rights of main": ("pull_request_target", MAIN, LABELLED),
    "another branch": ("push", "refs/heads/other", {}),
    "a comment": ("issue_comment", MAIN, {"action": "created"}),
    "nothing": ("pull_request", PULL, None),
}


@pytest.mark.parametrize("case", [*TAKEN, *REFUSED])
def test_the_runner_itself_refuses_what_nobody_saw(tmp_path, case):
    """A fork can rewrite the workflows of its pull request; the hook on the runner it can't."""
    event, ref, payload = {**TAKEN, **REFUSED}[case]
    file = tmp_path / "event.json"
    if payload is not None:
        file.write_text(json.dumps(payload))
    given = {"GITHUB_EVENT_NAME": event, "GITHUB_REF": ref, "GITHUB_EVENT_PATH": str(file)}
    done = run(HOOK, env={"PATH": os.environ["PATH"], **given})
    assert (done.returncode == 0) is (case in TAKEN)
    assert ("::error::" in done.stdout) is (case in REFUSED)
