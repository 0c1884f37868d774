"""The gate on whole sessions: what passes, what fails, and that nothing passes unseen."""

import json
import xml.etree.ElementTree as ET

import pytest

from benchmarks import __main__ as commands
from benchmarks.pytest_session import gating
from tests.pytest_session.gated import end, words
from tests.running import ROOT


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


def test_a_regression_is_seen_wherever_ci_looks(gate, model, tmp_path, monkeypatch):
    """A failing test case, an error annotation, and a summary that says what ran on what.

    What was not judged is skipped there, and a warning: a benchmark without a baseline, and all
    times on a busy machine.
    """
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    model.more_calls = 5
    model.machine.others = 0.3
    files = [tmp_path / "junit.xml", tmp_path / "summary.md"]
    written = [f"--junitxml={files[0]}", f"--summary={files[1]}"]
    outcome = gate(*written, "--batch-size=1,2", "--again-within=0")
    assert outcome.status == 1
    assert "2 passed" in outcome.out  # for pytest itself no test was added
    (suite,) = ET.parse(files[0]).iter("testsuite")  # noqa: S314 (of this very test)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    cases = {
        each.get("name"): each
        for each in suite.iter("testcase")
        if each.get("classname") == "benchmarks.test_throughput.gate"
    }
    failure = cases["test_throughput[int8-decomp-b1-p16-n2]"].find("failure")
    assert "decode.operators_total" in failure.text
    assert "aten::neg +" in failure.text
    assert cases["test_throughput[int8-decomp-b2-p16-n2]"].find("skipped") is not None
    found = [line for line in outcome.out.splitlines() if line.startswith("::")]
    levels = [line.partition(" title=throughput[int8-decomp-b") for line in found]
    assert [(level, name[:1]) for level, _, name in levels] == [
        ("::error", "1"),
        ("::warning", "1"),
        ("::warning", "2"),
    ]
    heading, _, rest = files[1].read_text().partition("### Gate: FAILED, exit status 1")
    for fact in ("model: synthetic:one-layer", "device: cpu", "versions: torch ", "machine: "):
        assert f"- {fact}" in heading
    assert "- INVALID: other programs used" in heading
    assert "other programs used" not in rest


def test_a_small_slowdown_does_not_pass(gate, model):
    """Five percent are suspicious, and a command is named that decides it."""
    model.machine.step_s *= 1.06
    outcome = gate()
    assert outcome.status == 11, end(outcome)
    assert "suspicious" in end(outcome)
    assert "python -m benchmarks duet --base" in end(outcome)


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ({"slowdown": 2.0}, "the suite's own work took 2 times as long as well"),
        ({"others": 0.5}, "the machine couldn't be trusted by the usual bounds"),
    ],
)
def test_load_is_not_blamed_on_the_code(gate, model, tmp_path, load, says):
    """The same calls on a slower or busier machine are suspicious, and the summary says why."""
    for name, value in load.items():
        setattr(model.machine, name, value)
    summary = tmp_path / "summary.md"
    outcome = gate("--bounds=*=inf", "--again-within=0", f"--summary={summary}")
    assert outcome.status == 11, end(outcome)
    assert "so the machine is the likelier cause" in words(outcome)
    assert "decide it: python -m benchmarks duet --base" in words(outcome)
    assert says in words(outcome)
    assert says in summary.read_text()
    assert "not checked (--bounds)" in outcome.out


def test_more_operator_calls_fail_though_nothing_is_slower(gate, model):
    """Counters have no noise, so one call more is enough."""
    model.more_calls = 5
    outcome = gate()
    assert outcome.status == 1
    line = next(line for line in end(outcome).splitlines() if line.startswith("  decode.op"))
    assert line.endswith("REGRESSED")


def test_what_the_baseline_lacks_is_missing(gate):
    """A new benchmark, or one that was renamed, is no pass; nor is one that is gone."""
    outcome = gate("--batch-size=2")
    assert outcome.status == 10
    assert "new: no baseline has it" in end(outcome)
    assert "gone: a baseline has it" in end(outcome)
    assert "2 missing (1 gone, 1 new)" in end(outcome) or "(1 new, 1 gone)" in end(outcome)


@pytest.fixture
def with_warmup(gate, tmp_path):
    """Let the baseline have a warmup and a profile as well."""
    assert gate
    file = tmp_path / "storage" / "0001_base.json"
    content = json.loads(file.read_text())
    (measured,) = content["benchmarks"]
    for name in ("warmup", "profile"):
        fullname = measured["fullname"].replace("throughput", name)
        content["benchmarks"].append({**measured, "fullname": fullname})
    file.write_text(json.dumps(content))


def test_only_what_was_asked_for_is_gone(with_warmup, gate):
    """With other tokens all names are others; what -k left out is no more missed than before."""
    assert with_warmup is None
    outcome = gate("--new-tokens=3", "--ignore=benchmarks/test_profile.py")
    assert outcome.status == 10
    assert "not selected now, and so not judged: 2 of the baseline" in end(outcome)
    assert "2 missing (1 new, 1 gone)" in end(outcome)
    assert "warmup" not in end(outcome)


def test_what_is_gone_is_missed_through_a_link_too(gate, tmp_path):
    """The checkout may be reached by another path than its own."""
    (tmp_path / "linked").symlink_to(ROOT)
    outcome = gate("--new-tokens=3", root=tmp_path / "linked")
    assert "2 missing (1 new, 1 gone)" in end(outcome)
    assert outcome.status == 10


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
    assert 'failures="0"' in (tmp_path / "junit.xml").read_text()
    assert values["round_s"].startswith("REGRESSED +")
    page = report.read_text()
    assert "Nothing got worse" in page
    assert "acknowledged: &lt;b&gt;exact&lt;/b&gt; outliers" in page
    assert "2 sessions" in page  # the baseline's, and this one


def test_a_threshold_of_ones_own_decides_in_sight(gate, model, tmp_path, monkeypatch):
    """30 % is within limits of one's own of 40 %, which a note has with their reason."""
    model.machine.step_s *= 1.3
    own = tmp_path / "thresholds.toml"
    own.write_text(
        '[[threshold]]\nbenchmark = "*"\nmetric = "*_s"\nfloor_percent = 40\nreason = "why"\n'
    )
    monkeypatch.setattr(gating, "THRESHOLDS", own)
    outcome = gate()
    assert outcome.status == 0, end(outcome)
    assert "threshold of yours, floor 40 % for *_s of * (why): 3 of " in end(outcome)
    own.write_text('[[threshold]]\nbenchmark = "*"\n')
    outcome = gate()
    assert outcome.status == 4
    assert "metric is missing" in outcome.err


def test_wrong_values_of_the_gate_end_the_session(session):
    """What follows --gate is read as its value, so the message says how to write it."""
    outcome = session("--gate", "benchmarks")
    assert outcome.status == 4
    assert "--gate: expected one of screen, strict, work; got 'benchmarks'" in outcome.err
