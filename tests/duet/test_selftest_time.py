"""What a selftest needs at least is known before its first restart, from one worker's trial."""

from __future__ import annotations

import pytest

from benchmarks.commands import selftest
from benchmarks.duet import restart
from benchmarks.duet.restart import RestartRun
from benchmarks.duet.worker_process import LostError

TAKES_S = {"start": 10, "load": 5, "warm_up": 1, "round": 0.5, "record": 0}
# With two pairs: imports, two loads, two warm-ups, and 16 rounds: 30 s a restart.


@pytest.fixture
def played(monkeypatch):
    """Let nothing be recorded: a restart is an interrupt, so that the status is 2."""

    def play(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RestartRun, "play", play)


@pytest.fixture
def trial(machine, monkeypatch, played):  # noqa: ARG001 (it is installed)
    """Let the worker of the trial take these seconds for each request, or die at one."""

    class Worker:
        pid = 1
        dies_at = ""

        def __init__(self, *arguments):
            self.deadline = arguments[-1]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, do, _, **given):  # noqa: ARG002 (as a partner has it)
            machine.rest(TAKES_S[do])
            if do == self.dies_at or machine.now_s > self.deadline:
                machine.now_s = min(machine.now_s, self.deadline)
                raise LostError(f"trial: the worker was lost, asked to {do}")

    monkeypatch.setattr(restart, "start", Worker)
    return Worker


@pytest.mark.parametrize(
    ("minutes", "says"),
    [
        ("1", "--max-minutes 1: expected at least 2, for 3 restarts of about 30 s; give more"),
        ("0.3", "--max-minutes 0.3: expected time for 3 restarts at least, got too little for a"),
    ],
)
def test_too_little_time_is_refused_with_the_least(command, trial, capfd, tmp_path, minutes, says):
    """Status 4 and one line, before a restart, and no folder is left."""
    assert trial
    with pytest.raises(SystemExit) as ended:
        command("duet", "--selftest", f"--max-minutes={minutes}")
    assert ended.value.code == 4
    assert says in capfd.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_what_it_takes_is_said_first(command, trial):
    """The least, and all that is planned; the most is what was given."""
    assert trial
    status, said = command("duet", "--selftest", "--max-minutes=2")
    assert status == 2
    assert "at most 2 minutes; " in said
    assert (
        "a restart takes about 30 s: at least 2 minutes for 3 of them, and about 8 minutes for "
        "all 16" in said
    )


def test_a_trial_that_fails_for_another_reason_is_no_lack_of_time(command, trial):
    """What the worker says is said, in one line and without a traceback."""
    trial.dies_at = "load"
    status, said = command("duet", "--selftest", "--max-minutes=2")
    assert status == 1
    assert "LostError: trial: the worker was lost, asked to load" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("played")
def test_a_real_worker_plays_the_trial(command):
    """It answers all that is asked of it, at each batch size."""
    status, said = command("duet", "--selftest", "--max-minutes=2", "--batch-size=1,2")
    assert status == 2, said
    assert f"at least 1 minute for {selftest.ENOUGH} of them" in said
