"""Duets as the tests run them: of the tests' own model, in few short rounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import __main__ as door
from benchmarks.commands import measuring
from benchmarks.duet import duet, restart, schedule
from benchmarks.environments.overlay import CURRENT
from benchmarks.sessions import pytest_format
from tests import virtual

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

SMALL = [f"--model={virtual.ONE_LAYER}", "--device=cpu", "--batch-size=1"]
SHORT = [*SMALL, "--new-tokens=2", "--rounds=2", "--seed=1"]
FAST = [*SHORT, "--quantization=bf16"]  # which is loaded and runs in half the time


def given(*options: str) -> argparse.Namespace:
    """Return these options as a command that measures has them."""
    parser = door.Parser()
    measuring.add_arguments(parser)
    return parser.parse_args(options)


def duet_of(
    folder: Path,
    variables: Mapping[str, str],
    *options: str,
    say: Callable[[str], None] = print,
    **conditions: Any,
) -> duet.Duet:
    """Return a duet of identical sides, as the command makes it, but for some of its conditions."""
    arguments = given(*FAST, *options)
    with pytest.MonkeyPatch.context() as patch, virtual.one_layer():
        for name, value in variables.items():
            patch.setenv(name, value)
        usual = measuring.conditions(arguments)
    budget = measuring.budget(arguments, usual.settings.rounds)
    sides = dict.fromkeys(schedule.SIDES, CURRENT)
    changed = replace(usual, **{"evidence": False, **conditions})
    return duet.Duet(changed, sides, budget, folder / "out", say)


def read(out: Path, side: str) -> list[dict[str, Any]]:
    """Return the saved content of one side, restart by restart."""
    return [json.loads(file.read_text()) for file in sorted(out.glob(f"restart-*-{side}.json"))]


def made(
    rounds_s: Sequence[float] = (0.1, 0.11, 0.1), slower: float = 1.0, **facts: Any
) -> restart.Played:
    """Return a restart as it is played: both sides measured, nothing gathered beside."""
    params = {"quantization": "int8-decomp", "batch_size": 8, "prompt_tokens": 16, "new_tokens": 4}
    side: dict[str, Any] = {"loaded": {}, "machine": {}, "describes": "cpu"}
    found = restart.Played(started={"base": side, "head": side})
    for each, factor in zip(schedule.SIDES, (1.0, slower), strict=True):
        info = {"schema": 1, **facts} if facts else {}
        bench = pytest_format.benchmark(params, [factor * round_s for round_s in rounds_s], info)
        found.benchmarks[schedule.Take(each)].append(bench)
    return found
