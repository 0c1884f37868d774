"""The report takes in files of any kind, and shows or names each; its texts are never markup."""

from __future__ import annotations

import csv
import html
import json
import math
import random
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.__main__ import main
from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.page import history, intake, render
from benchmarks.page.comparison import compare
from benchmarks.page.figures import distribution, flame_graph, gpu_samples, timing
from benchmarks.page.subject import choose_sides
from benchmarks.report import columns, verdict_table
from benchmarks.sessions import schema
from benchmarks.sessions.outcome import Outcome, Verdict
from benchmarks.sessions.schema import difference
from benchmarks.sessions.session import Session, parse_session
from tests import builders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n16]"
FOREIGN = {"benchmarks": [{"fullname": "t", "stats": {"data": [1.0]}}]}


def read(*contents: dict[str, Any]) -> list[Session]:
    """Return sessions as they are read back from their files."""
    return [
        parse_session(json.loads(json.dumps(content)), f"{n:04}.json")
        for n, content in enumerate(contents, 1)
    ]


def content(info: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a file of one benchmark."""
    return builders.content((NAME, info or builders.record()), **changes)


def day(n: int) -> str:
    """Return the n-th day as a session says when it was saved."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)).isoformat()


def duet_contents(
    restarts: int, slower: float, *, first_day: int = 0, **duet: Any
) -> list[dict[str, Any]]:
    """Return both sides of a duet whose head takes `slower` times as long."""
    return [
        builders.content(
            (NAME, builders.record(n, slower=slower if side == "head" else 1.0)),
            duet={"side": side, "restart": n, "id": "d", "looks": {"5": 0.01}, **duet},
            when=day(first_day + n),
        )
        for n in range(restarts)
        for side in ("base", "head")
    ]


def write_duet(folder: Path, contents: list[dict[str, Any]]) -> Path:
    """Write the sessions of a duet into a folder, and return it."""
    for content in contents:
        duet = content["llm_int8"]["duet"]
        builders.write(folder / f"restart-{duet['restart']:02}-{duet['side']}.json", content)
    return folder


def judged_contents() -> list[dict[str, Any]]:
    """Return a baseline, and a session with verdicts and a profile."""
    numbers = {"base": 1.0, "head": 1.1, "change": 0.1, "low": 0.05, "high": 0.15, "p": 0.01}
    verdicts = [builders.verdict(NAME, "REGRESSED", **numbers)]
    promoted = {"when": day(1), "forced": None}
    profile = {**builders.record(new_tokens=1), "profile": builders.profiles()}
    return [
        builders.content(
            (NAME, builders.record(n, on_gpu=True)), ("t.py::test_profile", profile), **saved
        )
        for n, saved in enumerate(({"promoted": promoted}, {"verdicts": verdicts}))
    ]


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every part of a file, as what holds it and its name or number there."""
    names = content if isinstance(content, dict) else range(min(len(content), 3))
    for name in names:
        yield content, name
        if isinstance(content[name], (dict, list)):
            yield from places(content[name])


def without_scripts(page: str) -> str:
    """Return a page without the code that it runs; data stays."""
    return re.sub(r'<script type="module">.*?</script>', "", page, flags=re.DOTALL)


# Taking in


def test_every_file_is_shown_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is damaged, foreign, older, newer, endless or beyond all sense is named."""
    old = {name: value for name, value in builders.record().items() if name != "metrics"}
    endless = content()
    endless["benchmarks"][0]["stats"]["data"][0] = 10**400
    texts = {
        "0001_good": json.dumps(content()),
        "deeper/0002_good": json.dumps(content(builders.record(1))),
        "0003_half": json.dumps(content())[:-40],
        "0004_list": "[]",
        "0005_foreign": json.dumps(FOREIGN),
        "0006_newer": json.dumps(content({**builders.record(), "schema": 2})),
        "0007_old": json.dumps(content(old)),
        "0008_deep": "[" * 100_000,
        "0009_huge": json.dumps(
            content({**builders.record(), "attestation": {"linears": 10**400}})
        ),
        "0010_rounds": json.dumps(endless),
    }
    (tmp_path / "deeper").mkdir()
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    out, table = tmp_path / "page.html", tmp_path / "all.csv"
    assert main(["report", str(tmp_path), "--out", str(out), "--csv", str(table)]) == 0
    named = re.findall(r"not shown: \S*/(\d{4}_\w+)\.json: .*expected", capsys.readouterr().out)
    assert sorted(named) == [name for name in texts if "good" not in name]
    page = out.read_text(encoding="utf-8")
    assert "Not shown: 8" in page
    assert all(name in page for name in named)
    assert "2 sessions" in page
    assert table.exists()


def test_an_incomplete_record_is_named_with_its_place() -> None:
    """What can't be shown says what it lacks, and takes nothing else with it."""
    damaged = (NAME.replace("int8-decomp", "int8"), {**builders.record(), "workload": None})
    found = intake.select(read(builders.content((NAME, builders.record()), damaged)))
    assert list(found.sessions[0].measured) == [NAME]
    assert "workload is no mapping" in found.left_out[0]


def test_no_damage_ends_in_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever stands in place of a part of a file, a page is made, or an error of one line."""
    monkeypatch.setattr(render, "vega", str)  # the same for every page, and large
    chance = random.Random(0)
    instead = (None, "x", -1, 0, 1e308, [], {}, True, math.nan, ["a"], {"a": 1}, 10**400)
    for _ in range(150):
        contents = json.loads(json.dumps(chance.choice((judged_contents(), duet_contents(2, 1.1)))))
        damaged, name = chance.choice(list(places(chance.choice(contents))))
        damaged[name] = chance.choice(instead)
        with suppress(InputError):
            render.write(tmp_path / "page.html", intake.select(read(*contents)))


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    """What stood in the file stays there until the new page is whole."""
    out = tmp_path / "page.html"
    with files.whole(out, "the report") as file:
        file.write("old \ud800")
    with pytest.raises(ZeroDivisionError), files.whole(out, "the report") as file:
        file.write(str(1 / 0))
    assert out.read_text() == "old ?"
    assert list(tmp_path.iterdir()) == [out]


def test_lifted_bounds_are_no_validity(tmp_path: Path) -> None:
    """If bounds were lifted or widened, nothing is green: neither the session nor a part."""
    info = builders.record()
    info["validity"] |= {"bounds_lifted": ["trend_size", "steal"], "bounds_widened": {"old": 1}}
    found = intake.select(read(content(info)))
    page = without_scripts(render.page(found, tmp_path / "page.html"))
    assert "<title>NOT JUDGED" in page
    assert '<span class="badge valid">' not in page
    assert page.count("ot checked (--bounds): trend_size, steal") == 2
    assert page.count("hecked loosely (--bounds): old up to 1") == 2


def test_nothing_to_show_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, an empty folder, and files of others end by status 4 with what was expected."""
    (tmp_path / "empty").mkdir()
    builders.write(tmp_path / "f.json", FOREIGN)
    for path in ("none.json", "empty", "f.json"):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(tmp_path / path), "--out", str(tmp_path / "page.html")])
        assert ended.value.code == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert "expected" in line
    assert not (tmp_path / "page.html").exists()


