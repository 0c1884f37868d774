"""What a user reads of a machine that couldn't be trusted: one short line for each cause."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from benchmarks.machine.bounds import ABOUT, Bounds, Cause, Finding
from benchmarks.sessions import doubts

LONG = "throughput[int8-decomp-b128-ptext0123abcd-n1024]"
BUSY = {"core_wait_share": 0.3, "off_core_share": 0.31, "involuntary_switches_per_s": 90.0}
DEGRADED = {"control_host_slowdown": 0.47, "control_device_slowdown": 0.4, "outlier_share": 0.4}
# As large as they get, with as many digits as they have.
WORST = {
    "involuntary_switches_per_s": 12_345.0,
    "swapped_pages_per_s": 1_234_567.0,
    "crowding_cores": 123.0,
    "excess_load": 123.0,
    "threads_over_cores": 123.0,
    "other_gpu_processes": 12,
    "degrees_over_limit": -1.25,
    "ecc_errors": 123_456,
}


def judged(**values: float) -> dict[str, Any]:
    """Return the validity of a record, with these readings beyond their bounds."""
    bounds = asdict(Bounds())
    found = [Finding(name, value, bounds[name]).as_record() for name, value in values.items()]
    return {"valid": not found, "reasons": ["a text for each"] * len(found), "findings": found}


def lines(*validities: dict[str, Any], names: str = "abcdef") -> list[str]:
    """Return what is said of benchmarks with these validities."""
    told = doubts.sum_up(zip(names, validities, strict=False))
    return [each.line(len(validities)) for each in told]


def test_readings_that_show_one_cause_are_one_line() -> None:
    """The cause in a user's words with its figure, the benchmark, and the next step."""
    assert lines(judged(**BUSY), judged(), judged()) == [
        "INVALID: other programs used 30 % of this core (a); measure on an idle machine"
    ]


def test_benchmarks_with_one_cause_share_a_line() -> None:
    """It has the worst figure, and says of which benchmarks it is."""
    mild = {"core_wait_share": 0.0712}
    assert lines(judged(**BUSY), judged(**mild), judged()) == [
        "INVALID: other programs used up to 30 % of this core (a, b); measure on an idle machine"
    ]
    (line,) = lines(judged(**mild), judged(**mild))
    assert line.startswith("INVALID: other programs used 7.1 % of this core (all 2 benchmarks); ")


def test_what_follows_from_a_cause_is_no_line_of_its_own() -> None:
    """A busy core makes the control slower, and rounds unsteady: that is no further cause."""
    (line,) = lines(judged(**DEGRADED, **BUSY))
    assert "other programs" in line
    (line,) = lines(judged(**DEGRADED))
    assert "the same work took 47 % longer than at best (a); measure again later" in line
    found = lines(judged(**DEGRADED, **BUSY), judged(**DEGRADED), judged(outlier_share=0.4))
    assert [each.partition("(")[2][0] for each in found] == ["a", "b", "c"]


@pytest.mark.parametrize("own", ["threads_over_cores", "throttled_share"])
def test_what_the_user_set_is_not_blamed_on_other_programs(own: str) -> None:
    """More threads than cores, and a quota, let threads wait for cores as other programs do."""
    (line,) = lines(judged(**BUSY, **DEGRADED, **{own: 2.0}))
    assert "other programs" not in line
    assert ABOUT[own]["next_step"] in line
    both = lines(judged(**BUSY, **{own: 2.0}), judged(**BUSY))
    assert [each.partition("(")[2][0] for each in both] == ["a", "b"]


def test_a_figure_is_up_to_something_only_if_others_differ_from_it() -> None:
    """In the digits that are shown, whatever their unit."""
    near = lines(judged(excess_load=12.1), judged(excess_load=12.3))
    assert near == [
        "INVALID: 12 more tasks than cores wanted to run (all 2 benchmarks); "
        "measure on an idle machine"
    ]
    assert "up to 14 more" in lines(judged(excess_load=12.1), judged(excess_load=14))[0]


@pytest.mark.parametrize(
    ("value", "says"), [(-1.25, "1.2 degrees below its limit"), (3.0, "3 degrees above its limit")]
)
def test_a_hot_gpu_is_above_or_below_its_limit(value: float, says: str) -> None:
    """A temperature difference has no sign in a sentence."""
    assert f"the GPU was {says} (a)" in lines(judged(degrees_over_limit=value))[0]


def test_a_slow_first_round_names_the_option() -> None:
    """What to do follows from the reading whose words are used."""
    (line,) = lines(judged(trend_size=0.3, first_round_excess=0.4))
    assert "the first round took 40 % longer than the others (a); raise --warmup-rounds" in line


