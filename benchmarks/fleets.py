"""Fixtures of benchmarks whose model is in other processes: replicas, and ranks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.text import short
from benchmarks.pytest_session.progress import Progress
from benchmarks.pytest_session.state import SessionState
from benchmarks.report.lines import headline

if TYPE_CHECKING:
    from benchmarks.model.target import Target
    from benchmarks.replicas.launch import Fleet


@pytest.fixture
def new_fleet(
    benchmark: Any,
    quantization: str,
    batch_size: int,
    prompt_tokens: int | str,  # noqa: ARG001 (a parameter of every id; the processes know it)
    new_tokens: int,
    generation: str,
    target: Target,
    progress: Progress,
    request: pytest.FixtureRequest,
) -> Callable[[int, str], Fleet]:
    """Return what makes the processes of a benchmark: how many, and of which kind.

    No model is loaded in this process meanwhile.
    """
    from benchmarks.replicas import arguments, launch, place

    benchmark.has_error = True  # until it is recorded: see `measure`
    given = {
        "--model": target.settings.model,
        "--quantization": quantization,
        "--generation": generation,
        "--batch-size": batch_size,
        "--new-tokens": new_tokens,
        "--device": target.device.type,
    }
    name = short(request.node.name)

    def show(replica: int, says: str) -> None:
        if replica == 0 and not says.startswith(place.READY):  # the others do the same
            progress.show(f"{name}: {says}")

    return lambda count, kind: launch.Fleet(
        count,
        arguments.written(request.config.getoption, given),
        launch.variables(os.environ, target.settings.threads),
        show,
        kind,
    )


@pytest.fixture
def fleet(new_fleet: Callable[[int, str], Fleet], replicas: int) -> Fleet:
    """Return the replicas of a benchmark."""
    return new_fleet(replicas, "replica")


@pytest.fixture
def ranks(new_fleet: Callable[[int, str], Fleet], target: Target) -> Fleet:
    """Return the processes that hold the model of a benchmark together."""
    from benchmarks.splitting import possible

    return new_fleet(possible.ranks(target.device), "rank")


@pytest.fixture
def store_record(
    benchmark: Any, progress: Progress, state: SessionState, request: pytest.FixtureRequest
) -> Callable[[dict[str, Any]], None]:
    """Return the function that stores what other processes measured of a benchmark."""

    def store(info: dict[str, Any]) -> None:
        name = short(request.node.name)
        if benchmark.stats:
            benchmark.stats.stats.data[:] = [each["round_s"] for each in info["rounds"]]
        benchmark.has_error = False
        benchmark.extra_info.update(info)
        state.summary.add(name, benchmark.extra_info, None)
        progress.say(f"{name}: {headline(info)}")

    return store


@pytest.fixture
def record_replicas(
    store_record: Callable[[dict[str, Any]], None],
    state: SessionState,
    replicas: int,
    request: pytest.FixtureRequest,
) -> Callable[[dict[str, Any]], None]:
    """Return the function that stores what replicas measured, with their scaling efficiency."""
    from benchmarks.replicas.account import add_scaling

    def store(info: dict[str, Any]) -> None:
        name = short(request.node.name)
        one = name.removesuffix(f"-r{replicas}]")
        if replicas == 1:
            state.alone[one] = info["metrics"]["tokens_per_s"]
        add_scaling(info, state.alone.get(one), asked=1 in state.settings.replicas)
        store_record(info)

    return store