def test_shapes_let_unknown_names_pass() -> None:
    """A record with more than is known, of a later release of this schema, is shown."""
    assert difference({**builders.record(), "new": object()}, schema.RECORD) is None


# Figures


def test_warm_up_and_refused_rounds_are_apart() -> None:
    """Rounds that don't count are drawn in order, as another kind, and in the table."""
    info = builders.record(rounds=2)
    info["refused"] = [{"rounds": builders.record(1, rounds=2)["rounds"], "validity": None}]
    cold = builders.record(2, rounds=3)
    figure = timing.rounds(info, cold)
    kinds = [row[1] for row in figure.table.rows]
    assert kinds == ["warm-up"] * 3 + ["refused"] * 2 + ["counted"] * 2
    assert "2 rounds" in figure.says


def test_a_hiccup_is_named_where_it_happened() -> None:
    """The longest gap is labelled with its token and round, also where points are thinned."""
    info = builders.record(new_tokens=3000, rounds=4)
    info["rounds"][2]["step_s"][1234] = 0.5
    figure = timing.gaps(info)
    assert figure
    assert "500 ms before token 1236 of round 3" in figure.says
    points = figure.plots[0]["data"]["values"]
    assert len(points) <= timing.MOST_POINTS
    assert max(row["value"] for row in points) == pytest.approx(500)


