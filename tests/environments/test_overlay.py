"""A SPEC becomes an environment that is whole, checked and cached, or an error of one line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.common.errors import InputError
from benchmarks.common.process import module_command
from benchmarks.environments import installed
from benchmarks.environments.overlay import Overlays, split_requirements
from tests.local_packages import BROKEN, pip_in_forks, pip_variables, write_checkout, write_wheel
from tests.running import heard
from tests.waiting import PATIENCE_S, gone, line_of

ROOT = Path(__file__).parents[2]
REQUIREMENT = "onemodule==1.0"


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """Return the environment in which pip finds only what these tests build."""
    index = tmp_path_factory.mktemp("index")
    write_wheel(index, "onemodule", "1.0", "")
    write_wheel(index, "large", "1.0", "", padding=8_000_000)
    write_wheel(index, "broken", "1.0", BROKEN)
    write_wheel(index, "speaks", "1.0", "print('the overlay')\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return kept | pip_variables(index)


def made(cache_dir):
    """Return what is in the folder of overlays, but for locks."""
    found = (cache_dir / "overlays").glob("*")
    return sorted(each.name for each in found if each.suffix != ".lock")


@contextmanager
def open_(spec, cache_dir, variables):
    """Open a SPEC silently. What runs inside starts as ever."""
    with ExitStack() as stack:
        with pip_in_forks():
            overlays = Overlays(cache_dir, variables, lambda _: None)
            environment = stack.enter_context(overlays.opened(spec))
        yield environment


def test_a_requirement_is_installed_once(tmp_path, variables):
    """The second time it is taken from the cache; pip is not even asked."""
    with open_(REQUIREMENT, tmp_path, variables) as environment:
        assert environment.packages == ["onemodule"]
        assert environment.overlay == tmp_path / "overlays" / environment.overlay.name
    nowhere = variables | {"PIP_FIND_LINKS": os.devnull}
    with open_(REQUIREMENT, tmp_path, nowhere) as again:
        assert again == environment
    assert made(tmp_path) == [environment.overlay.name]


def test_the_overlay_comes_first_whatever_the_current_folder_holds(tmp_path, variables):
    """A checkout of the same name in the current folder isn't what a worker imports."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "speaks.py").write_text("print('the current folder')\n")
    with open_("speaks==1.0", tmp_path, variables) as environment:
        done = subprocess.run(
            module_command(environment.python, "speaks"),
            env=environment.variables(variables),
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "the overlay\n"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("onemodule==7", "pip can't install it: No matching distribution found"),
        ("broken==1.0", "installed, but can't be imported: ImportError: made to fail"),
        ("./nowhere", "expected `current`, requirements"),
        ("--target=/", "expected `current`, requirements"),
        ("a/b", "expected `current`, requirements"),
        ("", "expected `current`, requirements"),
    ],
)
def test_what_cant_be_had_is_one_line_and_leaves_nothing(tmp_path, variables, spec, says):
    """An unknown version, a package that doesn't run, a path to nothing."""
    with pytest.raises(InputError) as raised, open_(spec, tmp_path, variables):
        pass
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert made(tmp_path) == []


@pytest.mark.parametrize("small_disk", ["size=4m"], indirect=True)
def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk, variables):
    """The message says which disk, how much is free and what to do."""
    with pytest.raises(InputError) as raised, open_("large==1.0", small_disk, variables):
        pass
    assert str(raised.value).startswith("large==1.0: can't install it: the disk of ")
    assert str(raised.value).endswith("set XDG_CACHE_HOME to a larger disk")
    assert made(small_disk) == []


def test_several_requirements_and_their_commas():
    """Commas part requirements, but not the parts of one."""
    assert split_requirements("transformers==5.20,bitsandbytes>=0.49,<0.50") == [
        "bitsandbytes>=0.49,<0.50",
        "transformers==5.20",
    ]


def test_a_checkout_is_installed_anew_and_removed(tmp_path, variables):
    """What it holds now counts, each time; nothing of it stays."""
    checkout = write_checkout(tmp_path / "checkout", "worked_on", "STATE = 1\n")
    for state in (1, 2):
        (checkout / "worked_on.py").write_text(f"STATE = {state}\n")
        with open_(str(checkout), tmp_path, variables) as environment:
            assert environment.packages == ["worked-on"] or environment.packages == ["worked_on"]
            assert f"STATE = {state}" in (environment.overlay / "worked_on.py").read_text()
    assert made(tmp_path) == []


def test_an_interpreter_and_a_virtual_environment_are_used_as_they_are(tmp_path, variables):
    """A path to Python, or to a virtual environment, is a side without an overlay."""
    for spec in (sys.executable, sys.prefix):
        with open_(spec, tmp_path, variables) as environment:
            assert environment.python.samefile(sys.executable)
            assert environment.overlay is None


