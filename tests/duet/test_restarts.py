"""What a duet makes of its restarts, whatever ends it: here they are made, not measured."""

from __future__ import annotations

import json
import signal
from unittest.mock import Mock

import pytest

from benchmarks.commands.duet import report
from benchmarks.common import interrupts
from benchmarks.common.errors import InputError, OutOfMemoryError, OutputError
from benchmarks.duet import restart, schedule, worker_process
from benchmarks.duet.restart import RestartRun
from benchmarks.sessions.outcome import Outcome
from tests.duets import duet_of, made, read
from tests.running import heard


@pytest.mark.parametrize(("ceiling", "status"), [(40, 0), (20, 1)])
def test_what_the_gate_accepts_passes_in_a_duet_as_well(
    command, tmp_path, monkeypatch, ceiling, status
):
    """Up to its ceiling, and in sight."""
    plays = [made(slower=1.3 + luck) for luck in (0.0, 0.01, -0.01, 0.02, -0.01, 0.01)]
    monkeypatch.setattr(RestartRun, "play", Mock(side_effect=plays))
    known = tmp_path / "accepted.toml"
    known.write_text(
        '[[acknowledged]]\nbenchmark = "*"\nmetric = "round_s"\nreason = "exact outliers"\n'
        f"ceiling_percent = {ceiling}\nexpires = 2999-12-31\n"
    )
    ended, text = command(
        "duet", "--base=current", "--max-restarts=6", f"--acknowledged={known}", "--new-tokens=1"
    )
    assert ended == status, text
    assert "1 regressed" in text
    assert ("acknowledged: exact outliers" in text) == (not status)


@pytest.mark.parametrize("kind", [InputError, OutOfMemoryError, worker_process.LostError])
def test_an_error_in_a_late_restart_costs_that_restart_only(tmp_path, variables, monkeypatch, kind):
    """What ran once may fail by chance: it is lost, its order is played again, the design stays."""
    plays, runs = Mock(side_effect=[made(), kind("head: can't load"), *(made(),) * 3]), []

    def play(run):
        runs.append(run)
        return plays()

    monkeypatch.setattr(RestartRun, "play", play)
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=4", say=said.append)
    duet.run()
    assert duet.lost == ["restart 2: head: can't load"]
    assert runs[1].planned == runs[2].planned
    assert not any(run.conditions.alternate for run in runs)
    assert duet.restarts == 3
    assert {each.outcome for each in duet.verdicts if each.kind == "time"} == {Outcome.NO_CHANGE}
    first = read(tmp_path / "out", "base")[0]["llm_int8"]["duet"]
    assert (first["id"], first["alpha"], first["looks"]) == (duet.id, 0.05, {"4": 0.05})


@pytest.mark.parametrize(
    ("error", "status"), [(OutputError("wrong"), 1), (KeyboardInterrupt(), 2), (OSError("x"), 3)]
)
def test_whatever_ends_a_duet_keeps_and_judges_what_is_complete(
    command, tmp_path, monkeypatch, capfd, error, status
):
    """The table, the verdicts and the command that judges the files again, then the error."""
    plays = [made(), made(), made(), error]
    monkeypatch.setattr(RestartRun, "play", Mock(side_effect=plays))
    out = tmp_path / "with a space"
    arguments = ("duet", "--base=current", f"--out={out}")
    if status == 3:
        with pytest.raises(SystemExit) as unknown:
            command(*arguments)
        assert unknown.value.code == status
        assert "OSError: x" in capfd.readouterr().err
    else:
        ended, text = command(*arguments)
        assert ended == status
        assert "3 complete restarts are kept; python -m benchmarks judge --paired" in text
        assert f"--base '{out}'/restart-*-base.json" in text
        assert "NO CHANGE" in text
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert {"id", "alpha", "looks"} <= set(verdicts)
    assert verdicts["verdicts"]


