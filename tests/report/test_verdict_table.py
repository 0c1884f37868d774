"""The table of verdicts: what matters first, nothing drowned, and no markup out of names."""

from __future__ import annotations

import dataclasses
import re

import pytest

from benchmarks.report.verdict_lines import lines
from benchmarks.report.verdict_markdown import MOST, markdown
from benchmarks.report.verdict_table import counts
from benchmarks.sessions.outcome import Cause, Outcome, Verdict

SLOWER = Verdict(
    benchmark="benchmarks/test_throughput.py::test_throughput[int8-b8-p16-n128]",
    metric="tpot_s",
    kind="time",
    outcome=Outcome.REGRESSED,
    base=0.0143,
    head=0.0164,
    change=0.147,
    low=0.131,
    high=0.164,
    p=0.0002,
    detail="over 5 restarts",
    reasons=(
        "decode +14.7%, prefill +0.3%",
        "decode: aten::mm 1 ms -> 2 ms on the device, 28 calls",
    ),
)


def counter(benchmark, name="decode.kernel_launches", base=40.0, head=40.0, **changes):
    """Return the verdict on a counter."""
    outcome = Outcome.NO_CHANGE if base == head else Outcome.REGRESSED
    return Verdict(benchmark, name, "counter", outcome, base, head, head / base - 1, **changes)


def same(change, limit, low=None, high=None, cause=None):
    """Return the verdict on a time that is no change, of which `limit` is said."""
    return Verdict(
        *("test_a", "round_s", "time", Outcome.NO_CHANGE, 1.0, 1.0 + change, change),
        **{"low": low, "high": high, "detail": "why", "cause": cause, "limit": limit},
    )


def test_a_line_has_all_that_was_found():
    """Both sides, change, interval, adjusted p and verdict below the benchmark's name; then why."""
    header, name, line, who, *below, _ = lines([SLOWER])
    assert header.split() == ["metric", "base", "current", "change", "interval", "p", "verdict"]
    assert name == "throughput[int8-b8-p16-n128]"
    assert re.split(r"  +", line.strip()) == [
        *("tpot_s", "14.3 ms", "->", "16.4 ms", "+14.7 %", "[+13.1, +16.4]", "<0.001", "REGRESSED")
    ]
    assert who == "tpot_s:"
    assert [each.strip() for each in below] == [SLOWER.detail, *SLOWER.reasons]
    assert all(each.startswith("    ") for each in below)


def test_regressions_come_first_and_counts_last():
    """Then what is open, and what has improved; nothing is dropped."""
    verdicts = [
        Verdict(
            f"test_{outcome.name}", "round_s", "time", outcome, detail="why", cause=Cause.SKIPPED
        )
        for outcome in reversed(Outcome)
    ]
    known = Verdict(
        "test_known", "round_s", "time", Outcome.REGRESSED, acknowledged="a bug; see 12"
    )
    cold = dataclasses.replace(known, metric="cold_round_s", outcome=Outcome.INCONCLUSIVE)
    found = lines([known, cold, *verdicts])
    names = {each.benchmark.removeprefix("test_") for each in (known, *verdicts)}
    order = [each for each in found if each in names]
    assert order[:2] == ["REGRESSED", "known"]
    assert order[-2:] == ["IMPROVED", "NO_CHANGE"]
    assert "round_s, cold_round_s of known: acknowledged: a bug; see 12" in found
    assert " ".join(found[-2:]).replace("     ", " ") == (
        "6 compared: 2 regressed (1 acknowledged), 1 improved, 1 unchanged, "
        "2 inconclusive (1 acknowledged); "
        "1 missing (1 skipped), 1 not comparable, 1 invalid"
    )


def test_the_largest_change_comes_first():
    """Among regressions."""
    small = counter("test_a", head=41.0)
    large = counter("test_b", head=80.0)
    assert [each for each in lines([small, large]) if each in "ab"] == ["b", "a"]


def test_what_is_unchanged_does_not_drown_the_rest():
    """Counters and memory without a change share one line, whatever their number."""
    names = [f"{phase}.{name}" for phase in ("prefill", "decode") for name in "abcdefg"]
    quiet = [counter("test_one", name) for name in names]
    quiet.append(Verdict("test_one", "weights_bytes", "memory", Outcome.NO_CHANGE, 1.0, 1.0, 0.0))
    found = lines(quiet)
    assert found[0] == "one: 14 counters, 1 memory figure unchanged"
    assert len(found) == 2
    assert lines([counter("test_one"), counter("test_two")])[0] == (
        "2 benchmarks, each: 1 counter unchanged"
    )


