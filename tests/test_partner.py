"""A worker may die, hang, print or answer nonsense: its parent goes on, and no process stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness import tool
from benchmarks.harness.errors import InputError, OutOfMemoryError
from benchmarks.harness.partner import LostError, Partner

ROOT = Path(__file__).parent.parent

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
        assert partner.ask("double", 10, n=21) == {"done": "double", "twice": 42}
    assert (tmp_path / "base.log").read_text() == '{"done": 1}\n'


def test_what_it_says_meanwhile_is_passed_on(start):
    """A worker that says something is not hanging."""
    said = []
    does = 'answer(said="1 of 2"); time.sleep(0.3); answer(said="2 of 2"); time.sleep(0.3); '
    with start(does + 'answer(done=request["do"])', said.append) as partner:
        partner.ask("write", 10)
    assert said == ["base: 1 of 2", "base: 2 of 2"]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("print('why', flush=True); os.kill(os.getpid(), signal.SIGKILL)", "was killed (SIGKILL)"),
        ("print('why', flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "died by signal 11"),
        ("print('why', flush=True); sys.exit(3)", "ended with status 3"),
        ("print('why', flush=True); time.sleep(60)", "said nothing for 1 s"),
        ("print('why', flush=True); os.kill(os.getpid(), signal.SIGSTOP)", "said nothing for 1 s"),
        ("print('why', flush=True); answers.write('nonsense\\n')", "answered 'nonsense'"),
        ("print('why', flush=True); answers.write('[1, 2]\\n')", "answered '[1, 2]'"),
        ("print('why', flush=True); answer(done='other')", "answered '{"),
        ("print('why', flush=True); answer(failed='KeyError', message='a\\nb')", "KeyError: a"),
    ],
    ids=["killed", "crashed", "ended", "asleep", "stopped", "nonsense", "list", "other", "error"],
)
def test_a_lost_worker_is_named_with_the_end_of_its_log(start, does, says):
    """One line says which worker, what became of it, asked to do what, and its last words."""
    with start(does) as partner, pytest.raises(LostError) as raised:
        partner.ask("round", 1)
    message = str(raised.value)
    assert message.startswith("base: the worker ")
    assert says in message
    assert "asked to round" in message
    assert "why" in message
    assert "\n" not in message
    assert not tool.is_alive(partner.pid)


@pytest.mark.parametrize("error", [InputError, OutOfMemoryError])
def test_errors_of_the_suite_keep_their_kind(start, error):
    """What a worker's own error says is said of that side."""
    with (
        start(f"answer(failed={error.__name__!r}, message='too large')") as partner,
        pytest.raises(error, match="base: too large"),
    ):
        partner.ask("load", 10)


def test_all_that_it_started_ends_with_it(start, tmp_path):
    """A worker's own children don't stay behind."""
    pid = tmp_path / "pid"
    does = (
        f"child = subprocess.Popen(['sleep', '600']); file = open({str(pid)!r}, 'w'); "
        "file.write(str(child.pid)); file.close(); "
        "answer(done=request['do'])"
    )
    with start(does) as partner:
        partner.ask("start", 10)
        assert tool.is_alive(int(pid.read_text()))
    wait_until_gone(int(pid.read_text()))


@pytest.mark.parametrize("working", [False, True], ids=["while it waits", "while it works"])
def test_no_orphan_is_left_where_the_parent_is_killed(tmp_path, working):
    """The kernel ends a worker whose parent got SIGKILL, even in the middle of a request."""
    if working and sys.platform != "linux":
        pytest.skip("only Linux ends a child with its parent")
    script = (
        "import os, sys, time; from pathlib import Path; "
        "from benchmarks.harness import tool; from benchmarks.harness.partner import Partner; "
        "from benchmarks.harness.settings import OPTIONS; "
        "options = {each.dest: each.default for each in OPTIONS}; "
        "command = tool.module_command(sys.executable, 'benchmarks.harness.worker'); "
        f"partner = Partner('base', command, os.environ, Path({str(tmp_path / 'log')!r})); "
        # It then imports torch for seconds, and would notice the end of its requests only later.
        + ("partner.send('start', options=options, overlay=None, packages=[]); " if working else "")
        + "print(partner.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        worker = int(parent.stdout.readline())
        time.sleep(0.5)  # it takes a moment to ask the kernel for that
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(worker, seconds=1 if working else 10)


def wait_until_gone(pid, seconds=10):
    """Wait for a process that was ended by somebody else."""
    for _ in range(20 * seconds):
        if not tool.is_alive(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"{pid} still runs")
