"""docs/options.md: each option with its default, each quantization, each exit status."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import COMMANDS, Parser
from benchmarks.common.exit_status import ExitStatus
from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from tests.docs.pages import FOR_USERS, ROOT, code, named, read, rows, section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.running import Outcome

TEXT = read(ROOT / "docs" / "options.md")
SHARED = "duet and bisect"  # what both take
ELSEWHERE = {
    "--steps",  # of make gpu-check
    "--repeats",  # of tests.tools.splits
    "--ephemeral",  # of GitHub's runner
    "--reruns",  # of a plugin that is refused
    "--junitxml",  # pytest's own help spells it --junit-xml
}
OTHER_TOOLS = re.compile(r"^\$ (?:git|pip|jq|pytest-benchmark|pipx|hf|otava) .*$", re.MULTILINE)


def options(command: str) -> dict[str, argparse.Action]:
    """Return the options of a command as its parser has them, those of its own commands too."""
    parser = Parser()
    import_module(f"benchmarks.commands.{command}").add_arguments(parser)
    return {action.option_strings[-1]: action for action in _actions(parser) if _is_ours(action)}


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)


def _is_ours(action: argparse.Action) -> bool:
    return bool(action.option_strings) and "--help" not in action.option_strings


def documented(heading: str) -> dict[str, tuple[str, str]]:
    """Return the options of a section's table: how each is written, and its default."""
    found = {}
    for first, default, *_ in rows(section(TEXT, heading)):
        if name := re.match(r"`(--[\w-]+)", first):
            found[name[1]] = first.strip("`"), default.strip("`")
    return found


def says(default: object, cell: str) -> bool:
    """Whether a cell holds a default. Flags are off, and what has none says what happens then."""
    if default in (None, False):
        return bool(cell)
    values = default if isinstance(default, list) else [default]
    return all(str(each) in cell for each in values)


def test_each_option_of_a_session_has_its_default() -> None:
    """In a row of its own, as --help names it; no row is of an option that is gone."""
    found = documented("## pytest benchmarks")
    assert set(found) == {option.name for option in OPTIONS}
    for option in OPTIONS:
        written, default = found[option.name]
        assert says(option.default, default), written
        assert (option.metavar or "") in written


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_of_a_command_has_its_default(command: str) -> None:
    """In its section, or in the one of those that measure, which names what a session has too."""
    found, known = documented(f"### {command}"), options(command)
    measures = "--max-restarts" in known
    shared = documented(f"### {SHARED}") if measures else {}
    handed_on = section(TEXT, f"### {SHARED}").rpartition("And from")[2] if measures else ""
    assert set(found) <= set(known)
    for name, action in known.items():
        if name in found or name in shared:
            written, default = found.get(name) or shared[name]
            drawn = name == "--seed"  # a number of its own each time
            expected = "needed" if action.required else None if drawn else action.default
            assert says(expected, default), written
        else:
            assert f"`{name}`" in handed_on, name
            assert action.default == documented("## pytest benchmarks")[name][1] or not (
                action.default
            )


def test_the_shared_options_are_those_of_both() -> None:
    """No row there is of an option that is gone."""
    both = set(options("duet")) & set(options("bisect"))
    assert set(documented(f"### {SHARED}")) <= both


def test_quantizations_and_exit_statuses_are_those_of_the_code() -> None:
    """Each in a row of its own."""
    quantizations = [cells[0] for cells in rows(section(TEXT, "## Quantizations"))[2:]]
    assert re.findall(r"`(.*?)`", " ".join(quantizations)) == list(QUANTIZATIONS)
    statuses = [cells[0] for cells in rows(section(TEXT, "## Exit statuses"))]
    assert [each for each in statuses if each.isdigit()] == [str(int(each)) for each in ExitStatus]


def test_no_option_is_named_that_is_none(session: Callable[..., Outcome]) -> None:
    """In prose, tables and commands; what another tool is given is that tool's."""
    of_sessions = set(re.findall(r"--[a-z][\w-]+", session("--help").out))
    of_commands = {name for command in COMMANDS for name in options(command)}
    unknown = {}
    for page in FOR_USERS:
        text = OTHER_TOOLS.sub("", read(page))
        for block in code(page, "sh"):
            text = text.replace(block, "")
        given = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text))
        unknown[named(page)] = given - of_sessions - of_commands - ELSEWHERE
    assert not any(unknown.values()), unknown