def test_no_folder_is_left_where_nothing_was_measured(command, tmp_path):
    """The folder is made when something is written into it."""
    with pytest.raises(SystemExit):
        command("duet", "--base=nonesuch==1")
    assert not (tmp_path / "out").exists()


def test_two_models_that_dont_fit_are_measured_one_after_the_other(
    tmp_path, variables, monkeypatch
):
    """It is said plainly, and the restart is played again with one process at a time."""
    said, played = [], []

    def too_large(run):
        played.append(run.conditions.alternate)
        if not run.conditions.alternate:
            raise OutOfMemoryError("head: out of memory while loading")
        raise worker_process.LostError("far enough")

    monkeypatch.setattr(RestartRun, "play", too_large)
    duet = duet_of(tmp_path, variables, "--max-restarts=2", say=said.append)
    duet.run()
    assert played == [False, True]
    assert said[:2] == [
        "two models don't fit at once: head: out of memory while loading",
        restart.ALTERNATE,
    ]


def test_alternating_processes_are_looked_at_after_an_even_number(tmp_path, variables):
    """A drift cancels over each two restarts."""
    assert duet_of(tmp_path, variables).looks == {5: 0.025, 12: 0.025}
    assert duet_of(tmp_path, variables, alternate=True).looks == {6: 0.025, 12: 0.025}


def test_losing_every_restart_ends_the_duet(tmp_path, variables, monkeypatch):
    """After three in a row it gives up; nothing was compared, which is no pass."""
    lost = worker_process.LostError("head: the worker died")
    monkeypatch.setattr(RestartRun, "play", Mock(side_effect=lost))
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=12", say=said.append)
    duet.run()
    assert len(duet.lost) == 3
    assert said[-1] == "giving up: 3 restarts in a row were lost"
    assert duet.verdicts == []
    assert report(duet) == 10


def test_progress_is_the_estimate_of_the_verdict(tmp_path, variables, monkeypatch):
    """Metric, change and interval, over the restarts that count; before three, no interval."""
    shares = (0.0, 0.2, 0.01)  # whose mean is not their median
    plays = [made(slower=1 + share) for share in shares]
    plays.insert(2, made(slower=9, validity={"valid": False, "reasons": ["it was busy"]}))
    monkeypatch.setattr(RestartRun, "play", Mock(side_effect=plays))
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=4", say=said.append)
    duet.run()
    lines = [line for line in said if line.startswith("restart ") and " of at most " in line]
    (each,) = duet.verdicts
    change, *ends = (f"{100 * share:+.2f}" for share in (each.change, each.low, each.high))
    figures = f"{change} % [{', '.join(ends)}]"
    assert lines[3].startswith(f"restart 4 of at most 4: int8-decomp-b8-p16-n4 round_s {figures}; ")
    assert "round_s +9.54 % (no interval before 3 restarts); " in lines[1]
    assert [line.endswith("minutes more for all") for line in lines] == [True] * 3 + [False]
    assert lines[2].partition(": ")[2] == lines[1].partition(": ")[2]


def test_progress_of_a_bisection_is_of_what_is_asked(tmp_path, variables, monkeypatch):
    """Another benchmark of the same duet is another story."""
    monkeypatch.setattr(RestartRun, "play", Mock(side_effect=[made(), made()]))
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=2", say=said.append)
    duet.asked = ("benchmarks/test_a.py::test_a[int8-b1]", "tpot_s")
    duet.run()
    assert "restart 1 of at most 2: nothing is judged yet; " in said[-2]


