"""`baselines record`: several sessions in one go, each promoted if it passed."""

from __future__ import annotations

import json
import os
import shlex
from math import exp
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.commands import measuring
from benchmarks.config.settings import SAVED_TO
from benchmarks.sessions import baseline
from tests import virtual
from tests.builders import INVALID, LUCK, promoted, save
from tests.running import LEAST

FOLDER = Path(".benchmarks/gpu")


@pytest.fixture
def record(monkeypatch, tmp_path, capsys):
    """Return a function that records sessions which are played: their content, status and lines.

    A status in place of a content is that of a session that fails.
    """
    monkeypatch.chdir(tmp_path)

    def record(*contents, options=()):
        left, called = iter(contents), []

        def call(*module, variables, **_):
            called.append(module)
            each = next(left)
            if each is KeyboardInterrupt:
                raise KeyboardInterrupt
            if isinstance(each, int):
                return each
            number = len(called) + 1
            path = save(FOLDER / f"{number:04}_baseline.json", day=number, **each)
            Path(variables[SAVED_TO]).write_bytes(os.fsencode(path))
            return 0

        monkeypatch.setattr(measuring, "call_module", call)
        try:
            status = main(["baselines", "record", *options])
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return status, (out + err).splitlines(), called

    return record


@pytest.mark.parametrize("bounds", ["'*=inf'", "trend_size=0.9"])
def test_what_would_never_be_promoted_is_not_measured(record, bounds):
    """Sessions that aren't checked in full are refused, but only once they are measured."""
    status, lines, called = record({}, options=[f"--options=--bounds {bounds}"])
    assert (status, called) == (4, [])
    assert "expected no bound above the usual one, got --bounds=" in lines[-1]
    assert record({}, options=["--sessions=1", "--options=--bounds trend_size=0.001"])[0] == 0


def baselines():
    """Return the names of the baselines that are stored now."""
    sessions = baseline.stored(FOLDER).sessions
    return [Path(each.name).name for each in sessions if baseline.is_baseline(each)]


def test_five_sessions_become_baselines_whatever_they_vary(record):
    """Of the same code, they don't judge each other: luck of 12 % is what is to be known."""
    status, lines, called = record(*({"slower": exp(20 * luck)} for luck in LUCK[1:]))
    assert status == 0
    assert len(baselines()) == len(called) == 5
    assert called[0] == ("pytest", "benchmarks", "--benchmark-save=baseline")
    assert lines[0] == "session 1 of 5"
    assert lines[-1] == "baselines: 5 of 5 sessions promoted"


@pytest.mark.parametrize(
    ("wrong", "status", "says"),
    [
        ({"validity": INVALID}, 12, "the machine couldn't be trusted during a, b"),
        ({"slower": 1.3}, 1, "REGRESSED: a round_s +30.0 %"),
        ({"slower": 1.3, "validity": INVALID}, 12, "the machine couldn't be trusted during a, b"),
    ],
)
def test_what_can_not_be_promoted_is_named_with_a_status(record, wrong, status, says):
    """The older baseline judges; the others of the same go are promoted all the same."""
    save(FOLDER / "0001_old.json", day=1, promoted=promoted())
    ended, lines, _ = record(
        {}, wrong, {"slower": 1.001}, options=["--sessions=3", "--options=-k x"]
    )
    assert ended == status
    assert baselines() == ["0001_old.json", "0002_baseline.json", "0004_baseline.json"]
    (line,) = [line for line in lines if line.startswith("refused: ")]
    assert says in line
    assert lines[-1] == (
        "baselines: 2 of 3 sessions promoted, 1 refused (0003_baseline.json); "
        "for the rest: python -m benchmarks baselines record --sessions=1 '--options=-k x'"
    )


def test_a_busy_machine_is_not_measured_five_times(record):
    """Two sessions in a row say that it is busy; each takes minutes, and would be refused."""
    busy = {"validity": INVALID}
    status, lines, called = record(busy, {}, busy, busy, {})
    assert (status, len(called)) == (12, 4)
    assert any("twice in a row" in line and "--work-only" in line for line in lines)


@pytest.mark.parametrize(
    ("wrong", "status", "says"),
    [
        (1, 1, "session 2 exited with 1, and none is measured after it"),
        (4, 4, "session 2 exited with 4, and none is measured after it"),
        (0, 4, "session 2 saved nothing; see --options, and none is measured after it"),
        (KeyboardInterrupt, 2, "interrupted; baselines: 1 of 5 sessions promoted; for the rest: "),
    ],
)
def test_a_session_that_fails_ends_it_and_keeps_what_there_is(record, wrong, status, says):
    """The next one would fail as well; its status is the command's."""
    ended, lines, called = record({}, wrong)
    assert ended == status
    assert len(called) == 2
    assert baselines() == ["0002_baseline.json"]
    assert any(line.startswith(says) for line in lines)
    assert "baselines: 1 of 5 sessions promoted; for the rest" in lines[-1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sessions=0"], "--sessions: expected a whole number"),
        (["--storage", "a", "b"], "--storage: expected one folder to record into, got 2"),
        (["--options=--batch-size"], "--options: "),
        (["--options=-k 'x"], "--options: expected words as in a shell"),
        (["--options=--gate=work"], "--options: expected none that judges, got --gate"),
    ],
)
def test_wrong_options_end_it_before_the_first_session(record, options, says):
    """One line and status 4."""
    status, lines, called = record(options=options)
    assert (status, called) == (4, [])
    assert len(lines) == 1
    assert says in lines[0]


def test_real_sessions_are_recorded_where_they_are_asked_for(
    environment, machine, monkeypatch, tmp_path, capfd
):
    """In processes of their own, with the options given, in the folder given."""
    assert machine
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    storage = tmp_path / "a folder"
    ours = ["--device=cpu", f"--model={virtual.ONE_LAYER}", "--quantization=bf16"]
    options = shlex.join([*LEAST, *ours, "-p", "no:cacheprovider"])
    given = ["--sessions=2", f"--storage={storage}", f"--options={options}"]
    status = main(["baselines", "record", *given])
    said = capfd.readouterr().out
    assert status == 0, said
    found = [json.loads(file.read_text()) for file in sorted(storage.rglob("*_baseline.json"))]
    assert [each["llm_int8"]["promoted"]["forced"] for each in found] == [None, None]
    assert len({each["benchmarks"][0]["stats"]["min"] for each in found}) == 2
    assert said.splitlines()[-1] == "baselines: 2 of 2 sessions promoted"
