"""How `ci` runs a session, and which file it takes for that session's."""

import json
import os
import signal
from pathlib import Path

import pytest

from benchmarks.commands import ci
from benchmarks.common import interrupts
from tests.repository import Machine, run
from tests.running import heard


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return the machine, in the folder of its repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Machine(monkeypatch)


@pytest.mark.parametrize("gate", [0, 10, 11])
def test_another_jobs_session_is_never_taken_for_ours(machine, gate):
    """What comes into the folder meanwhile, and sorts before it, is not promoted, nor decided."""
    machine.strangers = [
        Path(f".benchmarks/{name}") for name in ("a/0001_ci.json", "gpu/0001.json")
    ]
    if gate == 11:
        machine.suspect(0, workload={"model": "m", "new_tokens": 77})
    machine.gate = gate
    assert run("--promote") == (0 if gate == 11 else gate)
    assert machine.promoted
    for each in machine.strangers:
        assert json.loads(each.read_text())["llm_int8"]["promoted"] is None
    assert [call[4] for call in machine.called[1:]] == ["--new-tokens=77"] * (gate == 11)


def test_where_ours_was_not_saved_no_other_is_promoted(machine):
    """Nothing is guessed from what is new in the folder."""
    machine.strangers = [Path(".benchmarks/gpu/0002_ci.json")]
    machine.saved, machine.gate = None, 10
    assert run("--promote") == 10
    assert machine.promoted is None


def test_what_was_not_judged_is_no_pass(machine, capsys):
    """As with --collect-only, which ends by 0, and saves nothing."""
    machine.saved = None
    assert run("--promote", options="--collect-only") == 10
    assert "no session was saved, so nothing was judged" in capsys.readouterr().out


@pytest.mark.parametrize("storage", ["elsewhere", "elsewhere/deep/er"])
def test_another_storage_is_followed(machine, storage):
    """The session is promoted there, and the newest baseline that is there is the duet's base."""
    machine.has_baseline(storage, commit=machine.commits["later"])
    machine.file = Path(storage) / "0002_ci.json"
    machine.suspect(0)
    assert run("--promote", options=f"--benchmark-storage={storage}") == 0
    assert machine.seen == "later"
    assert machine.promoted["forced"].startswith("suspicious, but a duet against ")


@pytest.mark.parametrize(
    "options",
    [
        "--batch-size 'x",
        "--batch-size",
        "--benchmark-compare=0001",
        "-k x --benchmark-compare 0001",
        "--summary more.md",
    ],
)
def test_options_that_ci_cant_follow_are_refused_in_one_line(machine, capsys, options):
    """Before anything is measured: those that are none, and those that it would go on without."""
    with pytest.raises(SystemExit) as ended:
        run(options=options)
    assert ended.value.code == 4
    assert machine.called == []
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
