"""The report takes in files of any kind, and shows or names each; its texts are never markup."""

from __future__ import annotations

import csv
import html
import json
import math
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.__main__ import main
from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.page import intake, render
from benchmarks.sessions import schema
from benchmarks.sessions.schema import difference
from tests import builders
from tests.page.contents import NAME, content, day, duet_contents, profiles, read, record

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = {"benchmarks": [{"fullname": "t", "stats": {"data": [1.0]}}]}


def judged_contents() -> list[dict[str, Any]]:
    """Return a baseline, and a session with verdicts and a profile."""
    numbers = {"base": 1.0, "head": 1.1, "change": 0.1, "low": 0.05, "high": 0.15, "p": 0.01}
    verdicts = [builders.verdict(NAME, "REGRESSED", **numbers)]
    promoted = {"when": day(1), "forced": None}
    profile = {**record(new_tokens=1), "profile": profiles()}
    return [
        builders.content((NAME, record(n, on_gpu=True)), ("t.py::test_profile", profile), **saved)
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
    old = {name: value for name, value in record().items() if name != "metrics"}
    endless = content()
    endless["benchmarks"][0]["stats"]["data"][0] = 10**400
    texts = {
        "0001_good": json.dumps(content()),
        "deeper/0002_good": json.dumps(content(record(1))),
        "0003_half": json.dumps(content())[:-40],
        "0004_list": "[]",
        "0005_foreign": json.dumps(FOREIGN),
        "0006_newer": json.dumps(content({**record(), "schema": 2})),
        "0007_old": json.dumps(content(old)),
        "0008_deep": "[" * 100_000,
        "0009_huge": json.dumps(content({**record(), "attestation": {"linears": 10**400}})),
        "0010_rounds": json.dumps(endless),
    }
    (tmp_path / "deeper").mkdir()
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    out, table = tmp_path / "page.html", tmp_path / "all.csv"
    assert main(["report", str(tmp_path), "--out", str(out), "--csv", str(table)]) == 0
    said = capsys.readouterr().out
    named = re.findall(r"not shown: \S*/(\d{4}_\w+)\.json: .*expected", said)
    assert "got schema 2; use the version of the suite that wrote it" in said
    assert sorted(named) == [name for name in texts if "good" not in name]
    page = out.read_text(encoding="utf-8")
    assert "Not shown: 8" in page
    assert all(name in page for name in named)
    assert "2 sessions" in page
    assert table.exists()


def test_an_incomplete_record_is_named_with_its_place() -> None:
    """What can't be shown says what it lacks, and takes nothing else with it."""
    damaged = (NAME.replace("int8-decomp", "int8"), {**record(), "workload": None})
    found = intake.select(read(builders.content((NAME, record()), damaged)))
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
    info = record()
    info["validity"] |= {"bounds_lifted": ["trend_size", "steal"], "bounds_widened": {"old": 1}}
    found = intake.select(read(content(info)))
    page = without_scripts(render.page(found, tmp_path / "page.html"))
    assert "<title>NOT JUDGED" in page
    assert '<span class="badge valid">' not in page
    assert page.count("ot checked (--bounds): trend_size, steal") == 1
    assert page.count("hecked loosely (--bounds): old up to 1") == 1


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
    assert difference({**record(), "new": object()}, schema.RECORD) is None


# The file


def test_the_page_fetches_nothing_and_stays_small(tmp_path: Path) -> None:
    """A session of 24 benchmarks is below 3 MB, with a policy that forbids every request."""
    names = [NAME.replace("b8", f"b{n}") for n in range(1, 25)]
    records = [(name, record(n, new_tokens=128, on_gpu=True)) for n, name in enumerate(names)]
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
    info = record(model=evil)
    info["validity"] = {"valid": False, "reasons": [evil], "readings": {evil: evil}}
    info["unmeasured"][evil] = evil
    info["attestation"] = {evil: {evil: [evil]}}
    info["profile"] = profiles()
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
    info = {**record(new_tokens=1), "profile": profiles()}
    content = builders.content(("benchmarks/test_profile.py::test_profile[int8-b8-p16-n1]", info))
    page = render.page(intake.select(read(content)), tmp_path / "out" / "p.html", folder.parent)
    assert 'href="../art%20ifacts/test_profile%5Bint8-b8-p16-n1%5D/decode.trace.json.gz"' in page
    assert "Flame graph: decode, host" in page


def test_neither_file_is_written_if_the_other_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are checked first: a folder of that name, or no folder at all, is one line."""
    path, good = builders.save(tmp_path / "0001_x.json"), tmp_path / "good"
    for wrong in (tmp_path, Path("/proc/none/x")):
        for options in (("--csv", good, "--out", wrong), ("--csv", wrong, "--out", good)):
            with pytest.raises(SystemExit, match="4"):
                main(["report", *map(str, (path, *options))])
            (line,) = capsys.readouterr().err.splitlines()
            assert f"{wrong}: can't write the" in line
            assert not good.exists()


def test_csv_has_every_metric_and_round(tmp_path: Path) -> None:
    """Values are in base units, one to a row; what is unmeasured has its reason."""
    path = builders.write(tmp_path / "0001_a.json", content(record(rounds=3)))
    assert main(["report", str(path), "--csv", str(tmp_path / "all.csv")]) == 0
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    info = record(rounds=3)
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


def test_only_a_page_is_replaced(tmp_path: Path) -> None:
    """A slip of a name costs nobody another file."""
    found, page, other = intake.select(read(content())), tmp_path / "a.html", tmp_path / "README.md"
    for out in (page, page):
        render.write(out, found)
    other.write_text("# Read me\n")
    with pytest.raises(InputError, match="got another file; choose another path"):
        render.write(other, found)
    assert other.read_text() == "# Read me\n"
