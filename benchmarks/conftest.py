"""Fixtures of the benchmarks: the loaded model, its prompts, and the store for its numbers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.text import short
from benchmarks.config.generation import DEFAULT
from benchmarks.config.settings import Settings
from benchmarks.fleets import fleet, new_fleet, ranks, record_replicas, store_record
from benchmarks.machine import clock
from benchmarks.machine.ranges import Ranges, inside
from benchmarks.pytest_session.progress import Progress
from benchmarks.pytest_session.state import SessionState, state_of
from benchmarks.report.lines import headline

if TYPE_CHECKING:
    import torch

    from benchmarks.common.quantity import Metric, Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.evidence.profiling import Profile
    from benchmarks.machine.nvml import Gpu
    from benchmarks.machine.watch import Watch
    from benchmarks.model.engine import Engine, Generation
    from benchmarks.model.target import Target

__all__ = ["fleet", "new_fleet", "ranks", "record_replicas", "store_record"]  # are fixtures too


@pytest.fixture(scope="session")
def state(request: pytest.FixtureRequest) -> SessionState:
    """Return what this session keeps."""
    return state_of(request.config)


@pytest.fixture(scope="session")
def settings(state: SessionState) -> Settings:
    """Return what the command line asks for."""
    return state.settings


@pytest.fixture(scope="session")
def model(settings: Settings) -> str | None:
    """Return the name of the model, if it is no parameter."""
    return settings.model


@pytest.fixture(scope="session")
def target(state: SessionState, model: str | None) -> Target:
    """Return device, checkpoint and tokenizer of a model."""
    return state.targets[model]


@pytest.fixture(scope="session")
def device(state: SessionState) -> torch.device:
    """Return the device of this session, whichever model is on it."""
    return state.target.device


@pytest.fixture(scope="session")
def progress(state: SessionState) -> Progress:
    """Return what writes progress lines to the terminal."""
    return state.progress


@pytest.fixture(scope="session", autouse=True)
def verdicts_in_junit_xml(
    record_testsuite_property: Callable[[str, object], None], state: SessionState
) -> None:
    """Keep the function that puts a property into the report of --junitxml, for the verdicts."""
    state.add_property = record_testsuite_property


@pytest.fixture(scope="session")
def engine(
    quantization: str,
    target: Target,
    progress: Progress,
    state: SessionState,
    ranges: Ranges | None,
    settings: Settings,
) -> Iterator[Engine]:
    """Load the model, once per quantization, check it, and free it before the next one."""
    from benchmarks.evidence import gathering
    from benchmarks.machine import nvml
    from benchmarks.model import footprint, loading

    name = target.checkpoint.name
    progress.show(f"{quantization}: loading {name}")
    with inside(ranges, "load"):
        loaded = loading.load(target, quantization, cold=not state.history["loaded"])
    with loaded as engine:
        engine.ranges = ranges
        state.history["loaded"].append(quantization)
        gpus = footprint.gpus(engine.model)
        state.evidence = gathering.Evidence(target, engine, lambda: nvml.find_all(gpus))
        what = quantization if len(settings.models) == 1 else f"{quantization} of {name}"
        progress.say(f"{what}: loaded in {engine.load_s:.2g} s")
        yield engine


@pytest.fixture(scope="session")
def generation() -> str:
    """Return the generation mode, if it is no parameter."""
    return DEFAULT


@pytest.fixture
def workload(
    engine: Engine,
    target: Target,
    batch_size: int,
    prompt_tokens: int | str,  # noqa: ARG001 (a parameter of every id; the target knows it)
    new_tokens: int,
    generation: str,
) -> Workload:
    """Return this benchmark's prompts, already on the device."""
    workload = target.workload(batch_size, new_tokens, generation)
    engine.prepare(workload)
    return workload


