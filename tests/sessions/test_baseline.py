"""Which saved sessions are baselines, and which of them a session is judged by."""

import json

import pytest

from benchmarks.sessions import baseline
from benchmarks.sessions.session import parse_session
from tests.builders import DUET, INVALID, LIFTED, WIDENED, promoted, save, stored, verdict


def session(**kwargs):
    """Return a stored session, called by its day."""
    return parse_session(stored(**kwargs), f"{kwargs.get('day', 1):04}_x.json")


def chosen(known, current):
    """Return the days of the baselines of each benchmark."""
    days = {}
    for each in baseline.baselines(known, current):
        for name in each.measured:
            days.setdefault(name, []).append(int(each.name[:4]))
    return days


def test_stored_sessions_are_found_and_other_files_are_named(tmp_path):
    """A truncated, foreign, older or statistics-only file is named in one line, and skipped."""
    later = save(tmp_path / "0001_later.json", day=9)
    first = save(tmp_path / "machine/deeper/0001_first.json", day=2)
    text = first.read_text()
    bad = {
        "truncated": text[:-30],
        "empty": "",
        "foreign": '{"something": "else"}',
        "plain": json.dumps({**json.loads(text), "llm_int8": None}),
        "other": json.dumps({**json.loads(text), "llm_int8": {"passed": "yes"}}),
        "no_data": text.replace('"data"', '"mean"'),
    }
    for name, content in bad.items():
        (tmp_path / f"0002_{name}.json").write_text(content)
    save(tmp_path / ".git/0003_hidden.json")
    (tmp_path / ".0004_half.json.tmp").write_text("{")
    (tmp_path / "verdicts.json").write_text('{"exit_status": 0}')  # of a duet
    found = baseline.stored(tmp_path)
    assert [each.name for each in found.sessions] == [str(first), str(later)]
    assert len(found.damaged) == len(bad)
    for name in bad:
        (line,) = [each for each in found.damaged if f"0002_{name}.json" in each]
        assert line.startswith("skipped ")
        assert "\n" not in line
    assert baseline.stored(tmp_path / "none") == baseline.Stored((), ())


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        ({"passed": False}, "tests failed, or it was interrupted"),
        ({"validity": INVALID}, "the machine couldn't be trusted during a, b"),
        ({"validity": None}, "the machine couldn't be trusted"),
        ({"validity": LIFTED}, "not checked (--bounds): trend_size"),
        ({"validity": WIDENED}, "checked loosely (--bounds): trend_size up to 0.2, not 0.15"),
        ({"names": ()}, "it measured nothing"),
        ({"verdicts": [verdict("a", "REGRESSED")], "exit_status": 1}, "REGRESSED: a"),
        ({"verdicts": [verdict("a", "REGRESSED", acknowledged="known")]}, "REGRESSED: a"),
        ({"verdicts": [verdict("c", "MISSING")], "exit_status": 10}, "that it lacks: c"),
        ({"verdicts": [verdict("a", "INCONCLUSIVE", suspicious=True)]}, "let a duet decide"),
        ({"duet": DUET}, "one side of a duet"),
    ],
)
def test_what_speaks_against_a_baseline_is_said(saved, says):
    """Failed, invalid, empty, regressed (acknowledged or not), incomplete or suspicious."""
    (objection,) = baseline.objections(session(**saved))
    assert says in objection
    assert not baseline.is_baseline(session(**saved))


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"verdicts": [verdict("a", "MISSING")], "exit_status": 10},  # a new benchmark
        {"verdicts": [verdict("a", "NOT COMPARABLE")], "exit_status": 10},  # a new workload
        {"verdicts": [verdict("a", "IMPROVED"), verdict("b", "NO CHANGE")]},
        {"verdicts": [verdict("a", "INCONCLUSIVE")], "exit_status": 11},  # but not suspicious
    ],
)
def test_a_good_session_may_become_a_baseline_and_is_none_before(saved):
    """New benchmarks have to start somewhere, and noisy machines too; nothing promotes itself."""
    assert baseline.objections(session(**saved)) == []
    assert not baseline.is_baseline(session(**saved))
    assert baseline.is_baseline(session(**saved, promoted=promoted()))


