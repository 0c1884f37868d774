"""Exports read by the tools that they are for. `make readers` fetches them; else it is skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.export.sessions import NAME, STEP, export, series

if TYPE_CHECKING:
    from collections.abc import Mapping

READERS = Path(__file__).parents[2] / ".venv.readers"
ACTION = READERS / "github-action-benchmark"
EXTRACT = """
const { extractResult } = require(process.argv[1] + '/dist/src/extract.js');
const found = extractResult({ tool: process.argv[2], outputFilePath: process.argv[3] });
found.then((each) => console.log(JSON.stringify(each)));
"""
TEST = "throughput.int8-decomp-b8-p16-n16"
COMMIT = {"id": "c", "message": "m", "url": "u", "author": {}, "committer": {}}
OPENMETRICS = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(json.dumps({
    family.name: [[sample.labels, sample.value, float(sample.timestamp)]
                  for sample in family.samples]
    for family in parse(open(sys.argv[1]).read())
}))
"""


def _read(reader: Path | str | None, *arguments: object, **variables: str) -> str:
    """Run a reader and return what it says; skip if it isn't there."""
    if reader is None or not shutil.which(reader):
        pytest.skip(f"no {reader or 'node'}: run `make readers`, and install node")
    environment: Mapping[str, str] = {**os.environ, **variables}
    command = [str(reader), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment
    )  # a reader that make readers fetched
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("way", "metric"), [("Bigger", "tokens_per_s"), ("Smaller", "decode.python_calls")]
)
def test_github_action_benchmark_extracts_every_entry(
    tmp_path: Path, way: str, metric: str
) -> None:
    """The action's own extractor takes the file, in either direction."""
    out = export(tmp_path, f"github-action-{way.lower()}", "a.json", *series())
    if not ACTION.exists():
        pytest.skip("no github-action-benchmark: run `make readers`")
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"head_commit": COMMIT}))
    tool = f"custom{way}IsBetter"
    node = shutil.which("node")
    said = _read(node, "-e", EXTRACT, ACTION, tool, out, GITHUB_EVENT_PATH=str(event))
    found, written = json.loads(said)["benches"], json.loads(out.read_text())
    assert found == written
    assert f"{NAME} {metric}" in {each["name"] for each in found}


def test_otava_finds_the_step_at_its_session(tmp_path: Path) -> None:
    """The configuration works as it is, and Otava's change point is where the step was put."""
    out = export(tmp_path, "otava", "otava.yaml", *series())
    config = ("--config-file", out, "--since", "2020-01-01", "--output", "json")
    said = _read(READERS / "bin" / "otava", "analyze", TEST, *config)
    (found,) = json.loads(said)[TEST]
    assert found["attributes"]["session"] == f"{STEP + 1:04}_a.json"
    assert {"tpot_s", "tokens_per_s"} <= {each["metric"] for each in found["changes"]}


def test_prometheus_parses_all_points(tmp_path: Path) -> None:
    """The reference parser, which refuses what OpenMetrics forbids, reads each session's values."""
    contents = series()
    out = export(tmp_path, "openmetrics", "a.txt", *contents)
    found = json.loads(_read(READERS / "bin" / "python", "-c", OPENMETRICS, out))
    samples = found["llm_int8_tpot_seconds"]
    stored = [each["benchmarks"][0]["extra_info"]["metrics"]["tpot_s"] for each in contents]
    assert [value for _, value, _ in samples] == stored
    assert {labels["benchmark"] for labels, _, _ in samples} == {NAME}
    assert sorted(instant for *_, instant in samples) == [instant for *_, instant in samples]
