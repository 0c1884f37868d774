"""Null is "not measured": nowhere on a page, nor among verdicts, does it become a zero."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.page import facts, history, intake, moved, render, session
from benchmarks.page.figures import work
from benchmarks.report import columns, verdict_table
from benchmarks.verdicts.judgement import judge
from tests import builders
from tests.page import contents
from tests.page.contents import NAME, content, read

if TYPE_CHECKING:
    from benchmarks.sessions.session import Session

UNMEASURED = "not measured"


def record(**counters: Any) -> dict[str, Any]:
    """Return a record on a GPU, with other counters of the decode steps."""
    found = contents.record(on_gpu=True)
    found["counters"]["decode"] |= counters
    return found


def without(*path: str) -> dict[str, Any]:
    """Return a record with null in place of this part."""
    found = record()
    part = found
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = None
    return found


def both(base: dict[str, Any], head: dict[str, Any]) -> tuple[Session, Session]:
    """Return a baseline and a session."""
    first, second = read(content(base, promoted=builders.promoted()), content(head))
    return first, second


@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize(
    "path",
    [
        ("counters",),
        ("counters", "decode"),
        ("counters", "decode", "operators"),
        ("counters", "decode", "functions"),
        ("counters", "decode", "kernel_launches"),
        ("counters", "decode_steps"),
        ("device_time",),
    ],
)
def test_what_a_side_lacks_is_no_change(tmp_path: Path, path: tuple[str, ...], side: str) -> None:
    """Neither all calls gone, nor all of them new."""
    sides = (without(*path), record()) if side == "base" else (record(), without(*path))
    base, head = both(*sides)
    tables = dict(moved.tables(base, head))
    assert moved.CALLED not in tables
    for row in tables[moved.COUNTED].rows if tables else ():
        assert UNMEASURED in row
        assert row[-1] == "-"
    shown = work.compared(base, head)
    for figure in shown:
        assert "0" not in {cell for row in figure.table.rows for cell in row}
    page = render.page(intake.select([base, head]), tmp_path / "page.html")
    text = re.sub(r'<script type="module">.*?</script>', "", page, flags=re.DOTALL)
    assert "-100 %" not in html.unescape(text)
    past = history.history([base, head])
    assert past
    values = {each["name"]: each["values"] for each in past["series"][0]["metrics"]}
    assert not [
        name
        for name, column in values.items()
        if 0 in (column if isinstance(column, list) else [column])
    ]


def test_a_session_without_counters_is_one_row() -> None:
    """Not one for each counter: nothing was counted, and that is all there is to say."""
    base, head = both(record(), without("counters"))
    rows = dict(moved.tables(base, head))[moved.COUNTED].rows
    assert rows == [("all", "counted", UNMEASURED, "-")]
    tables = dict(facts.tables(head.measured[NAME].info))
    assert tables["Counters"].rows == [("all", UNMEASURED, UNMEASURED)]
    assert columns.figure(head.measured[NAME].info, "decode.python_calls") is None


def test_what_was_counted_and_never_called_is_zero() -> None:
    """An operator that is gone was called 0 times, if operators were counted; so are functions."""
    gone = record(operators={"aten::_int_mm": 28}, operators_total=28)
    base, head = both(record(), gone)
    (row,) = dict(moved.tables(base, head))[moved.CALLED].rows
    assert row[1:] == ("bitsandbytes::int8_vectorwise_quant", "7", "0", "-100 %")
    whole = {"functions": {"a": 4}, "python_calls": 4}, {"functions": {"b": 8}, "python_calls": 8}
    figure = work.compared(*both(*(record(**each) for each in whole)))[-1]
    assert sorted(figure.table.rows) == [("a", "1", "0", "-100 %"), ("b", "0", "2", "-")]
    phases = record()
    phases["counters"]["prefill"] = {"operators": {"aten::only_here": 3}, "operators_total": 3}
    rows = {row[0]: row[1:] for row in dict(facts.tables(phases))["Counters"].rows}
    assert rows["operators.aten::only_here"] == ("3", "0")
    assert rows["allocations"] == (UNMEASURED, "361")  # of a step


def test_a_figure_says_which_side_was_not_measured() -> None:
    """What is drawn is that of the other side, and isn't taken for both."""
    for sides, lacking in (
        ((record(), without("counters")), "head"),
        ((without("counters"), record()), "base"),
    ):
        (figure,) = (each for each in work.compared(*both(*sides)) if "Python calls" in each.title)
        assert figure.says.endswith(f"; {lacking}: {UNMEASURED}")
        assert len(figure.table.columns) == 2