def test_single_tokens_have_no_gaps() -> None:
    """Nothing is drawn in place of what doesn't exist."""
    info = builders.record(new_tokens=1)
    assert timing.gaps(info) is None
    assert distribution.figure(info) is None


def test_every_gap_is_counted_once() -> None:
    """The bins of a distribution and what is beyond them add up to all gaps."""
    info = builders.record(new_tokens=64)
    info["rounds"][0]["step_s"][0] = 9.0
    figure = distribution.figure(info)
    assert figure
    assert sum(row["n"] for row in figure.plots[0]["data"]["values"]) == 63 * 5 - 1
    assert "1 longer than drawn, up to 9 s" in figure.says


def test_few_gaps_are_dots() -> None:
    """Of fewer gaps than a histogram needs each is a dot, and is in the table as it is said."""
    info = builders.record(new_tokens=4, rounds=3)
    figure = distribution.figure(info)
    assert figure
    assert len(figure.plots[0]["data"]["values"]) == len(figure.table.rows) == 9
    p50 = columns.text("itl_p50_s", info["metrics"]["itl_p50_s"])
    assert figure.plots[0]["layer"][-1]["data"]["values"][0]["label"] == f"p50: {p50}"


def test_the_gpu_is_aligned_with_the_rounds() -> None:
    """Samples and rounds share a clock, and throttling says its reason and its share."""
    figure = gpu_samples.gpu(builders.record(on_gpu=True))
    assert figure
    assert "sw_thermal_slowdown" in figure.says
    spans = figure.plots[0]["layer"][0]["data"]["values"]
    assert [span["round"] for span in spans] == [f"round {n}" for n in range(1, 6)]
    assert len(figure.plots) == len(gpu_samples.SIGNALS)
    assert gpu_samples.gpu(builders.record()) is None


def test_a_flame_graph_adds_up() -> None:
    """Boxes are as wide as their share; chains are one box, and small frames are left out."""
    text = "nn.Module: A;b;c 50\nnn.Module: A;b;d 49\ne 900\ne;tiny 1\nno number\nx;y z"
    flame = flame_graph.flame("title", text.splitlines())
    boxes = {name: (depth, width) for depth, _, width, name, _, _ in flame.boxes}
    assert flame.total == 1000
    assert boxes["all"] == (0, 1)
    assert boxes["nn.Module: A"] == (1, pytest.approx(0.099))  # with b, in which it is all
    assert "tiny" not in boxes
    assert boxes["c"] == (2, pytest.approx(0.05))
    assert flame.table.rows[0] == ("e", "900 µs", "90 %")


# Comparison and history


def test_a_duet_is_judged_by_its_pairs() -> None:
    """A real slowdown of 10 % regresses, is drawn outside of the band, and versions are named."""
    found = choose_sides(read(*duet_contents(6, slower=1.1)))
    assert found.verdicts
    outcomes = {each.metric: each.outcome for each in found.verdicts if each.kind == "time"}
    assert outcomes["round_s"] is Outcome.REGRESSED
    comparison = compare(found.verdicts, found.basis, found.base, found.head)
    assert comparison.lines[0].outcome == "REGRESSED"
    rows = comparison.figures[0].plots[0]["data"]["values"]
    row = next(row for row in rows if "round_s" in row["name"])
    assert row["low"] > row["band"] > row["floor"] > 0
    assert "6 restarts" in found.basis


