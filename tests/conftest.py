"""What the tests share: one thread, hypothesis without a clock, and one tiny checkpoint."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two threads wait for each other

import hypothesis
import pytest

from benchmarks.harness import checkpoint
from benchmarks.harness.settings import OPTIONS, build_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.harness.engine import Engine
    from benchmarks.harness.loading import Target
    from benchmarks.harness.workload import Workload

# No deadline: a busy machine is no failure. The same examples each time, so that a failure on a
# runner is one here too.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Let warnings fail the tests, but for third parties' own; later lines win."""
    strict = config.getini("filterwarnings")
    strict[:] = ["error", "default::pytest_benchmark.logger.PytestBenchmarkWarning", *strict]


FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that shows a measured figure at the end of the test report."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the figures that tests measured."""
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder of this test session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_checkpoint(cache_dir: Path) -> checkpoint.Checkpoint:
    """Return synthetic:tiny, written once per test session."""
    return checkpoint.resolve("synthetic:tiny", None, cache_dir, print)


@pytest.fixture(scope="session")
def target(cache_dir: Path, tiny_checkpoint: checkpoint.Checkpoint) -> Target:
    """Return the tiny model as what is measured, with the suite's default options."""
    from benchmarks.harness.loading import find_target

    defaults = {option.dest: option.default for option in OPTIONS} | {"device": "cpu"}
    settings = build_settings(defaults.get, {"OMP_NUM_THREADS": "1"})
    assert tiny_checkpoint.path.is_relative_to(cache_dir)
    return find_target(dataclasses.replace(settings, cache_dir=cache_dir), print)


@pytest.fixture(scope="session")
def engine(target: Target) -> Iterator[Engine]:
    """Load the tiny model once, with mixed decomposition; a test that changes it repairs it."""
    from benchmarks.harness.loading import load

    with load(target, "int8-decomp", cold=True) as engine:
        yield engine


@pytest.fixture(scope="session")
def workload(engine: Engine, target: Target) -> Workload:
    """Return eight rows of different prompts, ready to be generated from."""
    workload = target.workload(8, 4)
    engine.prepare(workload)
    return workload
