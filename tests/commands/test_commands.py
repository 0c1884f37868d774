"""What all commands share: the help, and how wrong words are answered."""

import re

import pytest

from benchmarks.__main__ import COMMANDS, main


def answer(arguments, capsys):
    """Return the status of a call, and what it printed."""
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr()


def test_without_a_command_the_help_is_printed(capsys):
    """It names all of them. Status 0 would let a script pass that lost its command."""
    status, said = answer([], capsys)
    assert status == 4
    assert not said.err
    assert re.findall(r"^ {4}(\w+)", said.out, re.MULTILINE) == list(COMMANDS)
    assert answer(["--help"], capsys) == (0, said)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["juge"], ": unknown command juge; did you mean judge?; see python -m benchmarks --help"),
        (["xyzzy"], ": unknown command xyzzy; expected one of baselines, ci, duet"),
        (["--sotrage=x"], ": unknown option --sotrage; see python -m benchmarks --help"),
        (
            ["baselines", "list", "--sotrage=x"],
            " baselines: unknown option --sotrage; did you mean --storage?; "
            "see python -m benchmarks baselines --help",
        ),
        (["judge", "--bse", "x"], " judge: unknown option --bse; did you mean --base?"),
        (["duet", "--quantisation", "int8"], "; did you mean --quantization?"),
        (["promote", "x", "--xyzzy"], " promote: unknown option --xyzzy; see python -m bench"),
        (["baselines", "list", "x"], " baselines: unknown arguments x; see python -m benchmarks b"),
    ],
)
def test_an_unknown_word_is_named_with_the_nearest_one(capsys, arguments, says):
    """In one line, which names the help of the command that was called."""
    status, said = answer(arguments, capsys)
    assert status == 4
    (line,) = said.err.splitlines()
    assert says in line


@pytest.mark.parametrize("command", [["baselines", "list"], ["baselines", "record"], ["promote"]])
@pytest.mark.parametrize(("place", "says"), [("s3://b/x", "sessions are files here"), ("", "")])
def test_a_storage_is_what_a_session_takes_for_one(
    capsys, monkeypatch, tmp_path, command, place, says
):
    """An address of another machine is no folder, and none of that name is made."""
    monkeypatch.chdir(tmp_path)
    status, said = answer([*command, f"--storage={place}"], capsys)
    assert status == 4
    (line,) = said.err.splitlines()
    assert "argument --storage: expected a" in line
    assert says in line
    assert not list(tmp_path.iterdir())


def test_a_storage_may_be_an_address_of_a_folder(capsys, tmp_path):
    """As pytest's --benchmark-storage has it."""
    status, said = answer(["baselines", "list", f"--storage=file:{tmp_path}"], capsys)
    assert (status, said.out) == (0, f"no session is stored below {tmp_path}\n")


def test_the_beginning_of_an_option_is_enough_as_ever(capsys, tmp_path):
    """And what looks like an option may be the value of another."""
    assert answer(["baselines", "list", "--stor", str(tmp_path)], capsys)[0] == 0
    _, said = answer(["promote", "--force=--because", "x.json"], capsys)
    assert "x.json: can't read it" in said.err
