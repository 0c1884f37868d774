"""Sessions on a machine that can't be trusted, or wasn't checked: their ends, and their words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from benchmarks import __main__ as commands
from benchmarks.model import synthetic
from tests.running import ALONE, FAST, LEAST, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.model.checkpoint import Checkpoint
    from tests.virtual import Machine

Run: TypeAlias = Callable[..., Outcome]
ABOUT = ("INVALID", "trusted", "again", "checked (--bounds)", "exit status")
GREEN, RED, YELLOW, END = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def about(outcome: Outcome) -> list[str]:
    """Return the lines about the machine's state."""
    return [line for line in outcome.out.splitlines() if any(word in line for word in ABOUT)]


def last(outcome: Outcome) -> list[str]:
    """Return the last two lines of the terminal."""
    return outcome.out.splitlines()[-2:]


def test_a_busy_neighbour_fails_no_session_that_nobody_judges(
    session: Run, machine: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Status 0, at most five short lines about it, marks beside the figures, and no baseline."""
    machine.others = 0.3
    written = [f"--report={tmp_path / 'page.html'}", f"--summary={tmp_path / 'summary.md'}"]
    outcome = session(*FAST, *written, "--benchmark-save=busy")
    assert outcome.status == 0, outcome.out
    found = about(outcome)
    cause, advice = "other programs used up to 30 % of this core", "measure on an idle machine"
    assert found[-3:] == [
        f"measured again: {cause} (throughput[int8-decomp-b8-p16-n6] and 1 more)",
        f"INVALID: {cause} (all 3 benchmarks); {advice}",
        f"This run's times can't be trusted: {cause}; {advice}.",
    ]
    assert len(found) <= 5
    assert max(map(len, found)) <= 120
    assert found[-1] == last(outcome)[1]
    assert "3 passed" in last(outcome)[0]
    assert "the device" not in outcome.out
    assert "Example" not in outcome.out  # the text of synthetic weights is nonsense
    assert outcome.out.count("n6] !") == 2  # a row of each
    ours = outcome.saved["llm_int8"]
    assert (ours["passed"], ours["exit_status"]) == (True, 0)
    info = outcome.saved["benchmarks"][1]["extra_info"]
    assert len(info["validity"]["reasons"]) == len(info["validity"]["findings"]) > 1
    assert [len(each["validity"]["findings"]) > 1 for each in info["refused"]] == [True]
    assert "<title>INVALID" in (tmp_path / "page.html").read_text()
    assert f"- INVALID: {cause}" in (tmp_path / "summary.md").read_text()
    (file,) = tmp_path.glob("storage/*.json")
    assert commands.main(["promote", str(file)]) == 1
    assert "the machine couldn't be trusted during" in capfd.readouterr().out


@pytest.mark.lie("a busy neighbour process")
def test_a_busy_neighbour_leaves_a_gate_nothing_to_judge(session: Run, machine: Machine) -> None:
    """Status 12, which the last line says in colour; the cause has its line as ever."""
    machine.others = 0.3
    outcome = session(*FAST, *ALONE, "--gate", "--benchmark-save=busy", "--color=yes")
    assert outcome.status == 12, outcome.out
    says = "exit status 12: the machine was too busy or too unsteady for its times to be judged"
    assert last(outcome)[1] == f"{YELLOW}{says}{END}"
    assert "1 passed" in last(outcome)[0]
    assert len([line for line in about(outcome) if "INVALID: " in line]) == 1
    assert "can't be trusted" not in outcome.out
    assert outcome.saved["llm_int8"]["exit_status"] == 12
    assert outcome.saved["llm_int8"]["passed"] is True


@pytest.mark.parametrize("wrong", ["busy", "loose", "failed"])
def test_a_comparison_with_a_session_that_says_little_says_so(
    session: Run, machine: Machine, tmp_path: Path, wrong: str
) -> None:
    """pytest-benchmark's table shows its figures as those of any other."""
    machine.others = 0.3 if wrong == "busy" else 0.0
    loose = ["--bounds=trend_size=0.2"] if wrong == "loose" else []
    session(*LEAST, *loose, "--benchmark-save=then")
    (file,) = tmp_path.glob("storage/*.json")
    if wrong == "failed":
        content = json.loads(file.read_text())
        content["llm_int8"] |= {"passed": False, "exit_status": 2}
        file.write_text(json.dumps(content))
    machine.others = 0.0
    outcome = session(*LEAST, "--benchmark-compare=0001")
    assert outcome.status == 0, outcome.out
    (line,) = [each for each in outcome.out.splitlines() if "whose figures say little" in each]
    assert line.startswith("compared with the session of 20")
    assert {
        "busy": "couldn't be trusted during test_throughput[int8-decomp-b1-p16-n2] (other programs",
        "loose": "checked loosely (--bounds): trend_size up to 0.2",
        "failed": "tests failed, or it was interrupted (exit status 2)",
    }[wrong] in line


def test_a_session_that_fails_says_so_below_pytests_line(session: Run) -> None:
    """In red, with what the status means; one that is fine says nothing more."""
    outcome = session(*FAST, *ALONE, "--model=./none", "--color=yes")
    assert outcome.status == 4
    assert f"{RED}exit status 4: wrong input; nothing was measured{END}" in outcome.out
    outcome = session(*FAST, "-k", "nothing", "--color=yes")
    assert last(outcome)[1] == f"{RED}exit status 5: no benchmark was selected{END}"
    outcome = session(*FAST, "-k", "nothing", "--gate", "--color=yes")
    assert last(outcome)[1] == f"{YELLOW}exit status 10: not everything could be compared{END}"
    outcome = session("--collect-only", "-k", "nothing")
    assert "exit status" not in outcome.out
    outcome = session(*FAST, *ALONE, "--color=yes")
    assert outcome.status == 0, outcome.out
    assert "1 passed" in last(outcome)[1]
    assert about(outcome) == []


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ("*=inf", "not checked (--bounds): anything about the machine"),
        ("trend_size=0.2", "checked loosely (--bounds): trend_size up to 0.2, not 0.15"),
    ],
)
def test_wider_bounds_are_told_wherever_figures_are(
    session: Run, machine: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str], bounds: str,
    says: str
) -> None:  # fmt: skip
    """On the terminal, in the summary, on the page; such a session is no baseline unforced."""
    machine.others = 0.3 if bounds == "*=inf" else 0.0
    written = [f"--report={tmp_path / 'page.html'}", f"--summary={tmp_path / 'summary.md'}"]
    options = [*FAST, *ALONE, f"--bounds={bounds}"]
    outcome = session(*options, *written, "--benchmark-save=loose")
    assert outcome.status == 0, outcome.out
    assert says in outcome.out.splitlines()
    page = (tmp_path / "page.html").read_text()
    assert "<title>NOT JUDGED" in page
    assert page.count(says[1:]) == 1  # once, above all
    assert says in (tmp_path / "summary.md").read_text().replace("&#95;", "_")
    (file,) = tmp_path.glob("storage/*.json")
    assert commands.main(["promote", str(file)]) == 1
    assert f"{says}; no baseline, unless --force says why" in capfd.readouterr().out
    assert commands.main(["promote", str(file), "--force", "never quiet"]) == 0


def test_real_weights_show_what_they_wrote(
    session: Run, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """The new tokens alone, without the prompt, cut to a line."""
    shutil.copytree(tiny_checkpoint.path, tmp_path / "real")
    (tmp_path / "real" / synthetic.MARKER).unlink(missing_ok=True)
    options = [*ALONE, "--rounds=1", "--warmup-rounds=0", "--batch-size=1", "--new-tokens=80"]
    outcome = session(*options, "--model", str(tmp_path / "real"))
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("Example (")]
    assert "question" not in line
    assert line.endswith("…'")
    assert 80 < len(line) <= 120
