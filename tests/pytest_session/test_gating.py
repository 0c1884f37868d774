"""The gate on whole sessions: what passes, what fails, and that nothing passes unseen."""

import json
import shutil
import xml.etree.ElementTree as ET
from functools import partial
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from pytest_benchmark.logger import PytestBenchmarkWarning

from benchmarks import __main__ as commands
from benchmarks.model import loading
from benchmarks.pytest_session import gating
from tests.running import LEAST

GATED = [*LEAST, "--gate"]


@pytest.fixture
def model(monkeypatch, machine):
    """Let every model call operators more, or fail, as the fields say; `machine` paces it."""
    does = SimpleNamespace(machine=machine, more_calls=0, fails=False)
    load = loading.load

    def before(*_):
        if does.fails:
            raise RuntimeError("a kernel failed")

    def after(_, __, output):
        for _ in range(does.more_calls):
            torch.neg(torch.ones(1))
        return output

    def changed(target, quantization, *, cold):
        engine = load(target, quantization, cold=cold)
        engine.model.register_forward_pre_hook(before)
        engine.model.register_forward_hook(after)
        return engine

    monkeypatch.setattr(loading, "load", changed)
    return does


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in which the baseline of these tests is stored once."""
    return tmp_path_factory.mktemp("gate")


@pytest.fixture
def gate(session, model, folder, tmp_path):
    """Return a function that runs a gated session beside a promoted baseline."""
    assert model.machine.slowdown == 1
    baseline = folder / "storage" / "0001_base.json"
    if not baseline.exists():
        outcome = session(*GATED, "--benchmark-save=base", folder=folder)
        assert outcome.status == 10, outcome.out
        assert "new: no baseline has it" in outcome.out
        assert commands.main(["promote", str(baseline)]) == 0
    (tmp_path / "storage").mkdir()
    shutil.copy(baseline, tmp_path / "storage")
    return lambda *options: session(*GATED, *options)


def end(outcome):
    """Return what the terminal shows of the gate."""
    return outcome.out.partition("= gate =")[2]


def test_the_same_code_passes(gate):
    """Status 0, with how much was compared."""
    outcome = gate("--benchmark-save=same")
    assert outcome.status == 0, end(outcome)
    assert "0 regressed" in end(outcome)
    assert "gate: passed, exit status 0" in end(outcome)
    saved = json.loads((outcome.folder / "storage" / "0002_same.json").read_text())["llm_int8"]
    assert saved["passed"] is True
    assert saved["exit_status"] == 0
    assert {each["outcome"] for each in saved["verdicts"]} == {"NO CHANGE"}


def test_a_regression_fails_each_time_and_never_becomes_a_baseline(gate, model, capfd):
    """No ratchet: the second run of slower code is judged by the same baseline as the first."""
    model.machine.step_s *= 1.3
    for number in ("0002", "0003"):
        outcome = gate("--benchmark-save=slow")
        assert outcome.status == 1
        line = next(line for line in end(outcome).splitlines() if "round_s" in line)
        assert line.endswith("REGRESSED")
        file = outcome.folder / "storage" / f"{number}_slow.json"
        assert commands.main(["promote", str(file)]) == 1
        said = capfd.readouterr().out
        assert said.startswith("refused: ")
        assert "REGRESSED" in said


def test_a_small_slowdown_does_not_pass(gate, model):
    """Five percent are suspicious, and a command is named that decides it."""
    model.machine.step_s *= 1.06
    outcome = gate()
    assert outcome.status == 11, end(outcome)
    assert "suspicious" in end(outcome)
    assert "python -m benchmarks duet --base" in end(outcome)


def test_more_operator_calls_fail_though_nothing_is_slower(gate, model):
    """Counters have no noise, so one call more is enough."""
    model.more_calls = 5
    outcome = gate()
    assert outcome.status == 1
    line = next(line for line in end(outcome).splitlines() if "]  decode.operators_total" in line)
    assert line.endswith("REGRESSED")


def test_what_the_baseline_lacks_is_missing(gate):
    """A new benchmark, or one that was renamed, is no pass; nor is one that is gone."""
    outcome = gate("--batch-size=2")
    assert outcome.status == 10
    assert "new: no baseline has it" in end(outcome)
    assert "gone: a baseline has it" in end(outcome)
    assert "2 missing (1 gone, 1 new)" in end(outcome) or "(1 new, 1 gone)" in end(outcome)


@pytest.mark.parametrize("options", [["--benchmark-skip"], ["--benchmark-disable"]])
def test_benchmarks_that_measured_nothing_are_no_pass(gate, options):
    """All skipped, or run without a clock: nothing was compared."""
    outcome = gate(*options)
    assert outcome.status == 10
    assert "nothing compared" in end(outcome)


def test_a_selection_of_nothing_is_no_pass(gate):
    """A typing error in -k is not green; what -k left out is counted, and not missed."""
    outcome = gate("-k", "throughput and nothing")
    assert outcome.status == 10
    assert "not selected now, and so not judged: 1 of the baseline" in end(outcome)


def test_a_failed_benchmark_keeps_its_status(gate, model):
    """A test that failed is status 1, and its baseline is named as missing for that reason."""
    model.fails = True
    outcome = gate()
    assert outcome.status == 1
    assert "failed: it has no result now" in end(outcome)


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


def test_a_damaged_baseline_is_named_and_missing(gate, tmp_path):
    """Half a file is no baseline, and its absence no pass."""
    file = tmp_path / "storage" / "0001_base.json"
    file.write_text(file.read_text()[:2000])
    outcome = gate()
    assert outcome.status == 10
    assert "0001_base.json: expected JSON of pytest-benchmark" in end(outcome)
    assert "MISSING" in end(outcome)


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


def test_an_acknowledged_regression_passes_in_sight(gate, model, tmp_path, monkeypatch):
    """It passes up to its ceiling, and is shown with its reason in every report."""
    model.machine.step_s *= 1.3
    known = tmp_path / "acknowledged.toml"
    known.write_text(
        "".join(
            f'[[acknowledged]]\nbenchmark = "*::test_throughput[*"\nmetric = "{metric}"\n'
            'ceiling_percent = 60.0\nreason = "<b>exact</b> outliers"\nexpires = 2999-12-31\n'
            for metric in ("*", "tpot")
        )
    )
    monkeypatch.setattr(gating, "ACKNOWLEDGED", known)
    files = [tmp_path / "summary.md", tmp_path / "github.md"]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(files[1]))
    report = tmp_path / "page.html"
    written = [f"--junitxml={tmp_path / 'junit.xml'}", f"--report={report}"]
    outcome = gate(f"--summary={files[0]}", *written)
    assert outcome.status == 0, end(outcome)
    assert "<b>exact</b> outliers" in end(outcome)
    assert "acknowledged" in end(outcome)
    assert "no 'tpot' was judged of *::test_throughput[*" in end(outcome)
    assert "the nearest is 'tpot_s'" in end(outcome)
    text = files[0].read_text()
    assert text == files[1].read_text()
    assert "REGRESSED" in text
    assert "<b>" not in text
    assert "| tokens/s |" in text
    found = ET.parse(tmp_path / "junit.xml").iter("property")  # noqa: S314 (of this very test)
    values = {each.get("name").rpartition(" ")[2]: each.get("value") for each in found}
    assert values["round_s"].startswith("REGRESSED +")
    page = report.read_text()
    assert "Nothing got worse" in page
    assert "acknowledged: &lt;b&gt;exact&lt;/b&gt; outliers" in page
    assert "2 sessions" in page  # the baseline's, and this one


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


def test_wrong_values_of_the_gate_end_the_session(session):
    """What follows --gate is read as its value, so the message says how to write it."""
    outcome = session("--gate", "benchmarks")
    assert outcome.status == 4
    assert "--gate: expected one of screen, strict, work; got 'benchmarks'" in outcome.err
