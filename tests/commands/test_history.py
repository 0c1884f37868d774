"""`python -m benchmarks history`, as a user runs it: sessions in, change points out."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.sessions import instants
from tests.builders import PROFILE, WARMUP, write
from tests.history.series import BEGIN, DEVICE, WALL, day, noise
from tests.verdicts.test_work_verdicts import counts

ROOT = Path(__file__).parents[2]
DAYS = 30


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Return a function that stores a session for each day in the folder that is looked into."""
    monkeypatch.chdir(tmp_path)

    def store(*contents):
        for number, each in enumerate(contents):
            write(tmp_path / ".benchmarks" / "gpu" / f"{number:04}_ci.json", each)

    return store


@pytest.fixture
def history(capsys):
    """Return a function that runs the command, and returns its status and its lines."""

    def run(*arguments):
        status = main(["history", *arguments])
        return status, capsys.readouterr().out.splitlines()

    return run


def days(step=0.003, at=20, **of_new):
    """Return sessions of a month whose device time steps up, and what else changed then."""
    device, wall = noise(DAYS, DEVICE), noise(DAYS, WALL, seed=8)
    return [
        day(n, device[n] + step * (n >= at), wall[n], **(of_new if n >= at else {}))
        for n in range(DAYS)
    ]


def test_a_step_is_a_line_with_what_changed_with_it(stored, history):
    """When, both levels, the interval, commits and sessions of both sides; status 0."""
    more = counts(python=157_700, functions={"torch.nn.forward": 1036, "bitsandbytes.matmul": 500})
    stored(*days(torch="2.14.0", called=more))
    status, out = history("--metric", "decode_device_s")
    assert status == 0
    assert out[0] == "1 change point in 1 series of up to 30 sessions: 1 worse, 0 better"
    line, *below = out[2:]
    assert line.startswith("2026-01-21 08:00 UTC  decode_device_s  16.399 ms  ->  16.452 ms")
    assert "+0.33 %" in line
    assert "REGRESSED" in line
    assert max(map(len, out)) <= 120
    text = "\n".join(below)
    assert "throughput[int8-decomp-b8-p16-n5]: 20 sessions at the level before, 10 at this" in text
    commits = f"{19:040x}"[:10] + " -> " + f"{20:040x}"[:10]
    assert f"0019_ci.json -> 0020_ci.json; commits {commits}" in text
    assert "torch 2.13.0 -> 2.14.0" in text
    assert "prefill.python_calls 157,664 -> 157,700" in text  # too few for a line of their own
    assert "2 Python functions" in text
    assert "gemm: 9.838 ms -> 9.871 ms a step" in text


def test_device_time_is_compared_on_one_card_alone(stored, history):
    """Cards of one kind differ by 1 %, and their machines by more: another is no change point.

    What changed with the code is found on each card that was there before.
    """
    named = ("--metric", "decode_device_s")
    for step in (0.01, 0.03):
        stored(*days(step=step, hardware={"card": "b"}))
        assert history(*named)[1][0].startswith("0 change points in 1 series of up to 30 sessions")
    pool = days(step=0.005)
    for each in pool[1::2]:
        each["machine_info"]["hardware"]["card"] = "b"
        found = each["benchmarks"][0]["extra_info"]["device_time"]
        for phase in ("prefill", "decode"):
            found[phase]["repeats_s"] = [1.01 * one for one in found[phase]["repeats_s"]]
    stored(*pool)
    out = history(*named)[1]
    assert out[0].startswith("2 change points")
    shown = [line[:10] for line in out if line.startswith("2026")]
    assert shown == ["2026-01-22", "2026-01-21"]


def test_the_newest_change_point_comes_first(stored, history):
    """Of counters each lasting change is one, on the day on which it came."""
    called = [counts(python=100 + (n >= 10) - 2 * (n >= 20)) for n in range(DAYS)]
    stored(*(day(n, called=each) for n, each in enumerate(called)))
    _, out = history("--metric", "decode.python_calls")
    shown = [line for line in out if line.startswith("2026")]
    assert [line[:10] for line in shown] == ["2026-01-21", "2026-01-11"]
    assert ["IMPROVED" in line for line in shown] == [True, False]


def test_any_metric_can_be_asked_for(stored, history):
    """One that others follow from has its change points if it is named; a rate that falls is worse.

    By default nobody hears of one change three times.
    """
    found = days()
    for n, each in enumerate(found):
        metrics = each["benchmarks"][0]["extra_info"]["metrics"]
        metrics["tokens_per_s"] = 100 * (1 + 0.001 * (n % 2) - 0.1 * (n >= 20))
        metrics["top1_agreement"] = 0.99 - 0.05 * (n >= 25)
    stored(*found)
    _, out = history("--metric", "tokens_per_s")
    assert "100 tokens/s  ->  90" in out[2].replace("100.1", "100")
    assert out[2].endswith("REGRESSED")
    shown = [line.split()[3] for line in history()[1] if line.startswith("2026")]
    assert shown == ["top1_agreement", "decode_device_s", "prefill_device_s"]