@pytest.mark.parametrize(
    ("seconds", "count", "short"),
    [
        (
            30,
            2,
            "; times need 3 restarts, which take about 30 s each: give at least --max-minutes 3",
        ),
        (9, 3, ""),
    ],
)
def test_no_restart_begins_that_would_end_after_the_time(
    tmp_path, variables, machine, monkeypatch, seconds, count, short
):
    """One takes as long as the longest before, without the evidence that one gathers.

    If there is no time for as many as times need, it is said how much they need.
    """
    plays = iter([(80, 50), (seconds, 0), (seconds, 0)])

    def play(_):
        played = made()
        seconds, played.evidence_s = next(plays)
        machine.rest(seconds)
        return played

    monkeypatch.setattr(RestartRun, "play", play)
    said = []
    duet = duet_of(tmp_path, variables, "--max-minutes=2", say=said.append)
    duet.run()
    assert duet.restarts == count
    assert said[-1] == f"another restart doesn't fit into 2 minutes{short}"
    assert ("times need" in said[-2]) == (count == 2)  # which is known before it is tried


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("machine")
def test_only_the_first_signal_interrupts(number, monkeypatch):
    """A second one would disturb how workers are ended and files are kept."""
    ended = []

    def work():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            ended.append("in order")

    with heard(number), pytest.raises(KeyboardInterrupt), interrupts.interruptible():
        work()
    assert ended == ["in order"]
    monkeypatch.setattr(interrupts, "DEAF_S", 0)  # what hangs can still be interrupted later
    with heard(number), pytest.raises(KeyboardInterrupt), interrupts.interruptible():
        work()
    assert ended == ["in order"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["duet"], "expected --base SPEC or --selftest"),
        (["duet", "--base="], "--base: expected current, which is this environment; requirements"),
        (["duet", "--base=current", "--report=x.html"], "unknown option --report"),
        (["duet", "--base=current", "--acknowledged=none"], "--acknowledged: expected a file"),
        (["duet", "--base=current", "--thresholds=none"], "--thresholds: expected a file"),
        (["duet", "--selftest", "--acknowledged=none"], "--acknowledged: expected --base"),
        (["duet", "--base=~nobody-of-this-name/x"], "expected `current`"),
        (["duet", f"--base={'x' * 300}/y"], "expected `current`"),
        (["duet", "--base=current", "--max-restarts=0"], "--max-restarts: expected a whole number"),
        (["duet", "--base=current", "--max-minutes=0"], "--max-minutes: expected a number above 0"),
        (["duet", "--base=current", "--alpha=1"], "--alpha: expected a probability below 1"),
        (["duet", "--base=current", "--seed=x"], "--seed: expected a whole number"),
        (["duet", "--base=current", "--quantization=x"], "--quantization: expected one of"),
        (["duet", "--base=a/b"], "expected `current`"),
        (["bisect", "--package=sluggish", "--good=1.3", "--bad=1.1"], "expected it before"),
        (["bisect", "--package=sluggish", "--good=2", "--bad=1.1"], "--good 2: expected one of"),
        (["bisect", "--package=nonesuch", "--good=1", "--bad=2"], "can't ask the package index"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_4(command, capfd, arguments, says):
    """What was wrong, what was expected, what to do: no traceback, and nothing measured."""
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert ended.value.code == 4
    assert says in line


def test_a_folder_that_is_used_is_not_written_into(command, tmp_path, capfd):
    """Results of two duets never mix."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "restart-01-base.json").write_text("{}")
    with pytest.raises(SystemExit):
        command("duet", "--base=current")
    assert "--out: expected a new or an empty folder" in capfd.readouterr().err


def test_a_full_disk_loses_no_complete_restart(tmp_path, variables):
    """Half a restart is not left behind, and the message names the file."""
    duet = duet_of(tmp_path, variables)
    (planned,) = schedule.plan(1, 1, duet.conditions.takes, 1)
    side = {"loaded": {}, "machine": {}}
    played = restart.Played(started={"base": side, "head": side})
    (tmp_path / "out" / "restart-01-head.json").mkdir(parents=True)  # can't be written
    with pytest.raises(InputError, match=r"can't write .*restart-01-head\.json"):
        duet._save(1, planned, played)
    assert not (tmp_path / "out" / "restart-01-base.json").exists()
    assert duet.restarts == 0
