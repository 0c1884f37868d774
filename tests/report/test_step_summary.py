"""The summary of a job: what was measured and where, whether it can be trusted, what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.report.step_summary import Judgement, markdown
from benchmarks.report.summary import Summary
from benchmarks.sessions.outcome import Outcome, Verdict

FACTS = {"model": "m", "device": "cpu (1 thread)", "versions": "torch 2.13.0", "machine": "a CPU"}
WAITED = {"reading": "core_wait_share", "value": 0.3, "bound": 0.05}
BUSY = {"valid": False, "reasons": ["x"], "findings": [WAITED]}
VALID: dict[str, Any] = {"valid": True, "reasons": []}
LOOSE = {**VALID, "bounds_lifted": ["trend_size"]}


def summary(*judged: dict[str, Any] | None) -> Summary:
    """Return what a session gathered of benchmarks with these validities."""
    return Summary(
        [
            (f"b{n}", {"metrics": {"tokens_per_s": 9.0}, "validity": each, "refused": []})
            for n, each in enumerate(judged)
        ]
    )


@pytest.mark.parametrize(
    ("judged", "says"),
    [
        ([VALID, VALID], "- validity: the machine could be trusted"),
        ([VALID, BUSY], "- INVALID: other programs used 30 % of this core (b1)"),
        ([LOOSE], "- not checked (--bounds): trend&#95;size"),
        ([None], "- validity: no times were judged"),
        ([], "- validity: no times were judged"),
    ],
)
def test_the_heading_says_what_where_and_whether_it_can_be_trusted(
    judged: list[dict[str, Any] | None], says: str
) -> None:
    """Before any figure; and nothing is called trusted that wasn't judged in full."""
    head = markdown(FACTS, summary(*judged), None).partition("### Figures")[0]
    lines = head.splitlines()
    assert lines[0] == "## LLM.int8() benchmarks"
    assert lines[2:6] == [f"- {name}: {fact}" for name, fact in FACTS.items()]
    assert says in head
    assert ("could be trusted" in head) == (says == "- validity: the machine could be trusted")


def test_each_reason_is_said_once() -> None:
    """Whichever verdicts share it, and why times are INVALID only in the heading."""
    detail, reason = "beyond the 3.7% that sessions vary", "counters: one launch more"
    slower = [
        Verdict(f"t.py::test_{name}", metric, "time", Outcome.REGRESSED, 1.0, 1.1 + n / 10, 0.1,
                detail=detail, reasons=(reason, f"of {name} alone"))
        for n, name in enumerate("ab") for metric in ("round_s", "tpot_s")
    ]  # fmt: skip
    busy = "other programs used 30 % of this core; measure on an idle machine"
    invalid = [
        Verdict(f"t.py::test_{name}", "round_s", "time", Outcome.INVALID, detail=busy)
        for name in "cd"
    ]
    found = markdown(FACTS, summary(BUSY), Judgement("FAILED", [*slower, *invalid], []))
    for text in (detail, reason, "of a alone", "of b alone"):
        assert found.count(text) == 1
    assert found.count("other programs used") == 1
    assert "### Gate: FAILED" in found
    listed = found.partition(f"  - {detail}")[0].splitlines()[-1]
    assert sorted(listed.removeprefix("- ").split(", ")) == [
        f"`{name}` `{metric}`" for name in "ab" for metric in ("round_s", "tpot_s")
    ]
    assert "| `c` and 1 more | `round_s` |" in found


def test_a_failure_has_its_reason_below_the_figures() -> None:
    """And its row no number."""
    shown = summary(VALID)
    shown.failed = {"t.py::test_wrong": "OutputError: *NaN*"}
    figures = markdown(FACTS, shown, None).partition("### Figures")[2]
    assert "| `wrong` FAILED | - |" in figures
    assert "- FAILED: OutputError: &#42;NaN&#42; (wrong)" in figures
