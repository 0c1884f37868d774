"""The table of verdicts: what matters first, nothing drowned, and no markup out of names."""

from __future__ import annotations

import dataclasses
import re

import pytest

from benchmarks.report.verdict_table import MOST, counts, lines, markdown
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


def test_a_line_has_all_that_was_found():
    """Benchmark, metric, both sides, change, interval, adjusted p, verdict; reasons below."""
    header, line, *below, _ = lines([SLOWER])
    assert header.split() == [
        *("benchmark", "metric", "base", "current", "change", "interval", "p", "verdict")
    ]
    assert re.split(r"  +", line) == [
        *("throughput[int8-b8-p16-n128]", "tpot_s", "14.3 ms", "->", "16.4 ms"),
        *("+14.7 %", "[+13.1, +16.4]", "<0.001", "REGRESSED"),
    ]
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
    known = Verdict("test_known", "round_s", "time", Outcome.REGRESSED, acknowledged="a bug")
    cold = dataclasses.replace(known, metric="cold_round_s", outcome=Outcome.INCONCLUSIVE)
    found = lines([known, cold, *verdicts])
    order = [each.split()[0] for each in found[1:-2] if not each.startswith("    ")]
    assert order[:2] == ["REGRESSED", "known"]
    assert order[-2:] == ["IMPROVED", "NO_CHANGE"]
    assert "    acknowledged: a bug" in found
    assert found[-1] == (
        "6 compared: 2 regressed (1 acknowledged), 1 improved, 1 unchanged, "
        "2 inconclusive (1 acknowledged); "
        "1 missing (1 skipped), 1 not comparable, 1 invalid"
    )


def test_the_largest_change_comes_first():
    """Among regressions."""
    small = counter("test_a", head=41.0)
    large = counter("test_b", head=80.0)
    assert [each.split()[0] for each in lines([small, large])[1:3]] == ["b", "a"]


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
    assert "    the same in 1 more benchmark" in found
    other = [
        Verdict(f"test_{name}", "-", "-", Outcome.NOT_COMPARABLE, detail="another machine: gpu")
        for name in "abc"
    ]
    found = lines(other)
    assert sum("another machine" in each for each in found) == 1
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
    assert "    x; 1 left out" in lines([left_out])


def test_reasons_that_times_of_a_benchmark_share_are_said_once():
    """Rounds and TPOT slow down together."""
    both = [SLOWER, dataclasses.replace(SLOWER, metric="round_s", change=0.1)]
    found = lines(both)
    assert sum(SLOWER.reasons[1] in each for each in found) == 1


def test_a_sure_change_that_is_not_reported_is_explained():
    """An interval without zero and NO CHANGE beside it would be a riddle."""
    small = dataclasses.replace(SLOWER, outcome=Outcome.NO_CHANGE, reasons=(), detail="too small")
    assert "    too small" in lines([small])


def test_nothing_compared_is_said():
    """Not a table without rows."""
    assert lines([]) == [counts([])]
    assert counts([]).startswith("nothing compared")


def test_a_line_fits_a_terminal():
    """With the longest names that the suite has."""
    name = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b32-p1024-n128]"
    long = counter(name, "decode.synchronizations.stream", 123456.0, 123500.0)
    assert max(map(len, lines([long]))) < 140


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
