"""How a page shows what went on: levels, marks, axes, and which sessions are kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.history import levels
from benchmarks.page import history, intake
from benchmarks.sessions import measures
from tests import builders
from tests.page.contents import NAME, content, day, read, record

if TYPE_CHECKING:
    import pytest


def test_a_level_begins_where_it_was_accepted() -> None:
    """That is a promoted session whose own verdicts say that the benchmark changed."""
    regressed = builders.verdict(NAME, "REGRESSED", change=0.2)
    forced = {"when": day(3), "forced": "a fix needs it"}
    contents = [
        {"promoted": builders.promoted()},
        {"verdicts": [regressed]},
        {"verdicts": [{**regressed, "acknowledged": "a trade"}], "promoted": builders.promoted()},
        {"verdicts": [regressed], "promoted": forced},
        {"verdicts": [builders.verdict(NAME, "NO CHANGE")], "promoted": builders.promoted()},
        {"verdicts": [builders.verdict(NAME, "IMPROVED")], "promoted": builders.promoted()},
    ]
    shown = history.history(
        read(*(content(record(n), when=day(n), **more) for n, more in enumerate(contents)))
    )
    assert shown
    assert shown["series"][0]["levels"] == [(2, "accepted"), (3, "forced"), (5, "improved")]
    marks = [mark for mark, _ in shown["series"][0]["marks"]]
    assert marks == ["baseline", "session", "baseline", "forced", "baseline", "baseline"]


def test_history_keeps_machines_and_workloads_apart() -> None:
    """A series is of one machine and workload, oldest first, and its sessions are marked."""
    regressed = builders.verdict(NAME, "REGRESSED", change=0.2)
    promoted = {"when": day(9), "forced": None}
    contents = [
        {},
        {"promoted": promoted},
        {"passed": False, "verdicts": [regressed]},
        {"verdicts": [{**regressed, "acknowledged": "a trade"}]},
        {"hardware": builders.CPU},
    ]
    found = intake.select(
        read(
            *(content(record(n), when=day(n), **more) for n, more in enumerate(contents)),
            content(record(9, model="other"), when=day(9)),
        )
    )
    shown = history.history(found.sessions)
    assert shown
    assert len({(each["machine"], each["workload"]) for each in shown["series"]}) == 3
    longest = shown["series"][0]
    assert longest["sessions"] == [0, 1, 2, 3]
    assert shown["sessions"][0]["commit"] == "0123456789 on main"
    assert [mark for mark, _ in longest["marks"]] == ["session", "baseline", "session", "session"]
    (rounds,) = (each for each in longest["metrics"] if each["name"] == "round_s")
    assert rounds["marks"] == {
        2: ("REGRESSED", "round_s +20 %"),
        3: ("acknowledged", "round_s: a trade"),
    }


def test_a_mark_belongs_to_the_metric_that_was_judged() -> None:
    """An improvement of memory isn't REGRESSED because the round is, nor a counter INVALID."""
    judged = [
        builders.verdict(NAME, "IMPROVED", "memory", "weights_bytes", change=-0.5),
        builders.verdict(NAME, "REGRESSED", "counter", "decode.python_calls", change=0.1),
        builders.verdict(NAME, "REGRESSED", "counter", "decode.synchronizations.stream", change=1),
        builders.verdict(NAME, "REGRESSED", "device", "decode_device_s", change=0.2),
        builders.verdict(NAME, "REGRESSED", "time", "tpot_s", change=0.2, acknowledged="a trade"),
        builders.verdict(NAME, "REGRESSED", "time", "cold_round_s", change=0.3),
        builders.verdict("another", "REGRESSED", "time", "ttft_s", change=0.2),
    ]
    busy = record(2, on_gpu=True)
    busy["validity"] = builders.INVALID
    hot = record(3, on_gpu=True)
    hot["device_time"]["validity"] = {"valid": False, "reasons": ["the SM clock fell"]}
    head = {**record(1, on_gpu=True), "cold_process": True}
    contents = [
        content(record(0, on_gpu=True), promoted=builders.promoted(), when=day(1)),
        content(head, verdicts=judged, when=day(2)),
        content(busy, verdicts=judged[4:5], when=day(3)),
        content(hot, when=day(4)),
    ]
    shown = history.history(read(*contents))
    assert shown
    (series,) = shown["series"]
    assert [mark for mark, _ in series["marks"]] == ["baseline", "session", "session", "session"]
    assert series["doubts"] == {2: ("INVALID", "the clock dropped")}
    metrics = {each["name"]: each for each in series["metrics"]}
    assert {name: each["marks"] for name, each in metrics.items() if each["marks"]} == {
        "cold_round_s": {1: ("REGRESSED", "cold_round_s +30 %")},
        "tpot_s": {1: ("acknowledged", "tpot_s: a trade")},
        "decode_device_s": {
            1: ("REGRESSED", "decode_device_s +20 %"),
            3: ("INVALID", "the SM clock fell"),
        },
        "prefill_device_s": {3: ("INVALID", "the SM clock fell")},
        "decode.python_calls": {1: ("REGRESSED", "decode.python_calls +10 %")},
        "decode.synchronizations": {1: ("REGRESSED", "decode.synchronizations.stream 2 times")},
    }
    marked = metrics["decode.python_calls"]["values"]
    assert marked == [19830 / 4] * 4  # the same everywhere, and drawn: its mark would be lost
    wall = {name for name, each in metrics.items() if each["of_the_wall"]}
    assert {"round_s", "cold_round_s", "tpot_s", "tokens_per_s", "load_s"} <= wall
    assert not wall & {"weights_bytes", "decode_device_s", "decode.python_calls"}


