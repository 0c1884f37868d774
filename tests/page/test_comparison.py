"""What a page compares: duets, and past and present."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.common.text import short
from benchmarks.page import intake, moved
from benchmarks.page.comparison import compare
from benchmarks.page.subject import Sides, choose_sides
from benchmarks.report import verdict_markdown
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from tests import builders
from tests.page.contents import NAME, content, duet_contents, read, record, write_duet
from tests.verdicts.test_creep import crept

if TYPE_CHECKING:
    from pathlib import Path


def test_a_duet_is_judged_by_its_pairs() -> None:
    """A real slowdown of 10 % regresses, is drawn outside of the floor, and versions are named."""
    found = choose_sides(read(*duet_contents(6, slower=1.1)))
    assert found.verdicts
    outcomes = {each.metric: each.outcome for each in found.verdicts if each.kind == "time"}
    assert outcomes["round_s"] is Outcome.REGRESSED
    comparison = compare(found)
    assert comparison.lines[0].outcome == "REGRESSED"
    rows = comparison.figures[0].plots[0]["data"]["values"]
    row = next(row for row in rows if "round_s" in row["name"])
    assert row["low"] > row["floor"] > 0
    assert "6 restarts" in found.basis


def test_one_restart_that_makes_the_verdict_is_seen() -> None:
    """Each restart is a dot at the median of its pairs, and in the table of the figure."""
    contents = duet_contents(4, 1.0)
    contents[5] = duet_contents(4, 1.3)[5]  # head of the third restart
    found = choose_sides(read(*contents))
    assert found.verdicts
    shown = compare(found)
    figure = shown.figures[1]
    dots = [row for row in figure.plots[0]["data"]["values"] if "round_s" in row["of"]]
    assert [round(row["x"]) for row in dots] == [0, 0, 30, 0]
    assert len({row["y"] for row in dots}) == 4
    pairs = figure.plots[0]["layer"][1]["data"]["values"]
    assert len(pairs) == 3 * 4 * 5  # round, first token and the rest; restarts; rounds
    assert [row[2] for row in figure.table.rows if "round_s" in row[0]][2] == "+30.0"


def test_too_few_restarts_are_points_without_intervals() -> None:
    """What has no interval is drawn, and says that its interval isn't known."""
    found = choose_sides(read(*duet_contents(2, 1.05)))
    assert found.verdicts
    figure = compare(found).figures[0]
    row = next(row for row in figure.plots[0]["data"]["values"] if "round_s" in row["name"])
    assert row["label"].startswith("round_s +5.0 % (interval unknown), ")
    plot = compare(found).figures[0].plots[0]
    texts = [each for each in plot["layer"] if each["mark"]["type"] == "text"]
    assert [each["encoding"]["text"]["field"] for each in texts] == ["label"]  # above the marks
    assert row["low"] == row["change"] == row["high"]


def test_the_shaded_band_is_the_limit_of_the_verdict() -> None:
    """With one baseline that is 5 %, and not what a duet would rule out; without one, none."""
    verdicts = [
        Verdict(NAME, "round_s", "time", Outcome.NO_CHANGE, 1.0, 1.03, 0.03, limit=0.05),
        Verdict(NAME, "tpot_s", "time", Outcome.REGRESSED, 1.0, 1.1, 0.02, 0.01, 0.03, 0.001),
    ]
    (session,) = read(content())
    figure = compare(Sides(session, verdicts=verdicts)).figures[0]
    rows = {row["name"][-7:]: row for row in figure.plots[0]["data"]["values"]}
    assert (rows["round_s"]["limit"], rows["round_s"]["-limit"]) == (5, -5)
    assert rows[" tpot_s"]["limit"] is None
    band = figure.plots[0]["layer"][0]
    assert (band["encoding"]["x"]["field"], band["encoding"]["x2"]["field"]) == ("-limit", "limit")
    assert band["encoding"]["x"]["scale"]["domain"][1] > 5  # so that its ends are seen
    assert [row[-1] for row in figure.table.rows] == ["-", "5"]


def test_the_floor_that_is_drawn_is_the_one_that_was_judged_by() -> None:
    """That of the metric: a prefill has to change more than a decode step to be reported."""
    names = {"decode_device_s": 0.25, "prefill_device_s": 0.4}
    verdicts = [
        Verdict(NAME, name, "device", Outcome.NO_CHANGE, 1.0, 1.001, 0.001, 0.0, 0.002, 0.5)
        for name in names
    ]
    (session,) = read(content())
    (plot,) = compare(Sides(session, verdicts=verdicts)).figures[0].plots
    found = {row["name"].split()[-1]: row["floor"] for row in plot["data"]["values"]}
    assert found == names