@pytest.mark.parametrize("name", ABOUT)
@pytest.mark.parametrize("count", [1, 2, 12])
def test_no_line_is_longer_than_a_terminal(name: str, count: int) -> None:
    """At most 120 columns, whatever names, figures and details; and nothing in it is cut."""
    names = tuple(f"{LONG}{number}" for number in range(count))
    finding = Finding(name, WORST.get(name, 1.234), 0.0, "hw_thermal_slowdown, sw_power_cap")
    doubt = doubts.Doubt(finding, names, varies=count > 1)
    texts = [doubt.line(12), doubt.again(12)]
    others = [doubt] * (len(Cause) - 1)
    texts += [doubts.sentence([doubt, *others], all_times=every) for every in (True, False)]
    assert max(map(len, texts)) <= 120
    assert all(doubt.says in each for each in texts)
    assert f"; {ABOUT[name]['next_step']}" in texts[0]
    assert "benchmark" in texts[0] or names[0] in texts[0]


def test_names_are_shown_as_far_as_they_fit() -> None:
    """Whole ones and how many more there are, or how many of how many."""
    names = ("warmup[int8]", "throughput[int8]", "profile[int8]")
    assert doubts.some(names, 60) == "warmup[int8], throughput[int8], profile[int8]"
    assert doubts.some(names, 41) == "warmup[int8], throughput[int8] and 1 more"
    assert doubts.some(names, 40) == "warmup[int8] and 2 more"
    assert doubts.some(names, 10) == ""
    (line,) = lines(*[judged(**BUSY)] * 2, judged(), names=[LONG * 2, LONG, LONG])  # type: ignore[arg-type]
    assert "(2 of 3 benchmarks)" in line
    (line,) = lines(judged(**BUSY), names=[LONG * 2])  # type: ignore[arg-type]
    assert "(the benchmark)" in line


def test_details_are_kept_where_there_is_room() -> None:
    """Which process it was is what one needs to know."""
    validity = judged(other_gpu_processes=1)
    validity["findings"][0]["detail"] = "4711"
    (line,) = lines(validity)
    assert line.startswith("INVALID: other programs used the GPU: 1 (4711) (a); stop them")


def test_why_rounds_were_measured_again_is_one_line() -> None:
    """Of several causes the first, of several benchmarks all."""
    refused = [("a", judged(**BUSY)), ("b", judged(outlier_share=0.4))]
    assert doubts.again(refused, 3) == [
        "measured again: other programs used 30 % of this core (a, b)"
    ]
    assert doubts.again([], 3) == []


def test_one_sentence_says_what_to_make_of_it() -> None:
    """That the times can't be trusted, why, and what to do."""
    found = doubts.sum_up([("a", judged(**BUSY))])
    assert doubts.sentence(found, all_times=True) == (
        "This run's times can't be trusted: other programs used 30 % of this core; "
        "measure on an idle machine."
    )
    assert doubts.sentence(found, all_times=False).startswith("Times marked ! can't be trusted: ")


def test_the_sentence_names_the_cause_that_touched_most() -> None:
    """And how many more there are."""
    full = judged(memory_stall_share=0.4)
    several = [("a", judged(**BUSY)), ("b", full), ("c", full), ("d", judged(ecc_errors=3))]
    assert doubts.sentence(doubts.sum_up(several), all_times=True) == (
        "This run's times can't be trusted: programs waited for memory 40 % of the time "
        "(and 2 other causes); free memory."
    )
    one = doubts.sum_up(several[:2])
    assert "(and 1 other cause)" in doubts.sentence(one, all_times=True)


@pytest.mark.parametrize(
    ("validity", "says"),
    [
        (None, []),
        ({"valid": True, "reasons": []}, []),
        (judged(), []),
        (judged(**BUSY), ["other programs used 30 % of this core; measure on an idle machine"]),
        ({"valid": False, "reasons": ["a drop; cool it"]}, ["a drop; cool it"]),
        ({"valid": False, "reasons": []}, ["the machine couldn't be trusted"]),
        (
            {"valid": False, "reasons": ["as it was"], "findings": [
                {"reading": "phase_of_the_moon", "value": 1, "bound": 0}
            ]},
            ["as it was"],
        ),
    ],
)  # fmt: skip
def test_records_of_any_release_say_why(validity: Any, says: list[str]) -> None:
    """One without findings, or with a reading of another release, has its reasons as text."""
    assert doubts.of_one(validity) == says


def test_nothing_on_the_cpu_is_called_the_device() -> None:
    """Every text that can be said without a GPU."""
    on_the_gpu = {Cause.GPU_SHARED, Cause.GPU_SLOWED, Cause.GPU_ERRORS}
    for each in fields(Bounds):
        if each.metadata["cause"] not in on_the_gpu:
            assert "device" not in json.dumps([each.metadata["says"], each.metadata["what"]])