def test_a_verdict_says_which_side_was_not_measured() -> None:
    """Beside the value that the other side has; a benchmark that is gone as a whole has none."""
    base, head = both(record(), without("counters", "decode", "kernel_launches"))
    verdicts = {each.metric: each for each in judge([base], [head])}
    cells = verdict_table.cells(verdicts["decode.kernel_launches"])
    assert cells[2:6] == ["160", "->", UNMEASURED, "-"]
    verdicts = {each.metric: each for each in judge([head], [base])}
    cells = verdict_table.cells(verdicts["decode.kernel_launches"])
    assert cells[2:6] == [UNMEASURED, "->", "160", "-"]
    (gone,) = judge([base], [builders.session(name="empty")])
    assert verdict_table.cells(gone)[2:5] == ["-", "->", "-"]
    nothing = {
        each.metric: each for each in judge([base], [both(record(), without("device_time"))[1]])
    }
    assert verdict_table.cells(nothing["decode_device_s"])[4] == UNMEASURED


def test_what_a_benchmark_has_none_of_is_a_dash() -> None:
    """Replicas count no calls, and nothing else scales; a failure to measure is another matter."""
    ordinary, single, replicas = record(), contents.record(new_tokens=1, on_gpu=True), record()
    ordinary["metrics"]["decode_busy_share"] = None
    ordinary["unmeasured"]["decode_busy_share"] = "a record was lost"
    for name in ("itl_p95_s", "decode_device_s"):
        del replicas["metrics"][name]
    unsteady = {"valid": False, "reasons": ["prefill: its clock fell"]}
    single["device_time"] = {**single["device_time"], "validity": unsteady}
    single["validity"] = {**single["validity"], "valid": False, "reasons": ["drifted"]}
    one = {"host": 0, "device": "cpu", "metrics": {"tokens_per_s": 9.0}}
    replicas |= {"replicas": [one], "counters": None, "device_time": None}
    replicas["metrics"]["scaling_efficiency"] = 0.9
    benchmarks = zip(("a", "b", "c"), (ordinary, single, replicas), strict=True)
    (found,) = read(builders.content(*benchmarks, failed={"d": "OutputError"}))
    (table, *_) = (each for _, each in session.metrics(found))
    assert [row[0] for row in table.rows] == ["a", "b !", "c", "d FAILED"]
    rows = {row[0].split()[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    hints = {("abcd"[row], table.columns[at]): why for (row, at), why in table.hints.items()}
    assert [rows[name]["scaling"] for name in "abc"] == ["-", "-", "90 %"]
    assert rows["a"]["busy"] == UNMEASURED
    assert hints["a", "busy"] == "a record was lost"
    assert rows["b"]["TPOT"] == rows["b"]["p95"] == "-"
    assert rows["b"]["device"] == f"{rows['a']['device']} !"
    assert hints["b", "device"] == "prefill: its clock fell"
    assert hints["b", "TPOT"] == "a single new token has no decode step"
    assert rows["c"]["p95"] == rows["c"]["device"] == rows["c"]["calls"] == "-"
    assert hints["c", "calls"] == session.OTHERS
    assert set(list(rows["d"].values())[1:]) == {UNMEASURED}
    reasons = session.unmeasured(found)
    assert reasons
    assert {row[0] for row in reasons.rows if row[1] == "a record was lost"} == {
        "decode_busy_share"
    }
    assert "single new token" not in str(reasons.rows)
    page = render.page(intake.select([found]), Path("page.html"))
    assert '<td class=" none" title="a record was lost">not measured</td>' in page
    assert f'<td class=" none" title="{session.OTHERS}">-</td>' in page
