"""The options of a session that a replica takes as well: as its parent writes them, and reads them.

So that whoever starts replicas over several hosts writes the options of a session.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.config.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What a session does beside its rounds, and what a replica is by itself.
NOT_OURS = frozenset(
    {
        "--again-within",
        "--artifacts",
        "--columns",
        "--gate",
        "--memory-snapshot",
        "--nvtx",
        "--replicas",
        "--report",
        "--summary",
        "--work-only",
    }
)
TAKEN = tuple(option for option in OPTIONS if option.name not in NOT_OURS)


def written(value: Callable[[str], Any], given: Mapping[str, Any]) -> list[str]:
    """Return the options of a session as arguments; those that are `given` by name instead."""
    found = []
    for option in TAKEN:
        text = given.get(option.name, value(option.dest))
        if option.flag:
            found += [option.name] * bool(text)
        elif text is not None:
            found.append(f"{option.name}={text}")
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what a replica is asked for: the options of a session, and where results go."""
    parser = argparse.ArgumentParser(
        prog="python -m torch.distributed.run -m benchmarks.replicas.worker",
        description="One replica of several, or one rank, which torch's launcher starts.",
    )
    parser.add_argument(
        "--folder", type=_path, required=True, metavar="DIR", help="for logs and results"
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    for option in TAKEN:
        says = option.help.replace("%", "%%")
        if option.flag:
            parser.add_argument(option.name, action="store_true", help=says)
        else:
            parser.add_argument(
                option.name, default=option.default, metavar=option.metavar, help=says
            )
    asked = parser.parse_args(arguments)
    if asked.device_map == "auto":  # each replica would be on all GPUs
        parser.error("--device-map auto: expected single, a GPU for each replica, or tensor")
    return asked


def text_of(asked: argparse.Namespace) -> Callable[[str], str | None]:
    """Return what gives the text of each option of a session: a replica's, or the default."""
    texts = {option.dest: getattr(asked, option.dest, option.default) for option in OPTIONS}
    return texts.get


def _path(text: str) -> Path:
    try:
        return files.given(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
