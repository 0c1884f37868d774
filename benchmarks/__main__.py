"""`python -m benchmarks COMMAND`: work with saved sessions, and compare them."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.common import output
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# By name, what each does; its module is benchmarks.commands.NAME.
COMMANDS: dict[str, str] = {
    "baselines": "List the saved sessions, record baselines, or share them through a git branch.",
    "ci": "Measure, judge by the baselines, and let a duet decide what looks slower: for CI.",
    "duet": "Compare two environments on this machine: both run, and their rounds alternate.",
    "bisect": "Find the release of a package in which text generation got slower.",
    "judge": "Judge saved sessions by others: what got worse, and what can't be decided.",
    "history": "Find where metrics changed over saved sessions, and what changed with them.",
    "promote": "Make saved sessions baselines, by which --gate and ci judge later ones.",
    "report": "Write saved sessions as one HTML page, and in the formats of other tools.",
}
EXAMPLES = """\
examples:
  python -m pytest benchmarks --benchmark-save=main
  python -m benchmarks promote --latest
  python -m benchmarks duet --base bitsandbytes==0.49.2

exit status: that of the command, which its help lists; 4 if none is named
  python -m benchmarks COMMAND --help"""


class Parser(argparse.ArgumentParser):
    """Exits with pytest's status of a wrong option, 4; argparse's own 2 would mean an interrupt."""

    given: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        """Keep the lines of examples and statuses as they are written."""
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit. A missing option may be a mistyped one."""
        if "required: " in message and (unknown := self.unknown()):
            message = unknown
        self.exit(ExitStatus.WRONG_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")

    def unknown(self) -> str | None:
        """Return which given option is unknown, and the known one that is spelt nearly the same."""
        options = ["--help", *re.findall(r"--[\w-]+", self.format_usage())]
        for each in takewhile("--".__ne__, self.given):
            name = each.partition("=")[0]
            known = any(option.startswith(name) for option in options)
            if name.startswith("--") and " " not in name and not known:  # with one it is a value
                return f"unknown option {name}{_nearest(name, options)}"
        return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name, and return its exit status, whoever reads on."""
    given = sys.argv[1:] if arguments is None else arguments
    # Not for people, so not in the help: a duet starts each side by it, in the version of this
    # suite that the side holds. It stays what it is, wherever the module goes.
    if given[:1] == ["worker"]:
        import_module("benchmarks.duet.worker").main(given[1:])
    try:
        with output.lasting():
            return _run(given)
    except OSError as error:  # a full disk; Python's own status, 120, would mean nothing
        sys.stderr.write(f"python -m benchmarks: can't write the output ({error.strerror})\n")
        return ExitStatus.ERROR


def _run(given: list[str]) -> int:
    """Run the command. Import only its own module, so that help is quick."""
    parser = Parser(
        prog="python -m benchmarks",
        description="Work with saved sessions, and compare them; `pytest benchmarks` measures.",
        epilog=EXAMPLES,
    )
    says = " ".join([parser.prog, *given[:1]])
    try:
        given = _joined(given)
        known = _add_commands(parser)
        if not given:
            parser.print_help()
            return ExitStatus.WRONG_INPUT
        if given[0] not in known:
            _refuse(parser, given)
        module = import_module(f"benchmarks.commands.{given[0]}")
        module.add_arguments(command := known[given[0]])
        command.given = given[1:]
        parsed, more = parser.parse_known_args(given)
        if more:
            command.error(command.unknown() or f"unknown arguments {' '.join(more)}")
        return int(module.run(parsed))
    except InputError as error:
        parser.exit(ExitStatus.WRONG_INPUT, f"{says}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(ExitStatus.INTERRUPTED, f"{says}: interrupted\n")
    except Exception:  # Python's own status, 1, would mean REGRESSED
        traceback.print_exc()
        message = f"{says}: an error of the suite, or one that it doesn't know; see above\n"
        parser.exit(ExitStatus.ERROR, message)


def _joined(given: list[str]) -> list[str]:
    """Return the arguments with the value of ci's --options, which argparse takes for an option."""
    if "--options" not in given[:-1]:
        return given
    at = given.index("--options")
    return [*given[:at], f"--options={given[at + 1]}", *given[at + 2 :]]


def _add_commands(parser: Parser) -> dict[str, Parser]:
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    return {
        name: commands.add_parser(name, help=does, description=does)
        for name, does in COMMANDS.items()
    }


def _refuse(parser: Parser, given: Sequence[str]) -> NoReturn:
    """Print the help if that is asked for; else name the command that isn't one."""
    if given[0].startswith("-"):
        parser.given = given
        parser.parse_known_args(given[:1])
        parser.error(f"expected a COMMAND first, got {given[0]}")
    nearest = _nearest(given[0], COMMANDS) or f"; expected one of {', '.join(COMMANDS)}"
    parser.error(f"unknown command {given[0]}{nearest}")


def _nearest(wrong: str, known: Iterable[str]) -> str:
    """Return the question whether that was meant, or nothing if nothing is spelt nearly so."""
    return "".join(f"; did you mean {each}?" for each in get_close_matches(wrong, known, n=1))


if __name__ == "__main__":
    sys.exit(main())