def test_a_change_that_nothing_reports_does_not_fill_a_chart() -> None:
    """The axis of values reaches to the floor of their metric at least, and holds all of them."""
    contents = [content(record(n), when=day(n)) for n in range(4)]
    for n, each in enumerate(contents):
        metrics = each["benchmarks"][0]["extra_info"]["metrics"]
        metrics["ttft_s"] = 0.1 + 0.0001 * n
        metrics["tpot_s"] = 0.1 + 0.1 * n
    shown = history.history(read(*contents))
    assert shown
    metrics = {each["name"]: each for each in shown["series"][0]["metrics"]}
    low, high = metrics["ttft_s"]["domain"]
    assert low < 0.992 * 100
    assert high > 1.008 * 100
    assert metrics["tpot_s"]["domain"] == (100, 400)
    assert metrics["weights_bytes"]["domain"] is None  # the same in all: no chart


def test_a_change_of_a_level_is_told_with_what_came_with_it() -> None:
    """Of the metric whose level changed: where, before and after, commits, and other changes.

    A rate that falls is worse, and nobody says so of the rates that sessions aren't judged by.
    """
    contents = [
        content(
            record(n, slower=1.1 if n >= 12 else 1.0),
            when=day(n + 1),
            commit={"id": f"{n:040x}"},
            software=builders.SOFTWARE | ({"torch": "2.14.0"} if n >= 12 else {}),
        )
        for n in range(24)
    ]
    shown = history.history(read(*contents))
    assert shown
    changes = {each["name"]: each["changes"] for each in shown["series"][0]["metrics"]}
    ((start, says),) = changes["tokens_per_s"]
    assert (start, says["outcome"]) == (12, "REGRESSED")
    assert re.fullmatch(r"[\d.]+ tokens/s → [\d.]+ tokens/s", says["level"])
    assert re.match(r"-[89]\.\d % \[.*\] p < 0.001", says["change"])
    assert f"commits {'0' * 10} → " in says["between"]
    assert says["with"] == "torch 2.13.0 → 2.14.0"
    assert changes["weights_bytes"] == []


def test_without_the_package_that_splits_no_change_is_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page is whole, and knows that nobody looked for changes."""
    monkeypatch.setattr(levels, "find_spec", lambda _: None)
    shown = history.history(read(*(content(record(n), when=day(n)) for n in range(3))))
    assert shown
    assert shown["split"] is False
    assert not any(each["changes"] for each in shown["series"][0]["metrics"])


def test_a_long_history_keeps_its_newest_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What doesn't fit is counted, never dropped in silence."""
    contents = [content(record(n), when=day(n)) for n in range(6)]
    kept = intake.select(read(*contents)).sessions
    monkeypatch.setattr(history, "MOST_VALUES", 0)
    room = 3 * len(measures.values(kept[0].measured[NAME]))
    monkeypatch.setattr(history, "LEAST_VALUES", room)
    shown = history.history(kept)
    assert shown
    assert shown["left_out"] == 3
    newest = [day(n)[:19].replace("T", " ") for n in (3, 4, 5)]
    assert [each["when"] for each in shown["sessions"]] == newest