def test_one_restart_that_makes_the_verdict_is_seen() -> None:
    """Each restart is a dot at the median of its pairs, and in the table of the figure."""
    contents = duet_contents(4, 1.0)
    contents[5] = duet_contents(4, 1.3)[5]  # head of the third restart
    found = choose_sides(read(*contents))
    assert found.verdicts
    shown = compare(found.verdicts, "", found.base, found.head, found.duet)
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
    figure = compare(found.verdicts, "", found.base, found.head).figures[0]
    row = next(row for row in figure.plots[0]["data"]["values"] if "round_s" in row["name"])
    assert row["label"].endswith("round_s, +5.0 %")
    assert row["beside"] == "interval unknown"
    assert row["low"] == row["change"] == row["high"]


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
    for content in contents[2:]:
        del content["benchmarks"][0]["extra_info"]["counters"]
    contents[1]["benchmarks"][0]["extra_info"]["counters"]["decode"]["operators_total"] += 7
    shown = choose_sides(intake.select(read(*contents)).sessions)
    assert shown.base
    tables = dict(compare([], "", shown.base, shown.head).moved)
    changed = ("decode.operators_total", "5,630", "5,637")
    assert tables["Counters that changed"].rows[0][1:4] == changed
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
    lines = compare(verdicts, "", None, session).lines
    markdown = verdict_table.markdown(verdicts)
    places = []
    for line in lines:
        name, _, metric = line.cells[0].rpartition(": ")
        row = re.search(rf"\| `{re.escape(name)}` \| `{metric}` \|.*\| {line.outcome} \|", markdown)
        assert row
        places.append(row.start())
    assert places == sorted(places)
    assert [line.outcome for line in lines][:2] == ["REGRESSED", "REGRESSED"]


def test_what_moved_is_listed() -> None:
    """Counters, operators and versions that differ are shown, and nothing that doesn't."""
    head = builders.record(on_gpu=True, launches=652)
    head["counters"]["decode"]["operators"] = {"aten::_int_mm": 30, "aten::new": 2}
    base, new = read(
        content(builders.record(on_gpu=True), software={"torch": "2.12.0", "cuda": "13"}),
        content(head, software={"torch": "2.13.0", "cuda": "13"}),
    )
    tables = dict(compare([], "", base, new).moved)
    assert tables["Versions that differ"].rows == [("torch", "2.12.0", "2.13.0")]
    (counter,) = tables["Counters that changed"].rows
    assert counter[1:] == ("decode.kernel_launches", "640", "652", "+1.88 %")
    operators = {row[2]: row[3:5] for row in tables["Operators called more or less often"].rows}
    assert operators["aten::new"] == ("0", "2")
    assert "aten::_int_mm" in operators


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
            *(content(builders.record(n), when=day(n), **more) for n, more in enumerate(contents)),
            content(builders.record(9, model="other"), when=day(9)),
        )
    )
    shown = history.history(found.sessions)
    assert shown
    assert len({(each["machine"], each["workload"]) for each in shown["series"]}) == 3
    longest = shown["series"][0]
    assert longest["sessions"] == [0, 1, 2, 3]
    marks, reasons = zip(*longest["marks"], strict=True)
    assert marks == ("session", "baseline", "REGRESSED", "acknowledged")
    assert reasons[3] == "round_s: a trade"


def test_a_long_history_keeps_its_newest_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What doesn't fit is counted, never dropped in silence."""
    contents = [content(builders.record(n), when=day(n)) for n in range(6)]
    kept = intake.select(read(*contents)).sessions
    monkeypatch.setattr(history, "MOST_VALUES", 0)
    monkeypatch.setattr(history, "LEAST_VALUES", 3 * len(history.values(kept[0].measured[NAME])))
    shown = history.history(kept)
    assert shown
    assert shown["left_out"] == 3
    newest = [day(n)[:16].replace("T", " ") for n in (3, 4, 5)]
    assert [each["when"] for each in shown["sessions"]] == newest


