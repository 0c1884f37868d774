"""`make gpu-check` in a reduced form, on the CPU: so that a GPU's minutes aren't lost to a typo.

Its processes are forked, on a machine of the tests' own.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forking, virtual
from tests.tools import gpu_check, gpu_page
from tests.waiting import PATIENCE_S, gone, wait_for_text

PLAN = dataclasses.replace(gpu_check.SMALL, device="cpu", model=virtual.ONE_LAYER)
RUN = ["--small", "--device=cpu"]


@pytest.fixture(scope="module")
def results(environment, tmp_path_factory):
    """Return a folder of results of all steps, on a machine of the tests' own."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch, virtual.installed(virtual.Machine()):
        for name, value in environment.items():
            patch.setenv(name, value)
        for step in gpu_check.STEPS:
            assert gpu_check.alone(step, folder, PLAN) == 0
    return folder


def test_each_step_leaves_what_the_page_needs(results):
    """What only a GPU has is left out with its reason; all else is measured."""
    found = {name: json.loads((results / f"{name}.json").read_text()) for name in gpu_check.STEPS}
    assert found["checkpoint"]["bytes"] > 5e6
    assert found["limits"]["read_bytes_per_s"] > 0
    assert found["main"]["status"] == 0
    assert [len(each["log_ratios"]) for each in found["parity"]["workloads"]] == [2, 2]
    assert found["stranger"]["skipped"] == "needs a GPU"
    kinds = {each["kind"] for each in found["duet"]["verdicts"]["identical"]}
    assert kinds == {"time", "counter"}
    assert found["slowed"]["verdicts"].keys() == {"identical", "slowed"}
    assert found["prefill"]["verdicts"].keys() == {"identical", "slowed"}
    assert all(each["seconds"] > 0 for each in found.values())


def test_the_page_has_tables_plots_and_raw_files(results, tmp_path):
    """Whatever steps there are; what there is no GPU for is a dash."""
    gpu_page.main(results, tmp_path)
    (page,) = tmp_path.glob("*.md")
    text = page.read_text()
    assert virtual.ONE_LAYER in text
    assert "identical in 3 fresh processes" in text
    assert "suite ÷ loop" in text
    assert "| int8-decomp | 1 |" in text
    assert "| 1 | " in text.partition("What the outliers cost")[2]
    assert "| 2 % slower | 1 | " in text
    assert "Not run" not in text
    assert "None" not in text
    folder = page.with_suffix("")
    assert (folder / "steps.svg").read_text().startswith("<svg")
    raw = json.loads(gzip.decompress((folder / "raw" / "main-session.json.gz").read_bytes()))
    assert raw["benchmarks"]
    assert raw["machine_info"]["node"] is None  # nobody's business
    assert list((folder / "raw").glob("duet-*/restart-01-head.json.gz"))


@pytest.mark.parametrize(
    "raw", sorted(gpu_page.RESULTS.glob("*/raw")), ids=lambda raw: raw.parent.name
)
def test_a_published_page_is_what_its_raw_files_give(raw, tmp_path):
    """No figure of it is typed, but in the notes."""
    slug = raw.parent.name
    (tmp_path / slug).mkdir()
    shutil.copy(raw.with_name("NOTES.md"), tmp_path / slug)
    gpu_page.main(raw, tmp_path)
    assert (tmp_path / f"{slug}.md").read_text() == (gpu_page.RESULTS / f"{slug}.md").read_text()


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
        command, cwd=gpu_check.ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL
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
    assert "expected some of checkpoint, limits" in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())
