"""`make gpu-check` in a reduced form, on the CPU: so that a GPU's minutes aren't lost to a typo.

Its processes are forked, on a machine of the tests' own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as door
from benchmarks.common.errors import InputError
from benchmarks.config.generation import MODES
from benchmarks.sessions.session import read_session
from tests import forking, virtual
from tests.tools import gpu_check, gpu_origin, gpu_plan, gpu_sessions, gpu_steps, splits, stored
from tests.waiting import PATIENCE_S, gone, wait_for_text

PLAN = dataclasses.replace(gpu_plan.SMALL, device="cpu", model=virtual.ONE_LAYER)
RUN = ["--small", "--device=cpu"]
# The others need a GPU or releases, or have tests of what they run: modes, replicas, the gate.
STEPS = (
    *(
        "checkpoint",
        "main",
        "energy",
        "identical",
        "turns",
        "prequantized",
        "limits",
        "memory",
        "stranger",
    ),
    *("duet", "slowed", "prefill", "parity"),
)


@pytest.fixture(scope="module")
def results(environment, tmp_path_factory):
    """Return a folder of results of these steps, on a machine of the tests' own."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch, virtual.installed(virtual.Machine()):
        for name, value in environment.items():
            patch.setenv(name, value)
        for step in STEPS:
            assert gpu_check.alone(step, folder, PLAN) == 0
    return folder


def test_each_step_leaves_what_it_measured(results):
    """What only a GPU has is left out with its reason; all else is there."""
    found = {name: json.loads((results / f"{name}.json").read_text()) for name in STEPS}
    assert found["checkpoint"]["bytes"] > 1e6
    assert found["limits"]["read_bytes_per_s"] > 0
    assert found["prequantized"]["nf4"]["bytes"] < found["checkpoint"]["bytes"]
    assert [len(each["log_ratios"]) for each in found["parity"]["workloads"]] == [2, 2]
    assert found["stranger"]["skipped"] == "needs a GPU"
    assert all(each["seconds"] > 0 for each in found.values())
    order = ("01-whole", "01-work", "02-work", "02-whole")  # neither kind is always first
    assert found["turns"]["files"] == [f"turns/{name}.json" for name in order]
    for name in order:
        (one,) = read_session(results / "turns" / f"{name}.json").measured.values()
        assert bool(one.info["rounds"]) is name.endswith("whole")
        assert one.info["counters"]


