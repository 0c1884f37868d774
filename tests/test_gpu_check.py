"""`make gpu-check` in a reduced form, on the CPU: so that a GPU's minutes aren't lost to a typo."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests import gpu_check, gpu_page

STEPS = ("checkpoint", "limits", "main", "duet", "parity", "stranger")
RUN = ["--small", "--device=cpu"]


@pytest.fixture(scope="module")
def results(environment, tmp_path_factory):
    """Return a folder of results, each step from a process of its own, as on a GPU."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        status = gpu_check.main([*RUN, f"--steps={','.join(STEPS)}", str(folder)])
    logs = "".join(each.read_text()[-300:] for each in folder.glob("*.log"))
    assert status == 0, logs
    return folder


def test_each_step_leaves_what_the_page_needs(results):
    """What only a GPU has is left out with its reason; all else is measured."""
    found = {name: json.loads((results / f"{name}.json").read_text()) for name in STEPS}
    assert found["checkpoint"]["bytes"] > 1e7
    assert found["limits"]["read_bytes_per_s"] > 1e6
    assert found["main"]["status"] in (0, 12)
    assert len(found["parity"]["log_ratios"]) == gpu_check.SMALL.parity_pairs
    assert found["stranger"] == {"skipped": "needs a GPU", "seconds": pytest.approx(0, abs=5)}
    kinds = {each["kind"] for each in found["duet"]["verdicts"]["identical"]}
    assert kinds == {"time", "counter"}
    assert all(each["seconds"] >= 0 for each in found.values())


def test_the_page_has_tables_plots_and_raw_files(results, tmp_path):
    """Whatever steps there are: here no table of quantizations, and no GPU."""
    gpu_page.main(results, tmp_path)
    (page,) = tmp_path.glob("*.md")
    text = page.read_text()
    assert "synthetic:tiny" in text
    assert "identical in 3 fresh processes" in text
    assert "alternating pairs" in text
    assert "Not run, or cut short: table, slowed" in text
    assert "None" not in text
    folder = page.with_suffix("")
    assert (folder / "steps.svg").read_text().startswith("<svg")
    raw = json.loads(gzip.decompress((folder / "raw" / "main-session.json.gz").read_bytes()))
    assert raw["benchmarks"]
    assert raw["machine_info"]["node"] is None  # nobody's business
    assert list((folder / "raw").glob("duet-*/restart-01-head.json.gz"))


def test_what_is_done_is_not_done_again(results, capsys):
    """A run that was cut short goes on where it was; a step that fails is named, and no other."""
    (results / "limits.json").unlink()
    before = (results / "checkpoint.json").stat().st_mtime_ns
    status = gpu_check.main(
        [*RUN, "--steps=checkpoint,table,limits", str(results), "--model=/gone"]
    )
    said = capsys.readouterr().out
    assert status == 1
    assert "checkpoint: done before" in said
    assert "table: failed" in said
    assert "limits: failed" in said
    assert (results / "checkpoint.json").stat().st_mtime_ns == before


def test_a_wrong_step_is_one_line(tmp_path, capsys):
    """Nothing runs where a name is mistyped."""
    with pytest.raises(SystemExit):
        gpu_check.main(["--steps=duett", str(tmp_path)])
    assert "expected some of checkpoint, limits" in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())
