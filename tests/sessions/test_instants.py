"""When a session was saved is an instant: zones, forms of text and undated files don't matter."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import main
from benchmarks.common.errors import InputError
from benchmarks.duet import saved_duets
from benchmarks.page import history, intake
from benchmarks.page import session as page_session
from benchmarks.page.subject import choose_sides
from benchmarks.sessions import baseline, instants
from benchmarks.sessions.session import parse_session
from benchmarks.sharing import branch
from benchmarks.verdicts import exact
from benchmarks.verdicts.judgement import judge
from benchmarks.verdicts.records import Record
from tests import builders
from tests.page.contents import NAME, content, duet_contents, read, record

if TYPE_CHECKING:
    from pathlib import Path

# In the order of their instants, which is not that of their texts.
INSTANTS = (
    "2026-11-28T12:00:00+02:00",
    "2026-11-28T10:30:00",  # without a zone, as older releases of pytest-benchmark wrote it: UTC
    "2026-11-28T11:00:00+00:00",
    "2026-11-28T11:00:00.000001Z",
    "2026-11-28 05:30:00-06:00",
)


def test_texts_have_the_order_of_their_instants() -> None:
    """Once they are read; what says nothing of its time is older than all others."""
    found = [instants.in_utc(each) for each in ("", *INSTANTS)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("order", list(permutations(range(3)))[::2])
def test_the_newest_is_that_of_the_last_instant(tmp_path: Path, order: tuple[int, ...]) -> None:
    """For baselines, for the code that counters are compared with, for a page, and its history."""
    whens = [INSTANTS[0], INSTANTS[2], INSTANTS[4]]
    for n in order:
        builders.save(tmp_path / f"{n}.json", when=whens[n], promoted=builders.promoted())
    stored = baseline.stored(tmp_path).sessions
    assert [each.name[-6:] for each in stored] == ["0.json", "1.json", "2.json"]
    kept = baseline.baselines(reversed(stored), stored[0])
    assert [each.name[-6:] for each in kept] == ["0.json", "1.json", "2.json"]
    sessions = read(*(content(record(n), when=whens[n], commit=str(n)) for n in order))
    (newest,) = exact.newest_code([Record(each, each.measured[NAME]) for each in sessions])
    assert newest.session.commit["id"] == "2"
    shown = intake.select(sessions).sessions
    assert choose_sides(shown).head.commit["id"] == "2"
    past = history.history(shown)
    assert past
    assert [each["commit"][0] for each in past["sessions"]] == ["0", "1", "2"]
    assert past["sessions"][0]["when"] == "2026-11-28 10:00:00"
    assert dict(page_session.facts(sessions[order.index(0)]))["Saved"] == "2026-11-28 10:00:00 UTC"


def test_a_duet_is_as_new_as_its_last_instant() -> None:
    """Of two duets the one that ended later comes last, wherever it was run."""
    whens = {"later": "2026-11-28T11:00:00+00:00", "earlier": "2026-11-28T12:00:00+02:00"}
    contents = [
        {**each, "datetime": when}
        for id_, when in whens.items()
        for each in duet_contents(3, 1.0, id=id_)
    ]
    duets, _ = saved_duets.find(read(*contents))
    assert [each.id for each in duets] == ["earlier", "later"]
    assert str(duets[0]).endswith("saved 2026-11-28 10:00 UTC)")


def test_the_later_mark_counts_on_a_branch(tmp_path: Path) -> None:
    """A demotion at 11:00 UTC is later than a promotion at 12:00 in a zone two hours ahead."""
    here, there = tmp_path / "here", tmp_path / "there"
    mark = {"when": "2026-11-28T12:00:00+02:00", "forced": None}
    builders.save(there / "0001_a.json", promoted=mark)
    demoted = {"promoted": None, "demoted": {"when": "2026-11-28T11:00:00+00:00"}}
    builders.save(here / "0001_a.json", **demoted)
    assert branch._copy(here, there) == [there / "0001_a.json"]
    assert json.loads((there / "0001_a.json").read_text())["llm_int8"]["promoted"] is None
    assert branch._copy(here, there) == []


@pytest.mark.parametrize("when", ["soon", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_date_is_damage(when: str) -> None:
    """Such a file is named; it would be older or newer than others by chance."""
    with pytest.raises(InputError, match=r"x\.json: .*datetime: "):
        parse_session(content(when=when), "x.json")


def test_a_date_in_the_future_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever sessions are judged, listed, promoted or shown; a clock that is off a little isn't.

    Such a session counts as the newest until then.
    """
    monkeypatch.setattr(instants, "now", lambda: datetime(2026, 11, 28, 11, tzinfo=UTC))
    says = "0003_c.json: dated in the future (2036-01-01 06:00 UTC), so that it counts as the"
    whens = ("2026-11-28T12:30:00+02:00", "2026-11-28T11:05:00Z", "2036-01-01T08:00:00+02:00")
    files = [
        builders.write(tmp_path / f"000{n}_{name}.json", content(record(n), when=whens[n - 1]))
        for n, name in enumerate("abc", 1)
    ]
    sides = ["--base", str(files[0]), str(files[2]), "--head", str(files[1])]
    main(["judge", *sides])
    assert capsys.readouterr().out.count("dated in the future") == 1
    main(["baselines", "list", "--storage", str(tmp_path)])
    assert says in " ".join(capsys.readouterr().out.split())
    main(["promote", "--latest", "--storage", str(tmp_path)])
    assert says in capsys.readouterr().out
    newest = choose_sides(intake.gather(files).sessions).head
    assert dict(page_session.facts(newest))["Saved"].endswith("UTC, which is in the future")
    assert judge([newest], [newest])  # which is no reason not to compare