def test_two_duets_are_never_one_verdict(tmp_path: Path) -> None:
    """Of two duets in one folder of results the newest is shown, and the other is named.

    A file that is there twice is one restart.
    """
    write_duet(tmp_path / "duets" / "a", duet_contents(5, 1.5, id="a", spec="old"))
    write_duet(tmp_path / "duets" / "b", duet_contents(3, 1.0, id="b", spec="new", first_day=9))
    builders.write(tmp_path / "selftests" / "selftest.json", {"powers": []})
    builders.write(tmp_path / "bisects" / "tried.json", {"tried": []})
    found = intake.gather([tmp_path])
    assert found.left_out == ()
    shown = choose_sides([*found.sessions, *found.sessions])
    assert shown.verdicts
    assert "A duet of 3 restarts" in shown.basis
    assert {each.outcome for each in shown.verdicts}.isdisjoint({Outcome.REGRESSED})
    assert "1 other duet is in these files" in shown.notes[0]
    assert "old against old (5 restarts" in shown.notes[0]


def test_a_slowdown_on_purpose_is_another_duet() -> None:
    """Of a self-test the sides as they are come first; slowed ones are no part of them."""
    contents = duet_contents(3, 1.0, injected_slowdown=0.0)
    slowed = duet_contents(3, 1.5, injected_slowdown=0.05)[1::2]  # head
    shown = choose_sides(intake.select(read(*contents, *slowed)).sessions)
    assert shown.duet
    assert shown.duet.slowdown == 0
    assert "slowed down by 5 %" in shown.notes[0]


def test_a_duet_gives_its_own_verdicts(tmp_path: Path) -> None:
    """Verdicts beside the files are shown as they are; without, or damaged ones, it says so."""
    folder = write_duet(tmp_path / "duet", duet_contents(5, 1.1))
    own = builders.verdict(NAME, "NO CHANGE", detail="as it was said")
    builders.write(folder / "verdicts.json", {"exit_status": 0, "verdicts": [own]})
    found = intake.gather(sorted(folder.glob("*.json")))
    shown = choose_sides(found.sessions, found.verdicts)
    assert [each.detail for each in shown.verdicts or ()] == ["as it was said"]
    assert "the duet's own" in shown.basis
    for each in duet_contents(3, 1.0, id="another"):
        duet = each["llm_int8"]["duet"]
        builders.write(folder / f"other-{duet['restart']}-{duet['side']}.json", each)
    found = intake.gather([folder])
    assert "given now" in choose_sides(found.sessions, found.verdicts).basis
    for path in folder.glob("other-*.json"):
        path.unlink()
    (folder / "verdicts.json").write_text("[" * 100_000)
    found = intake.gather([folder])
    shown = choose_sides(found.sessions, found.verdicts)
    assert "verdicts.json" in found.left_out[0]
    assert "given now" in shown.basis
    assert "alpha is 0.01, the duet's" in shown.basis


def test_a_duet_shows_the_restart_that_has_counters() -> None:
    """Counters are gathered in the first restart only, and are on the page of all of them."""
    contents = duet_contents(4, 1.1)
    for each in contents[2:]:
        del each["benchmarks"][0]["extra_info"]["counters"]
    contents[1]["benchmarks"][0]["extra_info"]["counters"]["decode"]["operators_total"] += 7
    shown = choose_sides(intake.select(read(*contents)).sessions)
    assert shown.base
    tables = dict(compare(replace(shown, verdicts=())).moved)
    changed = ("decode.operators_total", "1,408", "1,409")
    assert tables[moved.COUNTED].rows[0][:3] == changed
    assert "restart 0 of head" in shown.basis


def test_page_and_summary_have_the_same_order() -> None:
    """Lines of the page are those of the Markdown summary, the regressions on top."""
    verdicts = [
        Verdict(NAME, "ttft_s", "time", Outcome.NO_CHANGE, 1.0, 1.0, 0.0, -0.01, 0.01, 0.9),
        Verdict(NAME, "tpot_s", "time", Outcome.REGRESSED, 1.0, 1.1, 0.1, 0.08, 0.12, 0.001),
        Verdict("b", "-", "-", Outcome.MISSING, detail="gone"),
        Verdict(NAME, "round_s", "time", Outcome.REGRESSED, 1.0, 1.3, 0.3, 0.2, 0.4, 0.001),
    ]
    (session,) = read(content())
    lines = compare(Sides(session, verdicts=verdicts)).lines
    markdown = verdict_markdown.markdown(verdicts)
    places = []
    for line in lines:
        name, _, metric = line.cells[0].rpartition(": ")
        row = re.search(rf"\| `{re.escape(name)}` \| `{metric}` \|.*\| {line.outcome} \|", markdown)
        assert row
        places.append(row.start())
    assert places == sorted(places)
    assert [line.outcome for line in lines][:2] == ["REGRESSED", "REGRESSED"]


