"""What a reader sees first: what got worse, where and against what; and the machine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.page import intake, render, session
from benchmarks.page.banner import banner
from benchmarks.page.subject import Sides, choose_sides
from benchmarks.report import columns
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from tests import builders
from tests.page.contents import NAME, content, day, duet_contents, read, record

if TYPE_CHECKING:
    from pathlib import Path

WHERE = "throughput[int8-decomp-b8-p16-n16]"
CALLS = Verdict(NAME, "decode.python_calls", "counter", Outcome.REGRESSED, 100, 104, 0.04)
ROUND = Verdict(NAME, "round_s", "time", Outcome.REGRESSED, 1.0, 1.3, 0.3, 0.2, 0.4, 0.001)


def sides(*verdicts: Verdict, **changes: Any) -> Sides:
    """Return a session with these verdicts, of five baselines."""
    (session,) = read(content(record(), **changes))
    return Sides(session, verdicts=verdicts, against="5 baselines")


@pytest.mark.parametrize(
    ("verdicts", "state", "headline"),
    [
        (
            [ROUND, CALLS],
            "REGRESSED",
            f"Decode: Python calls +4.0 % in {WHERE}, against 5 baselines; 1 more",
        ),
        (
            [replace(ROUND, suspicious=True, outcome=Outcome.INCONCLUSIVE)],
            "SUSPICIOUS",
            f"Round, median +30.0 % in {WHERE}, against 5 baselines; a duet decides it",
        ),
        (
            [replace(ROUND, outcome=Outcome.INVALID)],
            "INVALID",
            f"The times of {WHERE} can't be judged",
        ),
        (
            [replace(CALLS, outcome=Outcome.MISSING, metric="-", change=None, cause=Cause.GONE)],
            "MISSING",
            f"{WHERE} can't be compared: one side lacks it",
        ),
        (
            [replace(CALLS, outcome=Outcome.NO_CHANGE), replace(ROUND, acknowledged="a trade")],
            "PASSED",
            f"Nothing got worse in {WHERE}, against 5 baselines",
        ),
    ],
)
def test_the_headline_says_what_where_and_against_what(
    verdicts: list[Verdict], state: str, headline: str
) -> None:
    """The worst is named with its change, as it is listed first; what passes is no headline."""
    found = banner(sides(*verdicts))
    assert (found.state, found.headline) == (state, headline)


def test_a_counter_has_one_name_in_both_phases() -> None:
    """Python and C are names, of a decode step as well as of the prefill."""
    for name, title in (("python_calls", "Python calls"), ("c_calls", "C calls")):
        assert columns.title(f"decode.{name}") == f"Decode: {title}"
        assert columns.title(f"prefill.{name}") == f"Prefill: {title}"
    assert columns.title("prefill.kernel_launches") == "Prefill: kernel launches"


def test_the_machine_stands_beside_the_verdict() -> None:
    """A verdict on work stands on a busy machine, so both are said; without one, once."""
    assert banner(sides(CALLS)).machine == "VALID"
    (busy,) = read(content({**record(), "validity": builders.INVALID}))
    assert banner(Sides(busy, verdicts=[CALLS])).machine == "INVALID"
    alone = banner(Sides(busy))
    assert (alone.state, alone.machine) == ("INVALID", "")


def test_a_machine_that_was_known_to_be_busy_is_called_so() -> None:
    """Lifted bounds hide nothing: the badge and a line say what they would have found."""
    busy = {**builders.VALID, "bounds_lifted": ["core_wait_share"]}
    validity = {**busy, "readings": {"core_wait_share": 0.41}}
    (subject,) = read(content({**record(), "validity": validity}))
    found = banner(Sides(subject, verdicts=[CALLS]))
    assert found.machine == "NOT JUDGED, BUSY"
    assert found.why == "The machine was busy, and not checked in full"
    assert found.lines[1] == (
        "The machine couldn't be trusted by the usual bounds (--bounds lifted them): "
        "other programs used 41 % of this core."
    )
    assert banner(Sides(subject)).state == "NOT JUDGED, BUSY"
    quiet = {**busy, "readings": {"core_wait_share": 0.01}}
    (subject,) = read(content({**record(), "validity": quiet}))
    assert banner(Sides(subject, verdicts=[CALLS])).machine == "NOT JUDGED"


def test_the_badge_of_the_machine_has_its_reason_beside_it(tmp_path: Path) -> None:
    """Both are on a line of their own: what was compared says nothing about the machine."""
    contents = [content(record(n), promoted=builders.promoted(), when=day(n)) for n in range(3)]
    page = render.page(intake.select(read(*contents, content(record(4)))), tmp_path / "page.html")
    badge = '<span class="badge valid">machine: VALID</span>'
    assert f"<p>{badge} The machine could be trusted in the benchmark.</p>" in page
    assert re.search(r"^<p>\d+ compared: ", page, re.MULTILINE)


def test_a_page_says_how_it_came_about(tmp_path: Path) -> None:
    """The command, the baselines and links to their commits are there, if they are known."""
    commit = {"id": "0123456789abcdef", "branch": "main", "remote": "https://github.com/o/r"}
    contents = [
        content(record(n), when=day(n), commit=commit, promoted=builders.promoted())
        for n in range(3)
    ]
    evil = {**commit, "remote": "javascript:alert(1)"}
    head = content(record(5), when=day(5), commit=evil, command="pytest benchmarks --gate")
    page = render.page(intake.select(read(*contents, head)), tmp_path / "page.html")
    assert "<code>pytest benchmarks --gate</code>" in page
    assert "Baselines used: 3" in page
    link = '<a href="https://github.com/o/r/commit/0123456789abcdef">0123456789 on main</a>'
    assert page.count(link) == 3
    assert "javascript:alert" not in page


def test_a_duet_says_how_to_repeat_it() -> None:
    """Its command is in the files of its restarts."""
    contents = duet_contents(2, 1.0, command="python -m benchmarks duet --base current")
    head = choose_sides(read(*contents)).head
    assert dict(session.facts(head))["Command"] == "python -m benchmarks duet --base current"
