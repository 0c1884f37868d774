"""The beginning of a session: check what can be checked, find what is measured, and say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError, LibraryError
from benchmarks.common.text import short, wrapped
from benchmarks.config.options import TENSOR
from benchmarks.machine import device, software
from benchmarks.model.target import find_target
from benchmarks.pytest_session import failures, gating, plugins, selection, written
from benchmarks.pytest_session.progress import Progress
from benchmarks.pytest_session.state import state_of
from benchmarks.report import columns
from benchmarks.splitting import possible

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    import torch


def _check_replicas(numbers: Sequence[int], benchmarks: Sequence[Any]) -> None:
    """Raise InputError if replicas are asked for, and their benchmark isn't selected."""
    if numbers and not any("fleet" in each.fixturenames for each in benchmarks):
        raise InputError(
            "--replicas: expected their benchmark among those selected, got none of it; name "
            "benchmarks/test_replicas.py, or leave the option out"
        )


def _check_ranks(device_map: str, benchmarks: Sequence[Any]) -> None:
    """Raise InputError if a benchmark is selected that is measured with another device map."""
    together = device_map == TENSOR
    for each in benchmarks:
        if ("ranks" in each.fixturenames) != together:
            raise InputError(
                f"--device-map {device_map}: expected benchmarks that are measured with it, got "
                f"{short(each.name)}; name {'no other file than ' if together else 'another than '}"
                "benchmarks/test_tensor_parallel.py, or no file"
            )


def _ranks(device_map: str, first: torch.device) -> list[str]:
    """Return the line that says how many processes hold a model together; none without them."""
    if device_map != TENSOR:
        return []
    return [f"ranks: {possible.ranks(first)}, each with its part of every layer"]


def _replicas(numbers: Sequence[int], first: torch.device) -> list[str]:
    """Return the line that says how many replicas there will be, and where; none without them."""
    if not numbers:
        return []
    where = device.describe(first, "auto" if max(numbers) > 1 else "single")
    return [f"replicas: {', '.join(map(str, numbers))} on {where}"]


def begin(config: pytest.Config, benchmarks: Sequence[Any]) -> list[str]:
    """Find what these benchmarks measure, and return the lines that say so.

    Raises InputError for what can't be used, the cheap checks first.
    """
    state = state_of(config)
    state.progress = progress = Progress(config)
    progress.take_over()
    plugins.check(config, benchmarks)
    _check_replicas(state.settings.replicas, benchmarks)
    _check_ranks(state.settings.device_map, benchmarks)
    columns.chosen(state.settings.columns)
    written.check(config)
    for name in dict.fromkeys(selection.model_of(each, state.settings) for each in benchmarks):
        settings = replace(state.settings, models=(name,))
        try:
            state.targets[name] = target = find_target(settings, progress.say)
        except LibraryError as error:
            raise failures.in_full(error, state, "model") from error
    if config.get_verbosity() < 0:
        return []
    models = "model" if len(state.targets) == 1 else "models"
    versions = ", ".join(f"{name} {version}" for name, version in software.versions().items())
    where = device.describe(target.device, target.settings.device_map)
    says = (
        f"{models}: {state.titles} on {where}",
        f"quantizations: {', '.join(target.settings.quantizations)}",
        *_ranks(target.settings.device_map, target.device),
        *_replicas(state.settings.replicas, target.device),
        f"versions: {versions}",
        *(gating.heralded(state.gate, device.machine_info(target.device)) if state.gate else ()),
    )
    return [line for each in says for line in wrapped(each)]