def test_a_counter_is_named_as_what_its_values_are() -> None:
    """The values beside a counter are those of one step, so its name has no number of steps."""
    (session,) = read(content())
    calls = Verdict(
        NAME, "decode.python_calls", "counter", Outcome.REGRESSED, 400, 440, 0.1, steps=4
    )
    (line,) = compare(Sides(session, verdicts=[calls])).lines
    assert line.cells == (f"{short(NAME)}: decode.python_calls", "100", "110", "+10.0 %")


def test_intervals_have_a_column_only_if_there_are_any() -> None:
    """Counters have none; beside a time that has one, all have the column."""
    (session,) = read(content())
    calls = Verdict(NAME, "decode.python_calls", "counter", Outcome.REGRESSED, 400, 440, 0.1)
    wall = Verdict(NAME, "round_s", "time", Outcome.REGRESSED, 1.0, 1.1, 0.1, 0.05, 0.15, 0.01)
    for verdicts, last in (([calls], "change"), ([calls, wall], "p")):
        found = compare(Sides(session, verdicts=verdicts))
        assert found.columns[-1] == last
        assert {len(line.cells) for line in found.lines} == {1 + len(found.columns)}


def test_moved_tables_name_a_benchmark_if_there_are_several() -> None:
    """A name that is the same in each row says nothing."""
    head = record(on_gpu=True, launches=652)
    one = read(content(record(on_gpu=True)), content(head))
    other = NAME.replace("throughput", "warmup")
    sides = (record(on_gpu=True), head)
    two = read(*(builders.content((NAME, each), (other, each)) for each in sides))
    for (base, new), first in ((one, "counter"), (two, "benchmark")):
        assert dict(moved.tables(base, new))[moved.COUNTED].columns[0] == first


def test_a_page_judges_by_a_whole_level_as_the_gate_does() -> None:
    """A session without verdicts of its own that crept is REGRESSED on the page as well."""
    verdicts = choose_sides(crept(0.0002)).verdicts or ()
    (found,) = (each for each in verdicts if each.metric == "decode_device_s")
    assert (found.outcome, found.cause) == (Outcome.REGRESSED, Cause.CREEP)


def test_restarts_and_intervals_have_one_axis() -> None:
    """A dot of a restart stands below its interval; device time, which varies less, is apart."""
    figures = compare(choose_sides(read(*duet_contents(6, slower=1.1)))).figures
    intervals, restarts = (
        figure.plots[0]["layer"][n]["encoding"]["x"]["scale"]["domain"]
        for figure, n in zip(figures, (0, 1), strict=True)
    )
    assert intervals == restarts
    device = builders.GPU
    past = [
        content(record(n, on_gpu=True), promoted=builders.promoted(), hardware=device)
        for n in range(4)
    ]
    found = choose_sides(read(*past, content(record(7, on_gpu=True), hardware=device)))
    ends = [
        plot["layer"][0]["encoding"]["x"]["scale"]["domain"][1]
        for plot in compare(found).figures[0].plots
    ]
    assert len(ends) == 2
    assert max(ends) > 3 * min(ends)


def test_what_moved_is_listed() -> None:
    """Counters, operators and versions that differ are shown, and nothing that doesn't."""
    head = record(on_gpu=True, launches=652)
    head["counters"]["decode"]["operators"] = {"aten::_int_mm": 30, "aten::new": 2}
    base, new = read(
        content(record(on_gpu=True), software={"torch": "2.12.0", "cuda": "13"}),
        content(head, software={"torch": "2.13.0", "cuda": "13"}),
    )
    tables = dict(compare(Sides(new, base=base)).moved)
    assert tables["Versions that differ"].rows == [("torch", "2.12.0", "2.13.0")]
    (counter,) = tables[moved.COUNTED].rows
    assert counter == ("decode.kernel_launches", "160", "163", "+1.88 %")
    operators = {row[1]: row[2:4] for row in tables[moved.CALLED].rows}
    assert operators["aten::new"] == ("0", "0.5")  # of a step
    assert "aten::_int_mm" in operators


def test_a_counter_that_has_a_verdict_is_not_listed_again() -> None:
    """What moved beside the verdicts are counters that have no row among them."""
    head = record(on_gpu=True, launches=652)
    head["counters"]["decode"]["c_calls"] += 400
    base, new = read(content(record(on_gpu=True)), content(head))
    metric = "decode.kernel_launches"
    judged = Verdict(NAME, metric, "counter", Outcome.REGRESSED, 640, 652, 0.019, steps=4)
    tables = dict(compare(Sides(new, base=base, verdicts=[judged])).moved)
    assert [row[0] for row in tables[moved.COUNTED].rows] == ["decode.c_calls"]
    quiet = Verdict(NAME, metric, "counter", Outcome.NO_CHANGE, 640, 652, 0.019, steps=4)
    tables = dict(compare(Sides(new, base=base, verdicts=[quiet])).moved)  # it has no row
    assert {row[0] for row in tables[moved.COUNTED].rows} == {"decode.c_calls", metric}
