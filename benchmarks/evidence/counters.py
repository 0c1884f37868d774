"""Deterministic counters: whole numbers out of a trace that don't depend on the clock."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

DECODE_STEPS = range(2, 10)  # fixed: outliers, and with them operators, differ from step to step
WINDOW = "counted"  # what is counted is marked in the trace: its start and stop are the profiler's

LAUNCH = re.compile(r"cu(?:da)?(?:Launch(?:Cooperative)?Kernel|GraphLaunch)")
SYNCHRONIZE = re.compile(r"cu(?:da)?(Stream|Event|Device|Ctx)Synchronize")
COPY = re.compile(r"Memcpy (\w+)")
COPIES = {
    "DtoH": "copies_device_to_host",
    "HtoD": "copies_host_to_device",
    "DtoD": "copies_device_to_device",
}


def count(engine: Engine, workload: Workload, steps: range = DECODE_STEPS) -> dict[str, Any]:
    """Return the counters of the prefill, and of a fixed range of decode steps, untimed.

    The workload must be prepared; how many tokens it asks for doesn't matter. On CUDA the peaks
    of memory start again. Raises ProfilerError where the trace can't be had or lacks the device.
    """
    engine.run(workload, steps.stop)  # what happens only once happens here, before the trace

    def prefill(window: AbstractContextManager[None]) -> None:
        with window:
            engine.run(workload, 1)

    def decode(window: AbstractContextManager[None]) -> None:
        tracing.decode_within(engine, workload, steps, window)

    return {
        "decode_steps": [steps.start, steps.stop],
        "prefill": _phase(engine.device, prefill),
        "decode": _phase(engine.device, decode),
    }


def count_events(events: Iterable[Mapping[str, Any]], *, cuda: bool) -> dict[str, Any]:
    """Count what began inside the window that is marked in a trace's `traceEvents`.

    On the device itself nothing is counted by its time, only by the call that asked for it: the
    profiler's own calls are outside of the window, and work that was queued inside may end later.
    """
    events = [event for event in events if "ts" in event]
    start, end = _window(events)
    inside = [event for event in events if start <= event["ts"] < end]
    operators = Counter(event["name"] for event in inside if event.get("cat") == "cpu_op")
    counts: dict[str, Any] = {
        "operators": dict(sorted(operators.items())),
        "operators_total": operators.total(),
        "int8_operators": {name: n for name, n in sorted(operators.items()) if _is_int8(name)},
    }
    if cuda:
        return counts | _device_counts(inside, events)
    # An allocation is a positive number of bytes; giving memory back is a negative one.
    memory = [event["args"]["Bytes"] for event in inside if event.get("name") == "[memory]"]
    return counts | {"allocations": sum(size > 0 for size in memory)}


def _device_counts(
    inside: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    calls = [event for event in inside if event.get("cat") in ("cuda_runtime", "cuda_driver")]
    syncs = Counter(match[1] for call in calls if (match := SYNCHRONIZE.match(call["name"])))
    # A set: where a runtime call and the driver call inside it are both traced, they share an id.
    launches = {_correlation(call) for call in calls if LAUNCH.match(call["name"])}
    asked = {_correlation(call) for call in calls}
    copies = Counter(
        match[1]
        for event in events
        if event.get("cat") == "gpu_memcpy" and _correlation(event) in asked
        if (match := COPY.match(event["name"]))
    )
    return {
        "kernel_launches": len(launches),
        **{name: copies[direction] for direction, name in COPIES.items()},
        "synchronizations": {
            "stream": syncs["Stream"],
            "event": syncs["Event"],
            "device": syncs["Device"] + syncs["Ctx"],
        },
    }


def _phase(
    device: torch.device, run: Callable[[AbstractContextManager[None]], None]
) -> dict[str, Any]:
    import torch
    from torch.profiler import record_function

    cuda = device.type == "cuda"
    memory: dict[str, int] = {}

    @contextmanager
    def window(trace: Any) -> Iterator[None]:
        for index in range(torch.cuda.device_count() if cuda else 0):
            torch.cuda.reset_peak_memory_stats(index)
        before = _cuda_allocations() if cuda else 0
        with tracing.recording(trace), record_function(WINDOW):
            yield
        if cuda:
            memory["allocations"] = _cuda_allocations() - before
            memory["peak_allocated_bytes"] = _cuda_peak()

    trace, _ = tracing.recorded(device, lambda trace: run(window(trace)), with_memory=not cuda)
    counts = count_events(tracing.trace_events(trace), cuda=cuda) | memory
    if cuda and not counts["kernel_launches"]:
        raise ProfilerError(
            "the trace for the counters has no GPU activity: CUPTI can't be used; "
            "end other profilers, and check the driver's profiling permissions"
        )
    return counts


def _window(events: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    for event in events:
        if event.get("cat") == "user_annotation" and event["name"] == WINDOW:
            return event["ts"], event["ts"] + event["dur"]
    raise ProfilerError("the trace for the counters lacks its window; report this as a bug")


def _correlation(event: Mapping[str, Any]) -> Any:
    """Return the number that a call and the device work that it asked for have in common."""
    return event.get("args", {}).get("correlation")


def _is_int8(name: str) -> bool:
    return name.startswith("bitsandbytes::") or name == "aten::_int_mm"


def _cuda_allocations() -> int:
    """Add the blocks that the caching allocator handed out so far, on all visible GPUs."""
    import torch

    return sum(
        int(torch.cuda.memory_stats(index).get("allocation.all.allocated", 0))
        for index in range(torch.cuda.device_count())
    )


def _cuda_peak() -> int:
    import torch

    return sum(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count()))
