"""Output that ends before the work does: before `head`, or on a disk that is full."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import output
from tests import forking
from tests.builders import save
from tests.running import LEAST, ROOT, command
from tests.waiting import PATIENCE_S

FULL = Path("/dev/full")


@pytest.fixture
def unread():
    """Return a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def run(*arguments, environment=None, **streams):
    """Run a module to its end, and return its status, and what it says of errors."""
    with forking.instead_of_new_processes():
        done = subprocess.run(
            [sys.executable, "-u", "-m", *map(str, arguments)],
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            **{"stderr": subprocess.PIPE, **streams},
        )
    return done.returncode, done.stderr


@pytest.fixture
def commands(tmp_path):
    """Return calls of commands, and the statuses of their answers."""
    path = save(tmp_path / "0001_x.json")
    slow = save(tmp_path / "0002_x.json", day=2, slower=2)
    return {
        ("judge", "--base", path, "--head", slow): 1,
        ("judge", "--base", path, "--head", path): 4,
        ("baselines", "list", "--storage", tmp_path): 0,
        ("--help",): 0,
    }


def test_a_command_whose_reader_left_ends_silently_with_its_answer(commands, unread):
    """As `judge ... | head -1`, and as `judge ... 2>&1 | head -1`."""
    for arguments, status in commands.items():
        code, said = run("benchmarks", *arguments, stdout=unread)
        assert code == status
        assert "Traceback" not in said
        assert said.count("\n") == (status == 4)  # what is wrong has another reader
        assert run("benchmarks", *arguments, stdout=unread, stderr=unread)[0] == status


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_that_knows_no_such_sign_shows_another(encoding):
    """A name without its middle has an ellipsis, a time a µ: neither is worth an error."""
    written = io.BytesIO()
    stream = output.Lasting(io.TextIOWrapper(written, encoding=encoding))
    stream.write("a…b takes 5 µs")
    stream.flush()
    assert written.getvalue() == "a…b takes 5 µs".encode(encoding, errors="replace")


@pytest.mark.skipif(not FULL.exists(), reason="needs a disk that is full")
def test_an_answer_that_is_lost_is_no_success(commands):
    """One line says so; Python's own status would be none of the suite's."""
    for arguments in [each for each in commands if commands[each] != 4]:
        with FULL.open("w") as full:
            code, said = run("benchmarks", *arguments, stdout=full)
        assert code == 3
        assert said == "python -m benchmarks: can't write the output (No space left on device)\n"


def test_a_session_whose_reader_left_is_measured_and_saved(environment, machine, unread, tmp_path):
    """What took an hour isn't lost with the terminal, and status 1 would mean REGRESSED."""
    assert not machine.others
    arguments = command(tmp_path, *LEAST, "--benchmark-save=unread")
    code, _ = run("pytest", *arguments, environment=environment, stdout=unread, stderr=unread)
    assert code == 0
    content = json.loads((tmp_path / "storage/0001_unread.json").read_text())
    assert content["llm_int8"]["passed"] is True
    assert len(content["benchmarks"]) == 1
