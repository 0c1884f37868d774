"""Sessions that are ended by a signal, or otherwise too early: what is kept, and what is said."""

import itertools
import json
import sys

import pytest

from benchmarks.model import loading
from benchmarks.test_warmup import FIRST_GENERATIONS
from tests.running import LEAST, ROOT, command, interrupt_at, run_module

WITHOUT_LINES = """
def stop():
    raise KeyboardInterrupt

stop.__code__ = stop.__code__.replace(co_linetable=b"")

def test():
    try:
        stop()
    finally:
        stop()
"""


CTRL_C = """
import os, signal

def press():
    os.kill(os.getpid(), signal.{number})

"""


ONE_PASSES = "def test(): pass"
FOR_EVER = "generating for ever"


@pytest.fixture
def endless(machine, monkeypatch):
    """Return a function that lets timed rounds generate for ever, and say so, after so many."""
    load = machine.load

    def interrupted(*, after):
        def loaded(*arguments, **more):
            engine = load(*arguments, **more)
            generate, numbers = engine.generate, itertools.count(1)

            def for_ever(workload, log=None):
                if log is None or next(numbers) <= after:
                    return generate(workload, log)
                sys.stdout.write(f"{FOR_EVER}\n")
                while True:
                    generate(workload)

            engine.generate = for_ever
            return engine

        monkeypatch.setattr(loading, "load", loaded)

    return interrupted


@pytest.mark.parametrize(
    ("rounds", "kept"),
    [(0, 0), (1, 0), (FIRST_GENERATIONS + 1, 1)],
    ids=["in the first round", "in the second round", "in a later benchmark"],
)
def test_an_interrupt_keeps_what_was_measured(environment, endless, tmp_path, rounds, kept):
    """Ctrl-C ends the session by pytest's status 2; finished benchmarks are saved, no other."""
    endless(after=rounds)
    options = ["--batch-size=1", "--new-tokens=2", "--benchmark-save=part", "--capture=no"]
    process, lines = interrupt_at(FOR_EVER, ["pytest", *command(tmp_path, *options)], environment)
    assert process.returncode == 2, "".join(lines)
    assert not [line for line in lines if "Traceback" in line or "INTERNALERROR" in line]
    saved = [json.loads(file.read_text()) for file in tmp_path.glob("storage/*.json")]
    assert [each["llm_int8"]["passed"] for each in saved] == [False] * kept
    names = [bench["name"] for each in saved for bench in each["benchmarks"]]
    assert names == ["test_warmup[int8-decomp-b1-p16-n2]"][:kept]
    assert any(line.startswith("saved: " if kept else "not saved: ") for line in lines)


@pytest.mark.parametrize(
    ("test", "pressed", "number", "status"),
    [
        (WITHOUT_LINES, ["pytest_keyboard_interrupt", "pytest_terminal_summary"], "SIGINT", 2),
        (ONE_PASSES, ["pytest_runtest_logfinish", "pytest_keyboard_interrupt"], "SIGINT", 2),
        (ONE_PASSES, ["pytest_sessionfinish", "pytest_terminal_summary"], "SIGINT", 0),
        (ONE_PASSES, ["pytest_runtest_logfinish", "pytest_keyboard_interrupt"], "SIGTERM", 2),
        (ONE_PASSES, ["pytest_sessionfinish", "pytest_terminal_summary"], "SIGTERM", 0),
    ],
    ids=["no line", "again", "at the end", "SIGTERM again", "SIGTERM at the end"],
)
@pytest.mark.usefixtures("machine")
def test_an_interrupt_is_never_taken_for_a_regression(
    environment, tmp_path, test, pressed, number, status
):
    """Where the source has no line, while another one is handled, and when all is over."""
    (file := tmp_path / "test_interrupted.py").write_text(test)
    (tmp_path / "ctrl_c.py").write_text(
        CTRL_C.format(number=number) + "\n".join(f"{name} = press" for name in pressed)
    )
    options = ["-p", "conftest", "-p", "ctrl_c", f"--rootdir={ROOT}", "-c", f"{ROOT}/pytest.ini"]
    arguments = ["pytest", "-p", "no:cacheprovider", *options, str(file)]
    ended = run_module(*arguments, environment=environment | {"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stderr) == (status, "")
    assert ("! KeyboardInterrupt !" in ended.stdout) == (status == 2)


def test_what_did_not_run_to_its_end_has_not_passed(session, tmp_path, monkeypatch):
    """However it ended: pytest's own status says so only a moment later."""
    (tmp_path / "stopping.py").write_text(
        "def stop():\n    raise KeyboardInterrupt\n\n"
        "pytest_runtest_logfinish = pytest_keyboard_interrupt = stop\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        session("-p", "stopping", *LEAST, "-k", "warmup or throughput", "--benchmark-save=part")
    (file,) = tmp_path.glob("storage/*.json")
    ours = json.loads(file.read_text())["llm_int8"]
    assert (ours["passed"], ours["exit_status"]) == (False, 2)
