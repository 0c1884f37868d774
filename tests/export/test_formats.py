"""What exports hold, whoever reads them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest

from benchmarks.__main__ import main
from benchmarks.export import formats
from tests import builders
from tests.export.sessions import COUNT, NAME, NEW, export, series
from tests.page.contents import content, record

# https://bencher.dev/bmf.json in short: benchmarks, their measures, and a number each.
BENCHER = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "properties": {"value": {"type": "number"}},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}


def test_both_directions_have_each_metric_once(tmp_path: Path) -> None:
    """The action asks which way is better for a whole file; what is neither is in none."""
    files = [
        json.loads(export(tmp_path, f"github-action-{way}", way, *series()).read_text())
        for way in ("bigger", "smaller")
    ]
    bigger, smaller = ({each["name"].rpartition(" ")[2] for each in file} for file in files)
    assert "tokens_per_s" in bigger
    assert {"tpot_s", "peak_resident_bytes", "decode.python_calls"} <= smaller
    assert not bigger & smaller
    assert "decode_busy_share" not in bigger | smaller


def test_bencher_gets_the_newest_session_in_its_schema(tmp_path: Path) -> None:
    """A measure is a number; the newest session is what is exported."""
    *_, newest = contents = series()
    found = json.loads(export(tmp_path, "bencher", "b.json", *contents).read_text())
    jsonschema.validate(found, BENCHER)
    stored = newest["benchmarks"][0]["extra_info"]["metrics"]
    assert found[NAME]["tpot_s"] == {"value": stored["tpot_s"]}


def test_a_metric_that_some_sessions_lack_has_a_table_of_its_own(tmp_path: Path) -> None:
    """Otava reads a number in every cell, and a made-up one would be a change."""
    config = json.loads(export(tmp_path, "otava", "otava.yaml", *series()).read_text())
    tests = config["tests"].values()
    (late,) = (each for each in tests if "prefill_device_s" in each["metrics"])
    (others,) = (each for each in tests if "tpot_s" in each["metrics"])
    for test, count in ((late, COUNT - NEW), (others, COUNT)):
        with Path(test["file"]).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == count
        assert all(row[name] for row in rows for name in test["metrics"])
    assert others["metrics"]["tpot_s"]["direction"] == -1
    assert others["metrics"]["tokens_per_s"]["direction"] == 1


def test_a_failed_session_is_in_no_series(tmp_path: Path) -> None:
    """Its figures are no evidence, and another tool would take them for a change."""
    contents = series()
    contents[3]["llm_int8"] |= {"passed": False, "exit_status": 1}
    config = json.loads(export(tmp_path, "otava", "otava.yaml", *contents).read_text())
    (table,) = (each for each in config["tests"].values() if "tpot_s" in each["metrics"])
    with Path(table["file"]).open(newline="") as file:
        names = [row["session"] for row in csv.DictReader(file)]
    assert len(names) == COUNT - 1
    assert "0004_a.json" not in names


def test_times_of_a_busy_machine_are_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other tools know no INVALID: what can't be trusted stays away, and that is said."""
    info = record() | {"validity": builders.INVALID}
    found = json.loads(export(tmp_path, "bencher", "b.json", content(info)).read_text())
    assert "tpot_s" not in found[NAME]
    assert "decode.python_calls" in found[NAME]
    assert "not exported: times of 1 session during which" in capsys.readouterr().out


def test_a_session_without_such_metrics_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The action's own words for an empty file name no cause."""
    info = record() | {"validity": builders.INVALID}
    info["metrics"] = {"tpot_s": 0.1}
    path = builders.write(tmp_path / "0001_a.json", content(info))
    out = str(tmp_path / "a.json")
    with pytest.raises(SystemExit) as ended:
        main(["report", str(path), "--export", "github-action-bigger", out])
    assert ended.value.code == 4
    assert "of which more is better, got none" in capsys.readouterr().err


def test_an_unknown_format_is_named_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped format costs no minute of reading, and the message has the right ones."""
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "nothing"), "--export", "otawa", str(tmp_path / "a")])
    assert ended.value.code == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "got 'otawa'" in line
    assert all(name in line for name in formats.FORMATS)
