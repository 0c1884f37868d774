"""The workflows: linted, closed to unseen code, and made of commands that run here as well."""

import json
import os
import re
import shlex

import pytest
import yaml

from benchmarks.commands.baselines import BRANCH
from tests.workflow import FOLDER, JOBS, ROOT, WORKFLOW, commands, run, tool

FILES = sorted(FOLDER.glob("*.yml"))
HOOK = ROOT / ".github" / "runner" / "job-started.sh"
ON_A_GPU = {name: job for name, job in JOBS.items() if "self-hosted" in job["runs-on"]}


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


def test_the_workflow_only_calls_the_suite():
    """Every line is one command: set-up, or one of python -m benchmarks."""
    found = [line for job in JOBS for line, _ in commands(job)]
    assert len(found) == 8
    for line in found:
        assert line == "make .venv/.ready" or line.startswith(".venv/bin/python -m benchmarks ")
        assert not set(";&|\n`") & set(line)


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
