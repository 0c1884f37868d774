"""What the workflow does with the gate's answer: it is passed on, and may become a baseline."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.commands import ci
from benchmarks.common import interrupts
from tests.builders import verdict
from tests.commands.job import SAVED
from tests.running import heard


def test_nothing_regressed_so_the_session_becomes_a_baseline(job, capsys):
    """The gate gets the workload options and the summary; its session is promoted."""
    assert job.run("--promote") == 0
    (gate,) = job.called
    assert gate[:3] == ["pytest", "benchmarks", "--gate"]
    assert gate[-4:] == ["--summary", "summary.md", "--model", "synthetic:llama-3.1-8b"]
    assert job.promoted["forced"] is None
    assert f"promoted: {SAVED}" in capsys.readouterr().out


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 12])
def test_a_failure_of_any_kind_is_passed_on_and_never_promoted(job, status):
    """The job's status is the gate's, and the session stays as evidence."""
    job.gate = status
    assert job.run("--promote") == status
    assert len(job.called) == 1
    assert job.promoted is None


def test_what_was_not_compared_fails_but_starts_a_history(job):
    """The first session of a new benchmark has nothing to be compared with, and isn't a pass."""
    job.gate = 10
    job.saved |= {"verdicts": [verdict("a", "MISSING")], "exit_status": 10}
    assert job.run("--promote") == 10
    assert job.promoted


def test_nothing_is_promoted_unless_asked_for(job):
    """A pull request is no baseline."""
    assert job.run("--base", "main") == 0
    assert job.promoted is None


def test_an_acknowledged_regression_passes_and_is_no_baseline(job, capsys):
    """It is compared with what was before for as long as it is acknowledged."""
    job.saved |= {"verdicts": [verdict("a", "REGRESSED", acknowledged="known")]}
    assert job.run("--promote") == 0
    assert job.promoted is None
    assert "not promoted: " in capsys.readouterr().out


@pytest.mark.parametrize(("gate", "says"), [(10, ""), (11, "was not saved")])
def test_a_gate_that_saved_nothing_is_passed_on(job, capsys, gate, says):
    """Nothing to promote, and nothing to start a duet from."""
    job.gate, job.saved = gate, None
    assert job.run("--promote") == gate
    assert not SAVED.exists()
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("options", ["--batch-size 'x", "--batch-size"])
def test_options_that_are_none_are_said_in_one_line(job, capsys, options):
    """Before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        job.run(options=options)
    assert ended.value.code == 4
    assert job.called == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "--options: " in line


def test_commands_run_in_sight_and_are_kept(capfd):
    """What a command prints is seen at once, and can go into the summary; so does its status."""
    said = []
    assert ci._call("platform", "--terse", said=said) == 0
    assert len(said) == 1
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "$ python -m platform --terse"
    assert shown[-1] == said[0]
    assert ci._call("no_such_module") == 1


@pytest.mark.parametrize("deaf", [False, True], ids=["", "Ctrl-C is ignored"])
@pytest.mark.parametrize("said", [None, []])
def test_an_interrupt_lets_what_runs_save_its_work(tmp_path, monkeypatch, said, deaf):
    """It is passed on, and waited for: no child is left to wait for, not even a dead one."""
    (tmp_path / "patient.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n    open('followed').read()\n"
        "    os.kill(os.getppid(), signal.SIGTERM)\n    time.sleep(600)\n"
        "except KeyboardInterrupt:\n    pathlib.Path('kept').write_text(str(os.getpid()))\n"
    )
    os.mkfifo(tmp_path / "followed")
    follow, firsts = ci._follow, iter([tmp_path / "followed"])

    def follow_and_say_so(process, said):
        for fifo in firsts:
            fifo.write_text("now")  # once the other end is there
        return follow(process, said)

    monkeypatch.setattr(ci, "_follow", follow_and_say_so)
    monkeypatch.chdir(tmp_path)
    with heard(signal.SIGINT):
        if deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # heard() takes it back
        with pytest.raises(KeyboardInterrupt), interrupts.interruptible():
            ci._call("patient", said=said)
    with pytest.raises(ChildProcessError):
        os.waitpid(int(Path("kept").read_text()), os.WNOHANG)