def test_failed_or_invalid_sessions_are_baselines_only_by_force():
    """A mark in the file isn't enough where nobody gave a reason."""
    for wrong in (
        {"passed": False},
        {"validity": INVALID, "exit_status": 0},
        {"validity": LIFTED},
        {"validity": WIDENED},
    ):
        assert not baseline.is_baseline(session(**wrong, promoted=promoted()))
        assert baseline.is_baseline(session(**wrong, promoted=promoted("I know why")))


def test_what_was_promoted_with_wider_bounds_is_told_apart():
    """A gate that leaves it out can say so; what was invalid as well, or forced, isn't counted."""
    for loose in (LIFTED, WIDENED):
        assert baseline.is_loose(session(validity=loose, promoted=promoted()))
        assert not baseline.is_loose(session(validity=loose))
        assert not baseline.is_loose(session(validity=loose, promoted=promoted("never quiet")))
        both = {**loose, "valid": False}
        assert not baseline.is_loose(session(validity=both, promoted=promoted()))
    assert not baseline.is_loose(session(promoted=promoted()))


def test_only_baselines_of_the_machine_and_workload_count():
    """Another GPU, another model and what was never promoted stay out; versions don't matter."""
    known = [
        session(day=1, promoted=promoted()),
        session(day=2),
        session(day=3, promoted=promoted(), hardware={"device": "cuda", "gpu": "NVIDIA H100"}),
        session(day=4, promoted=promoted(), workload={"model": "other"}),
        session(day=5, promoted=promoted(), software={"torch": "2.11.0"}),
        session(day=6, promoted=promoted(), names=("a",)),
    ]
    assert chosen(known, session(day=9)) == {"a": [1, 5, 6], "b": [1, 5]}
    assert chosen(known[::-1], session(day=9)) == {"a": [1, 5, 6], "b": [1, 5]}


def test_where_none_is_comparable_the_newest_stays_to_say_why():
    """The verdict can then say NOT COMPARABLE, and by what, instead of nothing."""
    known = [
        session(day=day, promoted=promoted(), workload={"model": f"model {day}"})
        for day in (1, 2, 3)
    ]
    assert chosen(known, session(day=9)) == {"a": [3], "b": [3]}


def test_a_benchmark_that_did_not_run_now_is_still_expected():
    """What baselines have and this session lacks reaches the judge, who calls it MISSING."""
    known = [session(day=1, promoted=promoted())]
    assert chosen(known, session(day=2, names=("b",))) == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("outcome", "kind", "forced"),
    [("IMPROVED", "counter", None), ("REGRESSED", "time", "int8 is exact now")],
)
def test_an_accepted_level_starts_anew(outcome, kind, forced):
    """Older sessions would make the old level pass, or the accepted one fail for ever."""
    known = [session(day=day, promoted=promoted()) for day in (1, 2)]
    known.append(session(day=3, promoted=promoted(forced), verdicts=[verdict("a", outcome, kind)]))
    known.append(session(day=4, promoted=promoted()))
    assert chosen(known, session(day=9)) == {"a": [3, 4], "b": [1, 2, 3, 4]}


def test_one_lucky_session_is_no_new_level():
    """By it alone the next ordinary session would be REGRESSED; two more confirm it."""
    known = [session(day=day, promoted=promoted()) for day in (1, 2)]
    known.append(session(day=3, promoted=promoted(), verdicts=[verdict("a", "IMPROVED")]))
    known.append(session(day=4, promoted=promoted()))
    assert chosen(known, session(day=9))["a"] == [1, 2, 3, 4]
    known.append(session(day=5, promoted=promoted()))
    assert chosen(known, session(day=9)) == {"a": [3, 4, 5], "b": [1, 2, 3, 4, 5]}


def test_a_benchmark_that_was_given_up_is_not_expected_any_more():
    """Its absence was accepted with a reason; without one it is expected for ever."""
    known = [session(day=1, promoted=promoted())]
    without = {"names": ("b",), "verdicts": [verdict("a", "MISSING")]}
    known.append(session(day=2, promoted=promoted("a is gone"), **without))
    assert chosen(known, session(day=9, names=("b",))) == {"b": [1, 2]}


def test_only_the_newest_baselines_count():
    """A machine drifts: twenty are enough for an interval, and all of last year is too much."""
    known = [session(day=day, promoted=promoted()) for day in range(1, 29)]
    assert chosen(known, session(day=30))["a"] == list(range(9, 29))