def test_what_benchmarks_have_in_common_is_said_once():
    """Those of one model share its counters; on another machine all share the reason."""
    found = lines([counter("test_a", head=41.0), counter("test_b", head=41.0)])
    assert sum("kernel_launches" in each for each in found) == 1
    other = [
        Verdict(f"test_{name}", "-", "-", Outcome.NOT_COMPARABLE, detail="another machine: gpu")
        for name in "abc"
    ]
    found = lines(other)
    assert found[0] == "NOT COMPARABLE (a and 2 more): another machine: gpu"
    assert "3 not comparable" in found[-1]


def test_an_unchanged_time_says_what_would_not_have_been_seen():
    """With too few baselines; once, not below every line."""
    few = "only 1 baseline, too few to tell how much they vary: less than 5% doesn't show"
    verdicts = [
        Verdict(f"test_{name}", "round_s", "time", Outcome.NO_CHANGE, 1.0, 1.0, 0.0, detail=few)
        for name in "ab"
    ]
    assert f"2 times unchanged: {few}" in lines(verdicts)
    left_out = dataclasses.replace(verdicts[0], p=1.0, detail="x; 1 left out", cause=Cause.LEFT_OUT)
    assert "round_s: x; 1 left out" in lines([left_out])


def test_a_reason_is_said_once_with_all_that_it_is_about():
    """Rounds and TPOT slow down together; limits that differ are one range."""
    both = [SLOWER, dataclasses.replace(SLOWER, metric="round_s", change=0.1)]
    found = lines(both)
    assert sum(SLOWER.reasons[1] in each for each in found) == 1
    assert "tpot_s, round_s:" in found
    says = "only changes above {} could have been seen; raise --rounds"
    open_ = [
        dataclasses.replace(
            SLOWER,
            metric=metric,
            outcome=Outcome.INCONCLUSIVE,
            detail=says.format(text),
            limit=limit,
            reasons=(),
        )
        for metric, text, limit in (("tpot_s", "6.7 %", 0.06683), ("round_s", "100 %", 0.9963))
    ]
    assert f"round_s, tpot_s: {says.format('6.7 to 100 %')}" in lines(open_)


@pytest.mark.parametrize(
    ("verdict", "change", "says"),
    [
        (counter("test_a", base=4e6, head=4e6 + 4, steps=4), "+1", "REGRESSED"),
        (counter("test_a", base=400, head=401, steps=4), "+0.2 %", "REGRESSED"),
        (dataclasses.replace(SLOWER, change=12.9, low=10.0, high=15.4), "14 times", "REGRESSED"),
        (dataclasses.replace(SLOWER, change=0.0031, kind="device"), "+0.31 %", "REGRESSED"),
        (same(0.03, 0.05), "+3.0 %", "NO CHANGE (below 5 %)"),
        (same(0.008, 0.01, low=0.006, high=0.009), "+0.8 %", "NO CHANGE (below 1 %)"),
        (same(0.2, 0.35, low=-0.1, high=0.5), "+20.0 %", "NO CHANGE (below 35 %)"),
        (same(0.01, 0.03, low=-0.02, high=0.04), "+1.0 %", "NO CHANGE"),
        (same(0.04, 0.03, low=0.01, high=0.07, cause=Cause.CHANCE), "+4.0 %", "(may be chance)"),
    ],
)
def test_a_change_and_its_verdict_make_sense_together(verdict, change, says):
    """A change that looks like one has the limit beside NO CHANGE; none is REGRESSED by +0.0 %."""
    line = lines([verdict])[2]
    assert f"  {change}  " in line
    assert line.endswith(says)


def test_the_interval_of_a_factor_is_one_of_factors():
    """A change of 14 times with an interval in percent would have to be read twice."""
    gross = dataclasses.replace(SLOWER, change=12.9, low=10.0, high=15.4)
    assert "14 times  [11, 16]" in lines([gross])[2]


def test_counters_are_those_of_one_decode_step():
    """As in the table of metrics, however many steps were counted; others are as they are."""
    (line,) = [each for each in lines([counter("test_a", head=46.0, steps=4)]) if "->" in each]
    assert re.split("  +", line.strip())[1:4] == ["10", "->", "11.5"]
    (line,) = [each for each in lines([counter("test_a", head=46.0)]) if "->" in each]
    assert re.split("  +", line.strip())[1:4] == ["40", "->", "46"]