@pytest.fixture
def show(progress: Progress, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that shows what a benchmark is doing; without a text, its next round.

    As the set-up function of a benchmark's rounds it runs between them, untimed.
    """
    rounds = itertools.count(1)

    def show(what: str | None = None) -> None:
        progress.show(f"{short(request.node.name)}: {what or f'round {next(rounds)}'}")

    return show


@pytest.fixture(scope="session")
def gpu(engine: Engine) -> Gpu | Unmeasured:
    """Return the GPUs that the model is on, as NVML shows them, or why they can't be watched."""
    from benchmarks.machine import nvml
    from benchmarks.model import footprint

    return nvml.find_all(footprint.gpus(engine.model))


@pytest.fixture(scope="session")
def first_control(device: torch.device) -> dict[str, float]:
    """Return what the suite's own work took at the start of the session."""
    from benchmarks.machine import control_work

    return control_work.measure(device)


@pytest.fixture
def new_watch(
    target: Target, gpu: Gpu | Unmeasured, request: pytest.FixtureRequest
) -> Callable[[], Watch]:
    """Return a function that makes the context in which rounds are timed, and watched."""
    import torch

    from benchmarks.machine import control_work
    from benchmarks.machine.watch import Watch

    threads = torch.get_num_threads()
    if _is_cold(request):  # no other work before a cold generation
        return lambda: Watch(target.device.type, threads=threads, control=None, gpu=gpu)
    first = request.getfixturevalue("first_control")
    return lambda: Watch(
        target.device.type,
        threads=threads,
        control=lambda: control_work.measure(target.device),
        start=first,
        gpu=gpu,
    )


@pytest.fixture(scope="session")
def ranges(device: torch.device, settings: Settings) -> Ranges | None:
    """Return what names parts of a run for profilers, with --nvtx."""
    return Ranges(device) if settings.nvtx else None


@pytest.fixture
def benchmark(benchmark: Any, state: SessionState) -> Any:
    """Return pytest-benchmark's fixture, and remember it: its results are saved at the end."""
    state.benchmarks.append(benchmark)
    return benchmark


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """With --nvtx, name a benchmark for profilers, without its set-up and what is checked later."""
    ranges = getattr(item, "funcargs", {}).get("ranges")
    with inside(ranges, short(item.name)):
        return (yield)


@pytest.fixture
def measure(
    benchmark: Any,
    engine: Engine,
    workload: Workload,
    settings: Settings,
    new_watch: Callable[[], Watch],
    show: Callable[..., None],
    request: pytest.FixtureRequest,
) -> Callable[[int], list[Generation]]:
    """Return the function that times so many rounds, and returns their generations."""
    from benchmarks.evidence import work
    from benchmarks.measure.rounds import Measurement

    # Until it is recorded there is nothing to save: pytest-benchmark takes what an interrupt left
    # for a result, or fails to save all others if it left no round at all.
    benchmark.has_error = True
    if settings.work_only:
        return lambda _rounds: work.play(benchmark, engine, workload)
    options = request.config.option
    return Measurement(
        benchmark,
        engine,
        workload,
        new_watch=new_watch,
        bounds=settings.bounds,
        again_within_s=settings.again_within_s if options.benchmark_timer == clock.TIMER else 0,
        cold=_is_cold(request),
        disable_gc=options.benchmark_disable_gc,
        show=show,
    )


@pytest.fixture
def record(
    benchmark: Any,
    engine: Engine,
    target: Target,
    workload: Workload,
    progress: Progress,
    state: SessionState,
    measure: Callable[[int], list[Generation]],
    request: pytest.FixtureRequest,
) -> Callable[..., None]:
    """Return the function that stores a benchmark's generations, and metrics of its own."""
    from benchmarks.measure.extra_info import extra_info, untimed
    from benchmarks.measure.rounds import Measurement

    def store(generations: list[Generation], **metrics: Metric) -> None:
        info = (
            extra_info(
                target,
                engine,
                workload,
                measure.attempts,
                metrics,
                warmup_rounds=measure.warmup_rounds,
            )
            if isinstance(measure, Measurement)
            else untimed(target, engine, workload)
        )
        benchmark.has_error = False
        benchmark.extra_info.update(info, process=copy.deepcopy(state.history))
        state.evidence.add(benchmark, workload, generations[-1].tokens)
        example = None
        if target.checkpoint.weights == "real":  # the text of others is nonsense
            row = generations[-1].tokens[0].tolist()
            example = engine.decode(row[workload.prompt_tokens :])
        name = short(request.node.name)
        state.summary.add(name, benchmark.extra_info, example)
        progress.say(f"{name}: {headline(info)}")

    return store


@pytest.fixture
def store_profiles(
    benchmark: Any, state: SessionState, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Return the function that stores profiles beside a benchmark's record, and writes files."""
    artifacts = state.settings.artifacts

    def store(*profiles: Profile) -> None:
        state.history["profiled"] = True
        benchmark.extra_info["profile"] = {each.phase: each.record() for each in profiles}
        if artifacts:
            state.summary.artifacts = artifacts
            for each in profiles:
                each.write(artifacts / request.node.name)

    return store


def _is_cold(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("runs_first") is not None
