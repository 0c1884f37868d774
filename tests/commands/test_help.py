"""The help of each command: what it is for, examples that run, and what it exits with."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import COMMANDS, Parser, main
from benchmarks.common.exit_status import ExitStatus
from tests import forking
from tests.builders import write
from tests.page import contents
from tests.running import run_module

if TYPE_CHECKING:
    from pathlib import Path

OURS, PYTEST = "python -m benchmarks ", "python -m pytest "


def shown(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help of a command; of all of them for an empty name."""
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def examples(text: str) -> list[str]:
    """Return the commands below "examples", as they are written."""
    part = text.partition("examples:\n")[2].partition("\nexit status")[0]
    return [line.strip() for line in part.splitlines() if line.strip()]


def statuses(text: str) -> list[int]:
    """Return the numbers below "exit status"."""
    part = text.partition("exit status:\n")[2].partition("\noptions")[0]
    return [int(each) for each in re.findall(r"^ {2}(\d+) {1,}\S", part, re.MULTILINE)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_has_a_purpose_examples_and_statuses(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 100 columns; every example is of this command, and every status is one of the suite."""
    monkeypatch.setenv("COLUMNS", "100")
    text = shown(command, capsys)
    assert max(map(len, text.splitlines())) <= 100
    assert COMMANDS[command].endswith(".")
    assert " ".join(COMMANDS[command].split()) in " ".join(text.split())
    assert len(examples(text)) > 1
    assert all(each.startswith(f"{OURS}{command} ") for each in examples(text))
    known = statuses(text)
    assert known == sorted({*known, 0, 2, 3, 4})
    assert set(known) <= set(ExitStatus)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_help_says_what_it_is(command: str) -> None:
    """And names its default, if it has one that a user would ask for."""
    parser = Parser(prog=command)
    import_module(f"benchmarks.commands.{command}").add_arguments(parser)
    for action in parser._actions:
        assert action.help, action.option_strings
        takes_a_value = action.option_strings and action.nargs != 0
        if takes_a_value and not action.required and action.default is not None:
            assert "default: " in action.help, action.option_strings


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_example_can_be_parsed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command that it calls; one of pytest is run below."""
    for example in examples(shown(command, capsys)):
        words = shlex.split(example)
        if example.startswith(PYTEST):
            continue
        parser = Parser(prog=example)
        import_module(f"benchmarks.commands.{words[3]}").add_arguments(parser)
        given = [f"--options={words[n + 1]}" if word == "--options" else word
                 for n, word in enumerate(words) if words[n - 1] != "--options"]  # fmt: skip
        parser.parse_args(given[4:])


@pytest.mark.parametrize("command", ["baselines", "judge", "promote", "report"])
def test_the_examples_that_measure_nothing_run(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a folder that has such files; what measures, or needs a network, is left out."""
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(("old-1", "old-2", "old-3", "new")):
        saved = contents.content(contents.record(n), when=contents.day(n))
        write(tmp_path / f"{name}.json", saved)
        write(tmp_path / ".benchmarks" / "cpu" / f"000{n}_{name}.json", saved)
    for n in range(3):
        for side in ("base", "head"):
            file = tmp_path / "duet" / f"restart-{n}-{side}.json"
            when = contents.day(10 * n + len(file.name) + (side == "head"))
            write(file, contents.content(contents.record(n), when=when))
    for example in examples(shown(command, capsys)):
        words = shlex.split(example)[3:]
        if {"record", "pull"} & set(words):
            continue
        expanded = [str(path) for each in words for path in _glob(tmp_path, each)]
        assert main(expanded) in (0, 1, 10, 11), (example, capsys.readouterr())


def _glob(folder: Path, word: str) -> list[Path | str]:
    return sorted(folder.glob(word)) if "*" in word else [word]


def test_the_help_of_pytest_has_them_as_well() -> None:
    """Above the suite's options: what for, examples, what a session exits with; all in a minute."""
    with forking.instead_of_new_processes():
        done = run_module("pytest", "benchmarks", "--help", environment={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    text = done.stdout.partition("LLM.int8() benchmarks: ")[2]
    text = text.partition("\n[pytest] configuration")[0]
    assert statuses(text) == sorted(map(int, ExitStatus))
    assert "--gate=[HOW]" in text
    for example in examples(text):
        words = shlex.split(example)[2:]
        with forking.instead_of_new_processes():
            ran = run_module(*words, "--collect-only", "-p", "no:cacheprovider", environment={})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "3 tests collected" in ran.stdout