def test_only_a_new_regression_fails(stored, history):
    """New is what lies within the last N sessions of its series; an improvement never fails."""
    stored(*days())
    assert history()[0] == 0
    assert history("--fail-on-new", "9")[0] == 0
    status, out = history("--fail-on-new", "10")
    assert status == 1
    assert any("worse within the last 10 sessions: 2 of them" in line for line in out)
    stored(*days(step=-0.003))
    assert history("--fail-on-new", "10")[0] == 0


def test_benchmarks_of_one_model_share_a_change_point(stored, history):
    """Their device time and counters are measured once."""
    found = days()
    for each in found:
        (bench,) = each["benchmarks"]
        each["benchmarks"] += [{**bench, "fullname": name} for name in (WARMUP, PROFILE)]
    stored(*found)
    _, out = history("--metric", "decode_device_s")
    assert out[0].startswith("1 change point in 3 series")
    assert "    the same in 2 more benchmarks" in out


def test_other_machines_and_workloads_have_series_of_their_own(stored, history):
    """A slower card of another kind is no step of this one; nor is a side of a duet, or a failure.

    Nor is a time that can't be trusted.
    """
    other = days(step=0.2, hardware={"gpu": "another GPU"})
    stored(*other)
    assert history("--metric", "decode_device_s")[1][0].startswith("0 change points in 2 series")
    failed = days(step=0.2)
    for each in failed[20:]:
        each["llm_int8"] |= {"passed": False, "exit_status": 1}
    stored(*failed)
    assert "of up to 20 sessions: 0 worse" in history()[1][0]
    doubted = days(step=0.2)
    for each in doubted[20:]:
        each["benchmarks"][0]["extra_info"]["device_time"]["validity"]["valid"] = False
    stored(*doubted)
    assert "of up to 20 sessions: 0 worse" in history("--metric", "decode_device_s")[1][0]


def test_files_are_given_as_well_and_each_counts_once(stored, history, tmp_path):
    """A folder and a file in it."""
    stored(*days())
    folder = tmp_path / ".benchmarks"
    _, out = history(str(folder), str(folder / "gpu" / "0000_ci.json"))
    assert "of up to 30 sessions" in out[0]


def test_a_damaged_file_of_a_folder_is_named(stored, history, tmp_path, monkeypatch):
    """And the others count; so does one that is dated in the future, which is named as well."""
    monkeypatch.setattr(instants, "now", lambda: BEGIN + timedelta(days=3))
    stored(*(day(n) for n in range(3)), day(30_000))
    (tmp_path / ".benchmarks" / "gpu" / "0009_x.json").write_text("{")
    status, out = history()
    assert status == 0
    assert "0009_x.json: expected JSON of pytest-benchmark" in out[0]
    assert "0003_ci.json: dated in the future" in out[1]
    assert "of up to 4 sessions" in out[2]


def test_json_has_all_that_is_known(stored, history, tmp_path):
    """For other tools, with the status."""
    stored(*days(torch="2.14.0"))
    history("--metric", "decode_device_s", "--fail-on-new", "10", "--json", "out/points.json")
    written = json.loads((tmp_path / "out" / "points.json").read_text())
    (found,) = written["change_points"]
    assert written["exit_status"] == 1
    assert found["outcome"] == "REGRESSED"
    assert found["low"] < 0.003 < found["high"]
    assert found["p"] < 1e-4
    assert found["before"]["commit"] == f"{19:040x}"
    assert found["after"]["sessions"] == found["since"] == 10
    assert found["versions"] == {"torch": ["2.13.0", "2.14.0"]}


def test_a_summary_is_markdown_that_is_added(stored, history, tmp_path):
    """Nothing in it is markup: versions and names are the user's."""
    stored(*days(torch="2.14.0|*x*"))
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    history("--summary", str(file))
    text = file.read_text()
    assert text.startswith("before\n### Change points\n")
    assert "| 2026-01-21 08:00 UTC | decode&#95;device&#95;s |" in text
    assert "throughput&#91;" in text
    assert "*x*" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere: expected a saved session or a folder of them, got nothing there"),
        (["empty"], "expected saved sessions, got none below empty"),
        (["bad.json"], "bad.json: expected JSON of pytest-benchmark"),
        (["--metric", "decode_device"], "no session has it; the nearest is decode_device_s"),
        (["--metric", "decode_busy_share"], "neither more nor less of it is better"),
        (["--fail-on-new", "0"], "--fail-on-new: expected a whole number of at least 1; got '0'"),
        (["--fail-on-new", "some"], "--fail-on-new: expected a whole number"),
        (["--json", "empty"], "can't write"),
        (["--summary", "empty"], "--summary empty: can't write it"),
        (["--metrics"], "--metric"),
    ],
)
def test_wrong_input_is_one_line_and_status_4(stored, tmp_path, capsys, arguments, says):
    """What, expected, got, next step; no traceback."""
    stored(*(day(n) for n in range(3)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SystemExit) as caught:
        main(["history", *arguments])
    assert caught.value.code == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_it_runs_as_a_command_without_torch(stored, tmp_path):
    """In a process of its own."""
    stored(*(day(n) for n in range(8)))
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from benchmarks.__main__ import main; "
        "status = main(['history']); assert not {'torch', 'pytest'} & set(sys.modules); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", script, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 change points in ")
