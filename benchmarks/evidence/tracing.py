"""Record a trace that is complete, of a window that the suite chose."""

from __future__ import annotations

import itertools
import json
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.common.errors import ProfilerError
from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

# That are counted, profiled, and timed on the device. They are fixed, because outliers, and with
# them operators, differ from step to step. A traced step of an 8B model costs a slow host a second.
DECODE_STEPS = range(2, 6)
ATTEMPTS = 3  # to record a trace that has what the GPU did
T = TypeVar("T")


def decode_within(
    engine: Engine, workload: Workload, steps: range, window: AbstractContextManager[T]
) -> T:
    """Generate, be inside `window` for a range of decode steps, and return what it gave."""
    passes = itertools.count(1)  # forward passes: the prefill is the first
    given: list[T] = []

    def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        number = next(passes)
        if number == steps.start:
            given.append(stack.enter_context(window))
        if number == steps.stop:
            stack.close()
        return scores

    with ExitStack() as stack:  # ends it as well if the generation fails in between
        engine.run(workload, steps.stop, step)
    return given[0]


def trace_events(trace: Any) -> list[dict[str, Any]]:
    """Return the events of a finished trace, as Chrome's trace format has them."""
    events: list[dict[str, Any]] = json.loads(exported(trace))["traceEvents"]
    return events


def exported(trace: Any) -> bytes:
    """Return a finished trace as JSON, before another one is recorded.

    A later recording may take the GPU's part out of a trace that was not exported yet.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(file))
        return file.read_bytes()


def recorded(device: torch.device, run: Callable[[Any], T], **options: bool) -> tuple[Any, T]:
    """Return a trace of what `run(trace)` records, and what it returned; options of `new_trace`.

    On CUDA the second of two traces in quick succession may lack all that the GPU did, since CUPTI
    is torn down late (github.com/pytorch/kineto/issues/1554, open). Then it is recorded again.
    """
    for _ in range(ATTEMPTS):
        trace = new_trace(device, **options)
        result = run(trace)
        if device.type != "cuda" or _saw_device(trace):
            break
    return trace, result


def _saw_device(trace: Any) -> bool:
    """Whether it has kernels that belong to an operator: annotations on the GPU's track don't.

    Asked of the raw events, as torch attaches kernels: its tables of a long trace take ten times
    as long.
    """
    from torch._C._autograd import DeviceType

    events, cpu = trace.profiler.kineto_results.events(), DeviceType.CPU
    done = [event for event in events if event.device_type() != cpu]
    asked = {event.linked_correlation_id() for event in done if not event.is_user_annotation()}
    asked.discard(0)  # of those that no operator asked for
    return bool(asked) and any(
        event.correlation_id() in asked and event.device_type() == cpu for event in events
    )


def new_trace(device: torch.device, *, with_stack: bool = False, with_memory: bool = False) -> Any:
    """Return a trace of this device, to be recorded; with Python frames, or with allocations."""
    from torch.profiler import ProfilerActivity, profile

    # Otherwise CUPTI stays attached, and slows down every kernel launch of the process from here
    # on, by a tenth and more (github.com/pytorch/pytorch/issues/144455).
    os.environ.setdefault("TEARDOWN_CUPTI", "1")
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    return profile(
        activities=activities,
        with_stack=with_stack,
        with_modules=with_stack,
        profile_memory=with_memory,
    )


@contextmanager
def recording(trace: Any) -> Iterator[list[float]]:
    """Record what runs inside, device work included, and nothing that was queued before.

    The list that it gives holds the seconds of the window once it is closed.
    """
    import torch

    if torch._C._autograd._profiler_enabled():  # starting a second one would silently end the first
        raise ProfilerError(
            "torch.profiler can't start: another profiler is active in this process; end it first"
        )
    clock.now()
    try:
        trace.start()
    except (RuntimeError, AssertionError) as error:
        raise ProfilerError(
            f"torch.profiler can't start ({error}); end other profilers of this process"
        ) from error
    wall_s: list[float] = []
    start = clock.now()
    try:
        yield wall_s
        wall_s.append(clock.now() - start)
    finally:
        trace.stop()
        clock.now()  # CUPTI is torn down in a CUDA call after the stop: before the next recording
