"""A worker may die, hang, print or answer nonsense: its parent goes on, and no process stays."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.common import process
from benchmarks.common.errors import InputError, OutOfMemoryError
from benchmarks.duet.worker_process import LostError, Partner
from benchmarks.machine import clock
from tests.local_packages import write_wheel
from tests.virtual import Machine
from tests.waiting import PATIENCE_S, gone, line_of, readable

ROOT = Path(__file__).parents[2]

# A worker in a few lines: it does what a test says with each request.
SCRIPT = """
import json, os, signal, subprocess, sys, time
numbers = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2])))
answers = os.fdopen(numbers["--answers"], "w", buffering=1)
def answer(**content):
    answers.write(json.dumps(content) + "\\n")
for line in os.fdopen(numbers["--requests"]):
    request = json.loads(line)
    if request["do"] == "stop":
        break
    %s
"""


@pytest.fixture
def waiting(monkeypatch):
    """Put the machine's hands on the clock that answers are waited for with."""
    machine = Machine()
    monkeypatch.setattr(clock, "read", machine.read)
    monkeypatch.setattr(clock, "wait", machine.wait)
    return machine


@pytest.fixture
def start(tmp_path):
    """Return a function that starts such a worker."""

    def start(does, say=print):
        command = [sys.executable, "-c", SCRIPT % does]
        return Partner("base", command, os.environ, tmp_path / "base.log", say)

    return start


def test_requests_are_answered_and_prints_disturb_nothing(start, tmp_path):
    """Whatever a library prints goes to the log; only answers are read as answers."""
    does = (
        'print("{\\"done\\": 1}", flush=True); answer(done=request["do"], twice=2 * request["n"])'
    )
    with start(does) as partner:
        assert partner.ask("double", PATIENCE_S, n=21) == {"done": "double", "twice": 42}
    assert (tmp_path / "base.log").read_text() == '{"done": 1}\n'


def test_what_it_says_meanwhile_is_passed_on(start, waiting, tmp_path):
    """A worker that says something is not hanging, however long it takes in all."""
    os.mkfifo(fifo := tmp_path / "fifo")
    said = []

    def say(text):
        said.append(text)
        waiting.spend(9)
        fifo.write_text("go on")

    heard = f"open({str(fifo)!r}).read()"  # so that nothing of what follows was read already
    does = (
        f'answer(said="1 of 2"); {heard}; answer(said="2 of 2"); {heard}; '
        'answer(done=request["do"])'
    )
    with start(does, say) as partner:
        partner.ask("write", 10)
    assert said == ["base: 1 of 2", "base: 2 of 2"]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("print('why', flush=True); os.kill(os.getpid(), signal.SIGKILL)", "was killed (SIGKILL)"),
        ("print('why', flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "died by signal 11"),
        ("print('why', flush=True); sys.exit(3)", "ended with status 3"),
        ("print('why', flush=True); answer(said='on it'); time.sleep(600)", "said nothing for 1 s"),
        (
            "print('why', flush=True); answer(said='on it'); os.kill(os.getpid(), signal.SIGSTOP)",
            "said nothing for 1 s",
        ),
        ("print('why', flush=True); answers.write('nonsense\\n')", "answered 'nonsense'"),
        ("print('why', flush=True); answers.write('[1, 2]\\n')", "answered '[1, 2]'"),
        ("print('why', flush=True); answer(done='other')", "answered '{"),
        ("print('why', flush=True); answer(failed='KeyError', message='a\\nb')", "KeyError: a"),
    ],
    ids=["killed", "crashed", "ended", "asleep", "stopped", "nonsense", "list", "other", "error"],
)
def test_a_lost_worker_is_named_with_the_end_of_its_log(start, waiting, does, says):
    """One line says which worker, what became of it, asked to do what, and its last words.

    Nobody waits longer for it than was said.
    """
    began_s = waiting.now_s

    def hang(_):
        waiting.hung = True  # that was all that it says

    with start(does, hang) as partner, pytest.raises(LostError) as raised:
        partner.ask("round", 1)
    assert waiting.now_s - began_s < 1.1
    message = str(raised.value)
    assert message.startswith("base: the worker ")
    assert says in message
    assert "asked to round" in message
    assert "why" in message
    assert "\n" not in message
    assert not process.is_alive(partner.pid)


