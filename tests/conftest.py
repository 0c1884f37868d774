"""What the tests share: one thread, hypothesis without a clock, and one tiny checkpoint."""

from __future__ import annotations

import dataclasses
import functools
import gc
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two threads wait for each other
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # it warns in processes that were forked
# The sessions that tests run are none of xdist's: pytest-benchmark would disable their benchmarks.
os.environ.pop("PYTEST_XDIST_WORKER", None)

# Neither are they steps of the job that runs the tests.
os.environ.pop("GITHUB_ACTIONS", None)
os.environ.pop("GITHUB_STEP_SUMMARY", None)

import shutil
import subprocess

import hypothesis
import pytest

from benchmarks.config.options import OPTIONS
from benchmarks.config.settings import build_settings
from benchmarks.evidence import counters
from benchmarks.model import checkpoint
from benchmarks.sessions import instants
from tests import virtual
from tests.running import SECRET, Outcome, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

# No deadline and no health check of the time: a busy machine is no failure. The same examples each
# time, so that a failure on a runner is one here too.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Let warnings fail the tests, except third parties' own; later lines win."""
    strict = config.getini("filterwarnings")
    strict[:] = ["error", "default::pytest_benchmark.logger.PytestBenchmarkWarning", *strict]
    config.pluginmanager.register(Shown())


# Files whose tests take longest: a worker that began one of them last would work on alone.
LONGEST = (
    "real_checkpoint",
    "gpu_check",
    "workflows",
    "duet",
    "main_job",
    "counters",
    "page_in_browser",
    "gating",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the others stay in their order."""
    names = [f"test_{name}" for name in LONGEST]
    order = {name: place for place, name in enumerate(names)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


MISSED = "NOT CAUGHT"


class Shown:
    """What the end of the report shows of all tests, whichever process they ran in."""

    def __init__(self) -> None:
        self.figures: list[str] = []
        self.lies: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep figures, and for every way to lie whether all tests that stage it saw it caught."""
        for kind, text in report.user_properties:
            if kind == "figure" and report.when == "call":
                self.figures.append(str(text))
            elif kind == "lie" and report.skipped:
                self.lies.setdefault(str(text), "not staged on this machine")
            elif kind == "lie" and (report.when == "call" or report.failed):
                missed = report.failed or self.lies.get(str(text)) == MISSED
                self.lies[str(text)] = MISSED if missed else "caught"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show them."""
        for line in self.figures:
            terminalreporter.write_line(line)
        if self.lies:
            terminalreporter.section("ways to lie, staged for real")
            for lie, outcome in sorted(self.lies.items()):
                terminalreporter.write_line(f"{outcome}: {lie}", red=outcome == MISSED)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which way to lie a test stages."""
    for mark in item.iter_markers("lie"):
        item.user_properties.append(("lie", mark.args[0]))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that shows a measured figure at the end of the test report."""
    return lambda text: request.node.user_properties.append(("figure", text))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder of this test session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_checkpoint(cache_dir: Path) -> checkpoint.Checkpoint:
    """Return synthetic:tiny, written once per test session."""
    return checkpoint.resolve("synthetic:tiny", None, cache_dir, print)


@pytest.fixture(scope="session")
def one_layer(cache_dir: Path) -> checkpoint.Checkpoint:
    """Return a quarter of it, on which sessions of tests run."""
    with virtual.one_layer():
        return checkpoint.resolve(virtual.ONE_LAYER, None, cache_dir, print)


@pytest.fixture(scope="session")
def target(cache_dir: Path, tiny_checkpoint: checkpoint.Checkpoint) -> Target:
    """Return the tiny model as what is measured, with the suite's default options."""
    from benchmarks.model.target import find_target

    defaults = {option.dest: option.default for option in OPTIONS} | {"device": "cpu"}
    settings = build_settings(defaults.get, {"OMP_NUM_THREADS": "1"})
    assert tiny_checkpoint.path.is_relative_to(cache_dir)
    target = find_target(dataclasses.replace(settings, cache=cache_dir), print)
    gc.freeze()  # the libraries stay: to look at all of them takes a collection a tenth of a second
    return target


@pytest.fixture(scope="session")
def engine(target: Target) -> Iterator[Engine]:
    """Load the tiny model once, with mixed decomposition; a test that changes it repairs it."""
    from benchmarks.model.loading import load

    with load(target, "int8-decomp", cold=True) as engine:
        yield engine


@pytest.fixture(scope="session")
def workload(engine: Engine, target: Target) -> Workload:
    """Return eight rows of different prompts, ready to be generated from."""
    workload = target.workload(8, 4)
    engine.prepare(workload)
    return workload


@pytest.fixture(scope="session")
def environment(
    cache_dir: Path, target: Target, one_layer: checkpoint.Checkpoint
) -> dict[str, str]:
    """Let sessions find the checkpoint that the tests wrote, and hold a secret."""
    home = cache_dir.parent / "home"
    home.mkdir(exist_ok=True)
    link = home / "llm-int8-benchmarks"
    if not link.exists():
        link.symlink_to(cache_dir)
    assert target.checkpoint.name == "synthetic:tiny"
    assert one_layer.path.is_relative_to(cache_dir)
    return {"XDG_CACHE_HOME": str(home), "HF_TOKEN": SECRET, "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _no_date_is_ahead() -> Iterator[None]:
    """Let no date of a test's session be in the future, whatever the machine's calendar says.

    Not by `monkeypatch`, which would then begin before `machine`, and end after it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instants, "now", lambda: datetime(9000, 1, 1, tzinfo=UTC))
        yield


@pytest.fixture
def machine() -> Iterator[virtual.Machine]:
    """Let a test run on a machine of its own: quiet, and as fast as the test says."""
    with virtual.installed(virtual.Machine()) as machine:
        yield machine


@pytest.fixture
def session(
    environment: dict[str, str],
    machine: virtual.Machine,  # noqa: ARG001 (it is installed)
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Outcome]:
    """Return a function that runs a session in this process, which has loaded torch already.

    It counts over two decode steps; over all of them sessions do that have a process of their own.
    """
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    count = functools.partial(counters.count, steps=range(2, 4))
    monkeypatch.setattr(counters, "count", count)

    def run(*options: str, folder: Path = tmp_path, **where: Any) -> Outcome:
        capfd.readouterr()
        status = pytest.main(command(folder, *options, **where))
        out, err = capfd.readouterr()
        return Outcome(int(status), out, err, folder)

    return run


@pytest.fixture
def small_disk(request, tmp_path):
    """Mount a real file system of 8 MiB, or of other options; that takes root on Linux."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not (mount and umount) or os.geteuid() != 0:
        pytest.skip("mounting a file system takes root and mount(8)")
    options = getattr(request, "param", "size=8m")
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this system doesn't let root mount a file system")
    yield tmp_path
    subprocess.run([umount, str(tmp_path)], check=True)
