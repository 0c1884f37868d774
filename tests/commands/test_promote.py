"""Promotion: what makes a stored session a baseline, as a user calls it."""

import json
import shlex
import subprocess
import sys
from math import exp

import pytest

from benchmarks.__main__ import main
from benchmarks.sessions import baseline
from tests.builders import DUET, INVALID, LIFTED, LUCK, WIDENED, save, verdict

JUDGED = {"verdicts": [verdict("a", "NO CHANGE")]}


@pytest.fixture
def promote(monkeypatch, tmp_path, capsys):
    """Return a function that calls the command in an empty folder: status and printed lines."""
    monkeypatch.chdir(tmp_path)

    def promote(*arguments):
        try:
            status = main(["promote", *map(str, arguments)])
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return status, (out + err).splitlines()

    return promote


def mark(path):
    """Return what the file says of its promotion."""
    return json.loads(path.read_text())["llm_int8"]["promoted"]


def test_a_good_session_becomes_a_baseline(promote, tmp_path):
    """Its file says when, and nothing else in it changes."""
    path = save(tmp_path / "0001_x.json", **JUDGED)
    before = json.loads(path.read_text())
    assert promote(path) == (0, [f"promoted: {path}"])
    after = json.loads(path.read_text())
    assert after["llm_int8"].pop("promoted")["forced"] is None
    assert before["llm_int8"].pop("promoted") is None
    assert after == before
    (session,) = baseline.stored(tmp_path).sessions
    assert baseline.is_baseline(session)


@pytest.mark.parametrize("folder", ["storage", "elsewhere"])
def test_a_session_that_is_given_by_a_link_is_the_one_it_leads_to(promote, tmp_path, folder):
    """Which is promoted, judged by the baselines beside it, and never by itself."""
    for number, slower in enumerate((1.0, 1.01, 0.99, 1.005), 1):
        path = save(tmp_path / f"storage/000{number}_x.json", day=number, slower=slower, **JUDGED)
        assert promote(path)[0] == 0
    slow = save(tmp_path / "storage/0005_x.json", day=5, slower=1.5, **JUDGED)
    link = tmp_path / folder / "link.json"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(slow)
    status, (line,) = promote(link)
    assert (status, mark(slow)) == (1, None)
    assert "REGRESSED: a round_s +" in line
    assert promote(link, "--force", "known")[0] == 0
    assert link.is_symlink()
    assert mark(slow)["forced"] == "known"


REFUSED = {
    "failed": ({"passed": False}, "tests failed, or it was interrupted"),
    "invalid": ({"validity": INVALID}, "the machine couldn't be trusted during a, b"),
    "lifted": ({"validity": LIFTED}, "not checked (--bounds): trend_size"),
    "widened": ({"validity": WIDENED}, "checked loosely (--bounds): trend_size up to 0.2"),
    "regressed": ({"verdicts": [verdict("a", "REGRESSED")], "exit_status": 1}, "REGRESSED: a"),
}


@pytest.mark.parametrize(("saved", "says"), REFUSED.values(), ids=REFUSED)
def test_a_bad_session_is_refused_in_one_line_unless_forced(promote, tmp_path, saved, says):
    """It stays as evidence; with a reason, which is kept, it may become a baseline."""
    path = save(tmp_path / "0001_x.json", **{**JUDGED, **saved})
    before = path.read_bytes()
    status, (line,) = promote(path)
    assert status == 1
    assert line.startswith(f"refused: {path}: ")
    assert says in line
    assert "--force" in line
    assert path.read_bytes() == before
    assert promote(path, "--force", "known and accepted") == (0, [f"promoted: {path}"])
    assert mark(path)["forced"] == "known and accepted"


def test_a_session_that_was_never_judged_is_judged_now(promote, tmp_path):
    """A slow session doesn't get in because it was measured without --gate, however often."""
    assert promote(save(tmp_path / "0001_x.json", day=1))[0] == 0
    for number in (2, 3):
        slow = save(tmp_path / f"000{number}_slow.json", day=number, slower=1.3)
        status, (line,) = promote(slow)
        assert status == 1
        assert "REGRESSED: a round_s +30.0 %, b round_s +30.0 %" in line
    same = save(tmp_path / "0004_same.json", day=4, slower=1.001)
    assert promote(same)[0] == 0
    fast = save(tmp_path / "0005_fast.json", day=5, slower=0.7)
    assert promote(fast)[0] == 0
    outcomes = {each["outcome"] for each in json.loads(fast.read_text())["llm_int8"]["verdicts"]}
    assert outcomes == {"IMPROVED"}
    for number in (6, 7):  # which confirm the new level
        again = save(tmp_path / f"000{number}_fast.json", day=number, slower=0.7 + number / 1e4)
        assert promote(again, "--force", "confirmed")[0] == 0
    back = save(tmp_path / "0008_back.json", day=8)
    status, (line,) = promote(back)
    assert "REGRESSED: a round_s +42" in line  # by the new level, not by all that ever was
    part = save(tmp_path / "0009_part.json", day=9, slower=0.7, names=("a",))
    status, (line,) = promote(part)
    assert "its baselines have benchmarks that it lacks: b" in line


