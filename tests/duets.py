"""Duets as the tests run them: of the tiny model, in few short rounds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import __main__ as door
from benchmarks.commands import measuring
from benchmarks.duet import duet, schedule
from benchmarks.environments import overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHORT = ["--device=cpu", "--batch-size=1", "--new-tokens=2", "--rounds=2", "--seed=1"]
FAST = [*SHORT, "--quantization=bf16"]  # which is loaded and runs in half the time


def duet_of(
    folder: Path,
    variables: Mapping[str, str],
    *options: str,
    say: Callable[[str], None] = print,
) -> duet.Duet:
    """Return a duet of identical sides, as the command makes it, to be played step by step."""
    parser = door.Parser()
    measuring.add_arguments(parser)
    arguments = parser.parse_args([*FAST, "--times-only", *options])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        conditions = measuring.conditions(arguments)
    current = overlay.Environment("current", Path(sys.executable))
    budget = measuring.budget(arguments, conditions.settings.rounds)
    sides = dict.fromkeys(schedule.SIDES, current)
    return duet.Duet(conditions, sides, budget, folder / "out", say)


def read(out: Path, side: str) -> list[dict[str, Any]]:
    """Return the saved content of one side, restart by restart."""
    return [json.loads(file.read_text()) for file in sorted(out.glob(f"restart-*-{side}.json"))]