@pytest.mark.parametrize(
    ("does", "got"),
    [
        ("echo Python 3.10; exit 1", "Python 3.10"),
        ("echo what is -c >&2; exit 2", "what is -c"),
    ],
    ids=["an old Python", "no Python"],
)
def test_an_interpreter_that_cant_run_the_suite_is_refused_at_once(tmp_path, variables, does, got):
    """In one line, before a worker is started that could only be lost."""
    old = tmp_path / "python3.10"
    old.write_text(f"#!/bin/sh\n{does}\n")
    old.chmod(0o755)
    expected = f"{old}: expected Python 3.11 or newer; got {got}; name another interpreter"
    with (
        pytest.raises(InputError, match=f"^{re.escape(expected)}$"),
        open_(str(old), tmp_path, variables),
    ):
        pass


def test_a_version_of_this_suite_without_the_workers_door_is_refused_at_once(tmp_path, variables):
    """In one line, before a worker is started that could only be lost; this version has it."""
    older, this = tmp_path / "older", tmp_path / "this"
    overlays = Overlays(tmp_path, variables, print)
    (older / "benchmarks").mkdir(parents=True)
    (older / "benchmarks" / "__init__.py").touch()
    (older / "benchmarks" / "__main__.py").write_text("raise SystemExit(4)\n")
    expected = (
        "older: a version of this suite without `python -m benchmarks worker`, which a duet starts "
        "for each side; name a newer one"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        overlays.check("older", older)
    shutil.copytree(ROOT / "benchmarks", this / "benchmarks")
    overlays.check("this", this)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_while_it_is_built_leaves_nothing(tmp_path, variables, number):
    """Ctrl-C, or a terminal that is gone, ends pip and its children; no half-made overlay stays.

    Command and pip start as a user's do.
    """
    os.mkfifo(fifo := tmp_path / "fifo")
    note = f"pathlib.Path({str(fifo)!r}).write_text(str(os.getpid()))"
    before = f"import os, time; {note}; time.sleep(600)"
    checkout = write_checkout(tmp_path / "checkout", "slow_build", "", before)
    with heard(number):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", "duet", "--base", str(checkout), "--device=cpu"],
            env=variables | {"XDG_CACHE_HOME": str(tmp_path)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    with process:
        builds = int(line_of(fifo))
        process.send_signal(number)
        if number == signal.SIGHUP:  # a shell sends its own as well
            process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, out
    assert "interrupted" in out
    assert "Traceback" not in out
    assert made(tmp_path / "llm-int8-benchmarks") == []
    assert gone(builds)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_program_ends_with_the_process_that_runs_it(tmp_path):
    """However that ends: SIGKILL can't be handled."""
    os.mkfifo(fifo := tmp_path / "fifo")
    inner = f"import os, time; open({str(fifo)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    script = (
        "import os, sys; from benchmarks.common import process; "
        f"process.run([sys.executable, '-c', {inner!r}], os.environ, 600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as process:
        program = int(line_of(fifo))
        process.kill()
    assert gone(program)


def test_what_killed_processes_left_is_swept(tmp_path, variables):
    """Half-made and temporary overlays of processes that are gone; those of others stay."""
    ended = subprocess.Popen(["true"])  # noqa: S607 (the user's)
    ended.wait()
    overlays = tmp_path / "overlays"
    for name in (
        f"a-1.{ended.pid}.partial",
        f"temporary-{ended.pid}-ab",
        f"b-1.{os.getpid()}.partial",
    ):
        (overlays / name / "site").mkdir(parents=True)
    with open_(REQUIREMENT, tmp_path, variables):
        pass
    assert f"b-1.{os.getpid()}.partial" in made(tmp_path)
    assert len(made(tmp_path)) == 2


def test_equal_code_is_told_from_different_code(tmp_path, variables):
    """Wherever it lies: the same files are the same, other files or versions are not."""
    reports = []
    for name, module in (("a", ""), ("b", ""), ("c", "CHANGED = True\n")):
        (tmp_path / name).mkdir()
        wheel = write_wheel(tmp_path / name, "onemodule", "1.0", module)
        with open_(f"onemodule @ {wheel.as_uri()}", tmp_path / name, variables) as environment:
            sys.path.insert(0, str(environment.overlay))
            try:
                reports.append(installed.report(["onemodule"]))
            finally:
                sys.path.remove(str(environment.overlay))
    first, second, third = reports
    assert first["onemodule"]["place"] != second["onemodule"]["place"]
    assert installed.identical(first, second)
    assert not installed.identical(first, third)
    assert not installed.identical(
        first, {**first, "onemodule": {**first["onemodule"], "version": "2"}}
    )