def test_a_sure_change_that_is_not_reported_is_explained():
    """An interval without zero and NO CHANGE beside it would be a riddle."""
    small = dataclasses.replace(SLOWER, outcome=Outcome.NO_CHANGE, reasons=(), detail="too small")
    assert "tpot_s: too small" in lines([small])


def test_nothing_compared_is_said():
    """Not a table without rows."""
    assert lines([]) == [counts([])]
    assert counts([]).startswith("nothing compared")


def test_a_line_fits_120_columns():
    """With the longest names, cells and reasons that the suite has."""
    name = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b32-p1024-n128]"
    reasons = tuple(f"{'kernel' * 16}: 1.234 ms -> 2.345 ms a step in {n} calls" for n in range(9))
    device = dataclasses.replace(
        SLOWER, benchmark=name, metric="prefill_device_s", kind="device", low=-0.1234, high=0.5678
    )
    found = [
        counter(name, "decode.synchronizations.stream", 123456.0, 123500.0),
        dataclasses.replace(counter(name, "decode.x"), outcome=Outcome.MISSING, cause=Cause.GONE),
        dataclasses.replace(device, reasons=reasons, detail="a detail of some length; " * 9),
        dataclasses.replace(device, metric="tpot_s", outcome=Outcome.NO_CHANGE, limit=0.0025),
        *(dataclasses.replace(SLOWER, benchmark=f"{name}{n}", change=0.1) for n in range(9)),
        Verdict(name, "-", "-", Outcome.MISSING, detail="gone: a baseline has it " * 9),
    ]
    notes = ["differs: " + ", ".join(f"package{n} 1.2.3 -> 1.2.4" for n in range(9))]
    shown = lines(found, notes)
    assert max(map(len, shown)) <= 120
    assert [each for each in shown if "synchronizations.stream" in each]
    for each in reasons:
        assert each in "".join(line.strip() + " " for line in shown)


NASTY = "test_a[`x`|<img src=x>|*b*_c_ @someone #1 https://evil.example www.evil.example\n# title]"


@pytest.mark.parametrize("outcome", [Outcome.REGRESSED, Outcome.NO_CHANGE, Outcome.MISSING])
def test_names_and_reasons_are_no_markup(outcome):
    """A pull request of a stranger may name its tests as it likes."""
    found = markdown(
        [Verdict(NASTY, "m|m", "time", outcome, 1.0, 2.0, 1.0, detail=NASTY, reasons=(NASTY,))],
        notes=[NASTY],
        title=NASTY,
    )
    outside = re.sub(r"`[^`]*`|&#\d+;", "", found)  # neither code spans nor entities are markup
    for mark in ("<img", "*b*", "_c_", "@s", "#1", "https://", "www.", "\n# title", "[", "]"):
        assert mark not in outside
    rows = [each for each in found.splitlines() if each.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", each)) for each in rows} == {10}
    assert all(each.count("`") % 2 == 0 for each in found.splitlines())


def test_markdown_has_the_same_facts_in_the_same_order():
    """Loud ones in a table with their reasons, quiet ones folded away."""
    same = Verdict("test_b", "round_s", "time", Outcome.NO_CHANGE, 1.0, 1.0, 0.0, -0.01, 0.01, 0.9)
    found = markdown([same, SLOWER, counter("test_c")], ["versions: torch 1 -> 2"])
    head, folded = found.split("<details>")
    assert "1 regressed" in head
    assert "versions: torch" in head
    assert "`throughput[int8-b8-p16-n128]` | `tpot_s` | 14.3 ms" in head
    assert "decode: aten::mm" in head
    assert "`b` | `round_s`" in folded
    assert "1 counter unchanged" in folded


def test_markdown_fits_a_comment():
    """GitHub refuses comments beyond 65,536 characters; what is left out is counted."""
    many = [
        Verdict(f"benchmarks/test_t.py::test_{'x' * 60}[{number}]", "tpot_s", "time", outcome,
                1.0, 2.0, 1.0, 0.9, 1.1, 0.001, "a detail of some length " * 3, SLOWER.reasons)
        for number in range(500)
        for outcome in (Outcome.REGRESSED, Outcome.NO_CHANGE)
    ]  # fmt: skip
    found = markdown(many)
    assert len(found) < 65_536
    assert f"… and {500 - MOST} more" in found