def test_what_torch_logs_is_no_reason_of_an_end(start):
    """Its profiler's lines follow each recording, and push out what the worker said last."""
    noise = (
        "USDT:2026-11-28 10:09:04 28116:28116 SyncActivityProfilerHandler.cpp:59] profiler_stop",
        "[W1128 10:09:03.745375467 CPUAllocator.cpp:245] Memory block of unknown size",
        "WARNING:2026-11-28 10:09:04 28116:28116 init.cpp:180] function cbapi->getCuptiStatus()",
        "[rank0]:[W1128 10:09:03.745375467 ProcessGroup.cpp:1] destroy it",
    )
    said = "ERROR:2026-11-28 10:09:04 28116:28116 CuptiActivityApi.cpp:1] no more buffers"
    does = f"print({said!r}, *{noise!r}, sep='\\n', flush=True); sys.exit(3)"
    with start(does) as partner, pytest.raises(LostError) as raised:
        partner.ask("round", PATIENCE_S)
    assert f"asked to round; {said} (" in str(raised.value)
    done = process.run([sys.executable, "-c", f"print(*{noise!r}, sep='\\n')"], os.environ, 60)
    assert done.last_line == "it said nothing"


@pytest.mark.parametrize("error", [InputError, OutOfMemoryError])
def test_errors_of_the_suite_keep_their_kind(start, error):
    """What a worker's own error says is said of that side."""
    with (
        start(f"answer(failed={error.__name__!r}, message='too large')") as partner,
        pytest.raises(error, match="base: too large"),
    ):
        partner.ask("load", PATIENCE_S)


def test_all_that_it_started_ends_with_it(start):
    """A worker's own children don't stay behind."""
    does = "answer(done=request['do'], child=subprocess.Popen(['sleep', '600']).pid)"
    with start(does) as partner:
        child = partner.ask("start", PATIENCE_S)["child"]
        assert process.is_alive(child)
    assert gone(child)


@pytest.fixture
def endless(tmp_path):
    """Return an overlay whose import never ends, and the FIFO in which it says that it began."""
    os.mkfifo(fifo := tmp_path / "fifo")
    module = f"import time\nwith open({str(fifo)!r}, 'w') as fifo:\n    fifo.write('on it')\n"
    wheel = write_wheel(tmp_path, "endless", "1.0", module + "time.sleep(600)\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "overlay")
    return tmp_path / "overlay", fifo


@pytest.mark.parametrize("working", [False, True], ids=["while it waits", "while it works"])
def test_no_orphan_is_left_where_the_parent_is_killed(tmp_path, endless, working):
    """The kernel ends a worker whose parent got SIGKILL, even in the middle of a request."""
    if working and sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    overlay, fifo = endless
    request = f"partner.send('start', options={{}}, overlay={str(overlay)!r}, packages=[]); "
    script = (
        "import os, sys, time; from pathlib import Path; "
        "from benchmarks.common import process; "
        "from benchmarks.duet.worker_process import Partner; "
        "command = process.module_command(sys.executable, 'benchmarks', 'worker'); "
        f"variables = os.environ | {{'PYTHONPATH': {f'{overlay}{os.pathsep}{ROOT}'!r}}}; "
        f"partner = Partner('base', command, variables, Path({str(tmp_path / 'log')!r})); "
        + (request if working else "")
        + "print(partner.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert readable(parent.stdout.fileno())
        worker = int(parent.stdout.readline())
        if working:  # it would notice the end of its requests only later
            assert line_of(fifo) == "on it"
        parent.kill()
    assert gone(worker)