def test_the_end_has_verdicts_and_what_makes_a_page(results, capsys, tmp_path):
    """Each duet is judged; of the command in the last line comes a page of the sessions."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    gpu_check.conclude(folder)
    *said, last = capsys.readouterr().out.splitlines()
    written = json.loads((folder / "verdicts.json").read_text())
    steps = [each["duet"].partition("-")[0] for each in written]
    assert sorted(steps) == ["duet", *["prefill"] * 3, *["slowed"] * 3]
    for share in ("2 %", "5 %"):
        assert sum(f"slowed down by {share}" in each["duet"] for each in written) == 2
    assert {each["duet"] for each in written} < {*said}
    kinds = {v["kind"] for each in written for v in each["verdicts"] if each["duet"][0] == "d"}
    assert kinds >= {"time", "counter"}
    assert (folder / "raw" / "verdicts.json.gz").exists()
    assert str(folder) in last
    _, _, command = last.partition("python -m benchmarks ")
    assert door.main(shlex.split(command)) == 0
    assert capsys.readouterr().out == f"report: {folder / 'report.html'}\n"  # nothing is left out
    text = (folder / "report.html").read_text()
    assert "<dd>main.json</dd>" in text
    names = (
        "throughput[int8-b1-p16-n4]",
        "warmup[int8-decomp-b1-p16-n4]",
        "profile[int8-decomp-b1-p16-n1]",
    )
    assert [each for each in names if each not in text] == []
    assert "profile[int8-b1-p16-n1]" not in text  # of one of them only


def test_identical_code_is_judged_in_every_split(results, capsys):
    """Two sessions have two splits, in which the other one is judged alone and as all others."""
    splits.main([str(results / "identical")])
    said = capsys.readouterr().out.splitlines()
    end = said.index("")
    quantizations = PLAN.quantizations.split(",")
    assert [each.split(" | ")[0] for each in said[2:end]] == [f"| {name}" for name in quantizations]
    assert all(each.endswith(" in each |") for each in said[2:end])
    kinds = [each.split(" ")[:-1] for each in said[end + 1 :]]
    assert kinds == [[f"{name}:", "NO", "CHANGE"] for name in ("agreement", "counter", "memory")]


def test_raw_files_can_be_published(results, tmp_path):
    """They hold all that was measured, and name neither the machine nor its folders."""
    gpu_check.pack(results, tmp_path)
    stored.unpack(tmp_path, tmp_path)
    assert json.loads((tmp_path / "sessions" / "main.json").read_text())["benchmarks"]
    assert list(tmp_path.glob("duets/duet-*/restart-01-head.json"))
    measured, published = (
        "".join(file.read_text() for file in folder.rglob("*.json"))
        for folder in (results, tmp_path)
    )
    host = os.uname()
    for private in (host.nodename, host.release, sys.prefix):
        assert private in measured
        assert private not in published
    assert str(results) not in published


@pytest.mark.usefixtures("machine")
def test_a_run_goes_on_where_it_was(environment, monkeypatch, tmp_path, capsys):
    """What is done is not done again; a step that fails is named by its last line."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "results"
    assert gpu_check.main([*RUN, "--steps=checkpoint", str(folder)]) == 0
    written = (folder / "checkpoint.json").stat().st_mtime_ns
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")  # nothing can be written there
    assert gpu_check.main([*RUN, "--steps=checkpoint,limits", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "checkpoint: done before" in said
    assert "limits: failed" in said
    assert "failed: limits; repair it" in said
    assert (folder / "checkpoint.json").stat().st_mtime_ns == written


@pytest.mark.usefixtures("machine")
def test_a_session_that_failed_is_not_taken_for_one_that_was_measured(
    environment, monkeypatch, tmp_path
):
    """It is kept under another name: a second call measures anew. Here a gate has no baselines."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "sessions" / "01.json"
    options = ["-k=throughput", "--gate=work", f"--benchmark-storage={tmp_path / 'none'}"]
    with pytest.raises(InputError, match="expected status 0, got 10"):
        gpu_sessions.session(file, PLAN, [*options, *PLAN.identical_options])
    assert not file.exists()
    assert json.loads(file.with_suffix(".failed").read_text())["benchmarks"]


@pytest.mark.usefixtures("machine")
def test_modes_that_were_measured_are_not_measured_again(environment, monkeypatch, tmp_path):
    """Of a call that was cut short; those of another card aren't mixed with this one's."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    partial, here = tmp_path / "modes.partial.json", gpu_origin.origin(PLAN.device)
    before = {f"int8-{mode}-b2": {"kept": True} for mode in MODES if mode != "dynamic"}
    partial.write_text(json.dumps(here | {"loads": {}, "measured": before}))
    found = gpu_steps._modes(partial, PLAN, ["int8"], "2", 60)
    dynamic = found["measured"].pop("int8-dynamic-b2")
    assert found["measured"] == before
    assert dynamic["counters"]["decode"]["python_calls"] > 0
    assert not found["failed"]
    elsewhere = here | {"hardware": here["hardware"] | {"card": "another"}}
    partial.write_text(json.dumps(elsewhere | {"measured": before}))
    others = gpu_steps._modes(partial, PLAN, ["int8"], "2", 1)  # no time for any of them
    assert others["measured"] == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--small", "--device=cuda"], "found none that NVML shows"),
        (["--device=cpu"], "results of another plan"),
    ],
)
def test_results_of_something_else_are_refused(results, capsys, arguments, says):
    """No GPU, or another plan in the folder: one line, and nothing is run."""
    assert not gpu_check.another(results, PLAN)
    assert gpu_check.main([*arguments, str(results)]) == 4
    assert says in capsys.readouterr().err


def test_results_of_another_commit_are_refused(tmp_path):
    """Whatever a step keeps is of the code that it says."""
    assert not gpu_check.another(tmp_path, PLAN)
    assert not gpu_check.another(tmp_path, PLAN)
    plan = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"commit": {"id": "0" * 40}}))
    assert "holds results of another commit" in gpu_check.another(tmp_path, PLAN)


@pytest.mark.usefixtures("machine")
def test_a_stop_ends_the_step_and_all_that_it_started(environment, tmp_path):
    """SIGTERM reaches the session of pytest below the step."""
    command = [
        *(sys.executable, "-m", "tests.tools.gpu_check"),
        *RUN,
        "--steps=main",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command, cwd=gpu_sessions.ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    log = tmp_path / "main.log"
    wait_for_text(log, "test session starts")
    (step,) = forking.children(process.pid)
    below = forking.children(step)
    assert below
    process.terminate()
    assert process.wait(PATIENCE_S) == 2
    assert all(gone(each) for each in [step, *below])


def test_a_wrong_step_is_one_line(tmp_path, capsys):
    """Nothing runs where a name is mistyped."""
    with pytest.raises(SystemExit):
        gpu_check.main(["--steps=duett", str(tmp_path)])
    assert "expected some of checkpoint, main" in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())