# The file


def test_the_page_fetches_nothing_and_stays_small(tmp_path: Path) -> None:
    """A session of 24 benchmarks is below 3 MB, with a policy that forbids every request."""
    names = [NAME.replace("b8", f"b{n}") for n in range(1, 25)]
    records = [
        (name, builders.record(n, new_tokens=128, on_gpu=True)) for n, name in enumerate(names)
    ]
    found = intake.select(read(builders.content(*records, hardware=builders.GPU)))
    page = render.page(found, tmp_path / "page.html")
    assert len(page.encode()) < 3e6
    body = without_scripts(page)
    assert "default-src 'none'" in html.unescape(body)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", body)
    assert not re.search(r"url\(|@import", body)


def test_markup_in_any_text_is_text(tmp_path: Path) -> None:
    """Names, commits and reasons with markup stand in the page escaped, and in the data too."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    info = builders.record(model=evil)
    info["validity"] = {"valid": False, "reasons": [evil], "readings": {evil: evil}}
    info["unmeasured"][evil] = evil
    info["attestation"] = {evil: {evil: [evil]}}
    info["profile"] = builders.profiles()
    info["profile"]["decode"]["operators"][0]["name"] = evil
    verdict = builders.verdict(
        f"x::test_{evil}", "REGRESSED", metric=evil, detail=evil, reasons=[evil], acknowledged=evil
    )
    saved = {"commit": evil, "branch": evil, "verdicts": [verdict]}
    contents = [builders.content((f"x::test_{evil}", info), **saved, when=day(n)) for n in range(2)]
    found = intake.select(read(*contents), [evil])
    page = render.page(found, tmp_path / "page.html")
    assert page.count("<script") == 3  # the data, and two of ours
    body = without_scripts(page)
    assert "<img" not in body
    assert body.count(html.escape(evil)) > 10


def test_links_lead_to_the_profile_files(tmp_path: Path) -> None:
    """Links are relative to the page, and flame graphs come from the stacks in the folder."""
    folder = tmp_path / "art ifacts" / "test_profile[int8-b8-p16-n1]"
    folder.mkdir(parents=True)
    (folder / "decode.trace.json.gz").write_bytes(b"")
    (folder / "decode.host.stacks.txt").write_text("a;b 5\n")
    info = {**builders.record(new_tokens=1), "profile": builders.profiles()}
    content = builders.content(("benchmarks/test_profile.py::test_profile[int8-b8-p16-n1]", info))
    page = render.page(intake.select(read(content)), tmp_path / "out" / "p.html", folder.parent)
    assert 'href="../art%20ifacts/test_profile%5Bint8-b8-p16-n1%5D/decode.trace.json.gz"' in page
    assert "Flame graph: decode, host" in page


def test_csv_has_every_metric_and_round(tmp_path: Path) -> None:
    """Values are in base units, one to a row; what is unmeasured has its reason."""
    path = builders.write(tmp_path / "0001_a.json", content(builders.record(rounds=3)))
    assert main(["report", str(path), "--csv", str(tmp_path / "all.csv")]) == 0
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    info = builders.record(rounds=3)
    metrics = {row["name"]: row for row in rows if not row["round"]}
    assert float(metrics["ttft_s"]["value"]) == info["metrics"]["ttft_s"]
    assert metrics["mbu"]["value"] == ""
    assert metrics["mbu"]["unmeasured"] == "no GPU was watched"
    times = [float(row["value"]) for row in rows if row["round"] and row["name"] == "round_s"]
    assert times == [each["round_s"] for each in info["rounds"]]
    assert set(metrics) == set(info["metrics"])


def test_a_report_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    """A folder in place of a file is named, with the next step."""
    found = intake.select(read(content()))
    with pytest.raises(InputError, match="choose another path"):
        render.write(tmp_path, found)
