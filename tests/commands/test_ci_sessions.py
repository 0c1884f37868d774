"""How `ci` runs a session, and which file it takes for that session's."""

import json
import os
import signal
from pathlib import Path

import pytest

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from tests.repository import run
from tests.running import heard


@pytest.mark.parametrize("gate", [0, 10, 11])
def test_another_jobs_session_is_never_taken_for_ours(job, gate):
    """What comes into the folder meanwhile, and sorts before it, is not promoted, nor decided."""
    job.strangers = [Path(f".benchmarks/{name}") for name in ("a/0001_ci.json", "gpu/0001.json")]
    if gate == 11:
        job.suspect(0, workload={"model": "m", "new_tokens": 77})
    job.gate = gate
    assert run("--promote") == (0 if gate == 11 else gate)
    assert job.promoted
    for each in job.strangers:
        assert json.loads(each.read_text())["llm_int8"]["promoted"] is None
    assert [call[4] for call in job.called[1:]] == ["--new-tokens=77"] * (gate == 11)


def test_where_ours_was_not_saved_no_other_is_promoted(job):
    """Nothing is guessed from what is new in the folder."""
    job.strangers = [Path(".benchmarks/gpu/0002_ci.json")]
    job.saved, job.gate = None, 10
    assert run("--promote") == 10
    assert job.promoted is None


def test_what_was_not_judged_is_no_pass(job, capsys):
    """As with --collect-only, which ends by 0, and saves nothing."""
    job.saved = None
    assert run("--promote", options="--collect-only") == 10
    assert "no session was saved, so nothing was judged" in capsys.readouterr().out


@pytest.mark.parametrize("storage", ["elsewhere", "elsewhere/deep/er"])
def test_another_storage_is_followed(job, storage):
    """The session is promoted there, and the newest baseline that is there is the duet's base."""
    job.has_baseline(storage, commit=job.commits["later"])
    job.file = Path(storage) / "0002_ci.json"
    job.suspect(0)
    assert run("--promote", options=f"--benchmark-storage={storage}") == 0
    assert job.seen == "later"
    assert job.promoted["forced"].startswith("suspicious, but a duet against ")


@pytest.mark.parametrize(
    "options",
    [
        "--batch-size 'x",
        "--batch-size",
        "--benchmark-compare=0001",
        "-k x --benchmark-compare 0001",
        "--summary more.md",
        "--replicas 1,2",
        "--generation static,compiled",
        "--device-map tensor --quantization fp16",
    ],
)
def test_options_that_ci_cant_follow_are_refused_in_one_line(job, capsys, options):
    """Before anything is measured: those that are none, and those that it would go on without."""
    with pytest.raises(SystemExit) as ended:
        run(options=options)
    assert ended.value.code == 4
    assert job.called == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "--options: " in line


def test_commands_run_in_sight_and_are_kept(capfd):
    """What a command prints is seen at once, and can go into the summary; so does its status."""
    said = []
    assert measuring.call_module("platform", "--terse", said=said) == 0
    assert len(said) == 1
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "$ python -m platform --terse"
    assert shown[-1] == said[0]
    assert measuring.call_module("no_such_module") == 1


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
    follow, firsts = measuring.follow, iter([tmp_path / "followed"])

    def follow_and_say_so(patient, said):
        for fifo in firsts:
            fifo.write_text("now")  # once the other end is there
        return follow(patient, said)

    monkeypatch.setattr(measuring, "follow", follow_and_say_so)
    monkeypatch.chdir(tmp_path)
    with heard(signal.SIGINT):
        if deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # heard() takes it back
        with pytest.raises(KeyboardInterrupt), interrupts.interruptible():
            measuring.call_module("patient", said=said)
    with pytest.raises(ChildProcessError):
        os.waitpid(int(Path("kept").read_text()), os.WNOHANG)
