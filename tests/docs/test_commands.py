"""The commands of README and docs: each is understood by the program that it calls.

A session or a duet takes minutes, so here they are parsed by the real parsers and not run, but for
those that take a second. CI runs `make bench`, `make test` and `make lint`; `make examples` runs
those of the examples.
"""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks import __main__ as door
from tests.docs.pages import FOR_USERS, ROOT, code, read
from tests.pytest_session.gated import GATED
from tests.running import command as session_arguments
from tests.workflow import run, tool

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import Outcome

IN_A_ROW = re.compile(r"\| .*`((?:pytest benchmarks|python -m benchmarks [a-z]+) ?[^`]*)`")
OTHERS = {  # commands of other programs, and where they are run
    "for core in": "docs/examples.py",
    "git -C": "tests/commands/test_bisect.py",
    "otava analyze": "tests/export/test_readers.py",
    "jq -r": "tests/docs/test_commands.py",
    "pip install": "docs/examples.py",
    "pytest-benchmark compare": "tests/pytest_session/test_main_job.py",
    "sh bisect.sh": "tests/commands/test_bisect.py",
}
NSIGHT = code(ROOT / "docs" / "nsight.md", "sh")
TARGETS = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))


def _given() -> list[str]:
    """Return each command of the pages once: those of a terminal, and those in a row of a table."""
    found = []
    for page in FOR_USERS:
        lines = "\n".join(code(page, "console")).splitlines()
        found += [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [each for each in IN_A_ROW.findall(read(page)) if "…" not in each]
    return list(dict.fromkeys(found))


COMMANDS = _given()
WORKFLOW = code(ROOT / "README.md", "yaml")[0]


def words(command: str) -> list[str]:
    """Return a command as a shell has it, without variables, a folder and what comes after it."""
    given = shlex.split(command.partition(";")[0], comments=True)
    while "=" in given[0]:
        given = given[1:]
    return [given[0].rpartition("/")[2], *given[1:]]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], argparse.Namespace]:
    """Return a function that lets a command's own parser read arguments; nothing runs."""

    def parse(arguments: list[str]) -> argparse.Namespace:
        read: list[Any] = []
        module = import_module(f"benchmarks.commands.{arguments[0]}")
        monkeypatch.setattr(module, "run", lambda given: read.append(given) or 0)
        assert door.main(arguments) == 0
        return read[0]

    return parse


@pytest.fixture
def understands(
    parsed: Callable[[list[str]], argparse.Namespace],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[[str], None]:
    """Return a function that fails if a command isn't understood by what it calls."""

    def session(options: list[str]) -> None:
        monkeypatch.chdir(tmp_path)
        status = pytest.main([*session_arguments(tmp_path, model=None), "--collect-only", *options])
        assert status != pytest.ExitCode.USAGE_ERROR, capfd.readouterr()

    def check(command: str) -> None:
        program, *rest = words(command)
        if program == "make":
            targets = [word for word in rest if "=" not in word]
            assert set(targets) <= TARGETS
            more = "".join(word.removeprefix("ARGS=") for word in rest if word.startswith("ARGS="))
            if "bench" in targets:
                session(shlex.split(more))
        elif program == "pytest":
            session(rest[1:])
        elif rest[:2] == ["-m", "pytest"]:
            session(rest[3:])
        elif rest[:2] == ["-m", "benchmarks"]:
            options = getattr(parsed(rest[2:]), "options", None)
            if options:
                session(shlex.split(options))
        else:
            where = next(file for name, file in OTHERS.items() if command.startswith(name))
            assert command.split()[0] in (ROOT / where).read_text(encoding="utf-8")

    return check


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str, understands: Callable[[str], None]) -> None:
    """By the real parser of the suite, of pytest or of make; others are run where OTHERS says."""
    understands(command)


def test_an_option_that_is_none_is_found(understands: Callable[[str], None]) -> None:
    """The test above can fail, for each program of this suite."""
    for command in (
        "pytest benchmarks --qantization int8",
        "pytest benchmarks --quantization int9",
        "python -m benchmarks duet --bsae x",
        'make bench ARGS="--batchsize 1"',
        "make benchmark",
    ):
        with pytest.raises((AssertionError, SystemExit)):
            understands(command)


def test_the_readmes_workflow_is_one_that_github_takes(
    understands: Callable[[str], None], tmp_path: Path
) -> None:
    """By its schema; each of its commands is understood; the action is the one that CI uses."""
    file = tmp_path / "int8.yml"
    file.write_text(WORKFLOW)
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)
    assert done.returncode == 0, done.stdout
    (job,) = yaml.safe_load(WORKFLOW)["jobs"].values()
    (checkout,) = [step["uses"] for step in job["steps"] if "uses" in step]
    assert checkout in read(ROOT / ".github" / "workflows" / "benchmarks.yml")
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == "make .venv/.ready"  # which the Makefile makes first for every target
    for command in commands[1:]:
        understands(command)


def test_jq_reads_a_saved_session(session: Callable[..., Outcome], tmp_path: Path) -> None:
    """The line of docs/metrics.md prints the name and the tokens/s of each benchmark."""
    (line,) = [command for command in COMMANDS if command.startswith("jq ")]
    assert session(*GATED[:-1], "--benchmark-save=before").status == 0
    folder = tmp_path / ".benchmarks" / "cpu"
    folder.mkdir(parents=True)
    (tmp_path / "storage" / "0001_before.json").rename(folder / "0001_before.json")
    done = run("bash", "-c", line, cwd=tmp_path)
    if "jq: command not found" in done.stderr:
        pytest.skip("jq is not installed")
    name, per_s = done.stdout.split("\t")
    assert name.startswith("test_throughput[")
    assert float(per_s) > 0


@pytest.mark.parametrize("command", NSIGHT, ids=["systems", "compute"])
def test_nsight_is_given_a_range_that_there_is(
    command: str, understands: Callable[[str], None]
) -> None:
    """The range is one that a session of this command line names; nsys and ncu aren't needed."""
    _, python, session = command.partition("python -m pytest benchmarks")
    understands(f"pytest benchmarks{session}")
    options = shlex.split(session)
    assert python
    assert "--nvtx" in options
    (step,) = re.findall(r"'decode step (\d+)(?:@\*|/)'", command)
    tokens = options[options.index("--new-tokens") + 1] if "--new-tokens" in options else 128
    assert 0 < int(step) < int(tokens)
