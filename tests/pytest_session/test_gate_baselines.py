"""Which sessions a gate judges by, and what it says of those that it can't."""

import json
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import pytest
from pytest_benchmark.logger import PytestBenchmarkWarning

from benchmarks import __main__ as commands
from benchmarks.sessions import pytest_format
from tests import builders
from tests.pytest_session.gated import end, words
from tests.running import LEAST

PARAMS = {"quantization": "int8", "batch_size": 1, "prompt_tokens": 16, "new_tokens": 2}


def test_another_machine_is_not_compared(gate, tmp_path):
    """Times of another GPU are refused, with the fact that differs."""
    file = tmp_path / "storage" / "0001_base.json"
    content = json.loads(file.read_text())
    content["machine_info"]["hardware"] |= {"device": "cuda", "gpu": "NVIDIA H100"}
    file.write_text(json.dumps(content))
    outcome = gate()
    assert outcome.status == 10
    assert "another machine" in end(outcome)
    assert "NOT COMPARABLE" in end(outcome)
    before, _, _ = " ".join(outcome.out.split()).partition("loading")
    assert "all are of another machine, the newest: device cuda -> cpu, gpu NVIDIA" in before
    assert "nothing to judge by: this session can't pass (exit status 10)" in before


def test_a_damaged_baseline_is_named_and_missing(gate, tmp_path):
    """Half a file is no baseline, and its absence no pass: said before anything is measured."""
    file = tmp_path / "storage" / "0001_base.json"
    file.write_text(file.read_text()[:2000])
    outcome = gate()
    assert outcome.status == 10
    assert "0001_base.json: expected JSON of pytest-benchmark" in words(outcome)
    before, _, _ = outcome.out.partition("loading")
    assert "0001_base.json: expected JSON" in before
    assert "nothing to judge by: this session can't pass (exit status 10)" in before
    assert "MISSING" in end(outcome)


def test_what_crept_is_regressed_though_each_step_passed(gate, tmp_path):
    """By the oldest baselines of the level: here functions were called 0.6 % less each time."""
    file = tmp_path / "storage" / "0001_base.json"
    content = json.loads(file.read_text())
    saved, code = datetime.fromisoformat(content["datetime"]), content["commit_info"]
    for age in (1, 2):
        content["datetime"] = (saved - timedelta(days=age)).isoformat()
        content["commit_info"] = {**code, "id": f"{age:040x}", "dirty": False}
        for bench in content["benchmarks"]:
            for phase in ("prefill", "decode"):
                counted = bench["extra_info"]["counters"][phase]
                counted["python_calls"] = int(counted["python_calls"] * 0.994)
        file.with_name(f"000{age + 1}_older.json").write_text(json.dumps(content))
    outcome = gate()
    assert outcome.status == 1
    assert "creep: no step was REGRESSED, but their sum is, since 0003_older.json" in end(outcome)
    assert "step: 0001_base.json" in end(outcome)


def test_a_baseline_with_wider_bounds_counts_only_if_it_is_named(gate, tmp_path):
    """What was promoted before such sessions were refused is left out, and the gate says so."""
    file = tmp_path / "storage" / "0001_base.json"
    content = json.loads(file.read_text())
    for bench in content["benchmarks"]:
        bench["extra_info"]["validity"]["bounds_lifted"] = ["trend_size"]
    file.write_text(json.dumps(content))
    outcome = gate()
    assert outcome.status == 10
    assert "not checked in full (--bounds), and so no baselines: 1 promoted" in end(outcome)
    outcome = gate("--benchmark-compare=0001")
    assert outcome.status == 0, end(outcome)
    assert "not checked in full (--bounds): 1 of 2 sessions" in end(outcome)


def test_named_sessions_are_judged_by_and_wrong_names_end_it_first(gate, session, tmp_path):
    """--benchmark-compare=NAME judges by that session, promoted or not.

    Without a gate as well: pytest-benchmark's own search ends in a traceback at some names.
    """
    file = tmp_path / "storage" / "0001_base.json"
    assert commands.main(["promote", "--demote", str(file)]) == 0
    outcome = gate("--benchmark-compare=0001")
    assert outcome.status == 0, end(outcome)
    assert "baselines: 0001" in end(outcome)
    names = ("/nowhere/0001", "a**b", "a/b/c", "0999", "")
    ungated = partial(session, *LEAST)
    for run, name in product((gate, ungated), names):
        outcome = run(f"--benchmark-compare={name}")
        assert outcome.status == 4
        assert f"--benchmark-compare{'=' * bool(name)}{name}: expected a saved" in outcome.err
        assert "Traceback" not in outcome.err
        assert "warm-up" not in outcome.out


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("--benchmark-compare=0001", ["a/0001_one.json", "b/0001_two.json"]),
        ("--benchmark-compare=0002", ["a/0002_one.json"]),
        ("--benchmark-compare=a/0001", ["a/0001_one.json"]),
        ("--benchmark-compare", ["b/0003_two.json"]),
    ],
)
def test_what_is_stored_below_a_folder_is_compared(session, tmp_path, name, compared):
    """The default storage has a folder for each machine; the one around them may be named."""
    duet = "20260101-080000-1/restart-01-base"
    for each in ("a/0001_one", "a/0002_one", "b/0001_two", "b/0003_two", duet):
        bench = pytest_format.benchmark(PARAMS, [1.0, 1.1], {})
        content = pytest_format.session([bench], {}, {}, {})
        builders.write(tmp_path / "storage" / f"{each}.json", content)
    outcome = session(*LEAST, "--collect-only", name)
    found = [line for line in outcome.err.splitlines() if line.startswith("Comparing against")]
    assert [each.partition("from: ")[2].removeprefix(f"{tmp_path}/storage/") for each in found] == (
        compared
    )


def test_compare_fail_ends_in_a_line_and_not_in_a_traceback(session, gate, model, tmp_path):
    """pytest-benchmark's own gate keeps its status, and our tables are written all the same."""
    model.machine.step_s *= 1.5
    fail = "--benchmark-compare-fail=min:20%"
    assert gate  # which stores what is compared with
    save = "--benchmark-save=regressed"
    outcome = session(*LEAST, "--benchmark-compare=0001", fail, save)
    assert outcome.status == 1
    (file,) = outcome.folder.rglob("*_regressed.json")
    ours = json.loads(file.read_text())["llm_int8"]
    assert (ours["passed"], ours["exit_status"]) == (False, 1)  # so that it becomes no baseline
    assert "Traceback" not in outcome.out + outcome.err
    assert "INTERNALERROR" not in outcome.out + outcome.err
    assert "--benchmark-compare-fail: Performance has regressed." in outcome.out
    assert "whose figures say little" not in outcome.out
    assert "tokens/s" in outcome.out
    assert session(*LEAST, "--benchmark-compare=0009", fail).status == 4
    file.unlink()
    (tmp_path / "storage" / "0001_base.json").unlink()
    with pytest.warns(PytestBenchmarkWarning, match="Can't compare"):
        outcome = session(*LEAST, "--benchmark-compare", fail)  # the first one of a runner
    assert outcome.status == 10
    assert "Traceback" not in outcome.out + outcome.err
    outcome = session(*LEAST, fail)
    assert outcome.status == 4
    assert "--benchmark-compare-fail: expected --benchmark-compare as well" in outcome.err