@pytest.mark.parametrize(
    ("slower", "says"),
    [
        (1.3, "REGRESSED: a round_s +30.0 % [+28.3, +31.7], b round_s +30.0 %"),
        (1.06, "suspicious: a round_s +6.0 % [+4.6, +7.4], b round_s +6.0 %"),
    ],
)
def test_a_refusal_says_what_was_seen_and_how_to_look(promote, tmp_path, capsys, slower, says):
    """Metric, change and interval, and the command that shows the verdicts."""
    for day, luck in enumerate(LUCK, 1):
        path = save(tmp_path / f"one gpu/000{day}_x.json", day=day, slower=exp(luck))
        assert promote(path)[0] == 0
    slow = save(tmp_path / "one gpu/0007_slow.json", day=7, slower=slower)
    status, (line,) = promote(slow)
    assert status == 1
    assert says in line
    command = shlex.split(line.partition("; look: ")[2].partition("; no baseline")[0])
    assert command[:5] == ["python", "-m", "benchmarks", "judge", "--base"]
    assert main(command[3:]) == (1 if slower == 1.3 else 11)
    assert "\na\n  round_s  " in capsys.readouterr().out


def test_a_refusal_names_the_cause_that_was_seen(promote, tmp_path):
    """Why the machine couldn't be trusted, and how a session ended that failed."""
    busy = save(tmp_path / "0001_x.json", validity=INVALID, passed=False, exit_status=2)
    _, (line,) = promote(busy)
    assert "or it was interrupted (exit status 2); " in line
    assert "couldn't be trusted during a, b (the clock dropped); " in line
    assert "judge" not in line  # nothing was judged


@pytest.mark.parametrize("verdicts", [[], [verdict("a", "MISSING")]])
def test_what_was_judged_by_something_else_is_judged_again(promote, tmp_path, verdicts):
    """Verdicts of a session that was judged by an empty folder, or by evidence, don't help it."""
    assert promote(save(tmp_path / "0001_x.json", day=1))[0] == 0
    slow = save(tmp_path / "0002_slow.json", day=2, slower=1.3, verdicts=verdicts)
    status, (line,) = promote(slow)
    assert status == 1
    assert "REGRESSED: a round_s +" in line


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-40], "damaged or foreign"),
        (lambda text: text.replace('"data"', '"mean"'), "--benchmark-save-data"),
        (lambda text: text.replace("llm_int8", "other"), "expected a session of this suite"),
    ],
    ids=["damaged", "without raw data", "foreign"],
)
def test_what_is_no_session_cannot_be_forced(promote, tmp_path, damage, says):
    """No reason makes a comparison possible, and no other file is changed before that is known."""
    good = save(tmp_path / "0001_good.json", **JUDGED)
    bad = save(tmp_path / "0002_bad.json", **JUDGED)
    bad.write_text(damage(bad.read_text()))
    status, lines = promote(good, bad, "--force", "because")
    assert status == 4
    assert len(lines) == 1
    assert f"{bad}: " in lines[0]
    assert says in lines[0]
    assert not mark(good)


def test_latest_is_the_newest_session_of_all_machines(promote, tmp_path):
    """Counted by time, not by name; damaged files are named on the way."""
    newest = save(tmp_path / ".benchmarks/one/0001_x.json", day=9, **JUDGED)
    save(tmp_path / ".benchmarks/two/0007_x.json", day=3, **JUDGED)
    save(tmp_path / ".benchmarks/duets/base_01.json", day=10, **JUDGED, duet=DUET)
    (tmp_path / ".benchmarks/two/0008_x.json").write_text("{")
    status, lines = promote("--latest")
    assert status == 0
    assert lines[0].startswith("skipped .benchmarks/two/0008_x.json")
    assert lines[1:] == ["promoted: .benchmarks/one/0001_x.json"]
    assert mark(newest)


def test_demoting_takes_it_back(promote, tmp_path):
    """A demoted session stays stored, and is no baseline."""
    path = save(tmp_path / "0001_x.json", **JUDGED)
    promote(path)
    assert promote("--demote", path) == (0, [f"demoted: {path}"])
    assert mark(path) is None
    promote(path)
    assert mark(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected either files or --latest"),
        (["--latest", "x.json"], "expected either files or --latest"),
        (["--latest"], "no session is stored below .benchmarks"),
        (["x.json", "--force", " "], "--force: expected a reason"),
        (["x.json", "--demote", "--force", "y"], "leave one of them out"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_4(promote, arguments, says):
    """Before anything is changed."""
    status, (line,) = promote(*arguments)
    assert status == 4
    assert says in line


@pytest.mark.parametrize("options", [[], ["--demote"], ["--force", "because"]])
def test_what_is_not_there_is_wrong_input(promote, tmp_path, options):
    """A typing error in a name is one line, and no refusal of a session; so is a folder."""
    for path in (tmp_path / "none.json", tmp_path):
        status, (line,) = promote(path, *options)
        assert status == 4
        assert f"{path}: can't read it" in line


def test_processes_that_promote_at_once_lose_nothing(tmp_path):
    """Ten sessions, promoted by ten processes, are ten baselines; each file is whole."""
    paths = [save(tmp_path / f"{day:04}_x.json", day=day, **JUDGED) for day in range(1, 11)]
    shared = save(tmp_path / "0011_shared.json", day=11, **JUDGED)
    running = [
        subprocess.Popen([sys.executable, "-m", "benchmarks", "promote", path, shared])
        for path in paths
    ]
    assert [process.wait(60) for process in running] == [0] * len(paths)
    found = baseline.stored(tmp_path)
    assert found.damaged == ()
    assert len(found.sessions) == 11
    assert all(map(baseline.is_baseline, found.sessions))
