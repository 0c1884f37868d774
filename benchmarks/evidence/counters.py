"""Deterministic counters: whole numbers out of a trace that don't depend on the clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence import kineto, tracing
from benchmarks.evidence.calls import Calls, collected
from benchmarks.evidence.tracing import DECODE_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.kineto import Event
    from benchmarks.model.engine import Engine

WINDOW = "counted"  # what is counted is marked in the trace: its start and stop are the profiler's

SYNCHRONIZE = re.compile(r"cu(?:da)?(Stream|Event|Device|Ctx)Synchronize")
COPY = re.compile(r"Memcpy (\w+)")
COPIES = {
    "DtoH": "copies_device_to_host",
    "HtoD": "copies_host_to_device",
    "DtoD": "copies_device_to_device",
    "PtoP": "copies_peer_to_peer",
}
SHARDED = frozenset({"PtoP"})  # counted only if there are some: one device alone has no peer


# What torch.compile writes into a trace beside the operators that it calls. The names of its code
# are hashes, and its regions are numbered by the order in which they were compiled.
REGION = re.compile(r"Torch-Compiled Region")
AROUND = re.compile(
    r"Torch-Compiled Region|## Call CompiledFxGraph|TorchDynamo|Pregraph bytecode|AOTDispatcher"
)

# Runs a phase once, and is inside of the window that it is given while the phase runs.
Run = Callable[[AbstractContextManager[Any]], object]


@dataclass(frozen=True)
class Counted:
    """The counters of both phases as they are stored, and the traces that they were read from."""

    record: dict[str, Any]
    events: dict[str, list[Event]]
    uncalled: str | None  # why calls were not counted


def phases(engine: Engine, workload: Workload, steps: range) -> dict[str, Run]:
    """Return what runs the prefill, and a fixed range of decode steps, of a prepared workload."""

    def prefill(window: AbstractContextManager[Any]) -> None:
        with window:
            engine.run(workload, 1)

    def decode(window: AbstractContextManager[Any]) -> None:
        tracing.decode_within(engine, workload, steps, window)

    return {"prefill": prefill, "decode": decode}


def count(engine: Engine, workload: Workload, steps: range = DECODE_STEPS) -> Counted:
    """Return the counters of the prefill, and of a fixed range of decode steps, untimed.

    The workload must be prepared; how many tokens it asks for doesn't matter. On CUDA the peaks
    of memory start again. Raises ProfilerError if there is no trace, or one without the device.
    """
    engine.run(workload, 2)  # what happens only once happens here, before the trace
    record: dict[str, Any] = {"decode_steps": [steps.start, steps.stop]}
    events, uncalled = {}, None
    cuda = engine.device.type == "cuda"
    with collected():
        for phase, run in phases(engine, workload, steps).items():
            events[phase], memory, calls = _complete(engine.device, run)
            record[phase] = count_events(events[phase], cuda=cuda) | memory | calls.record()
            if calls.other:
                uncalled = f"another profiler is active: {calls.other}"
            if cuda and not record[phase]["kernel_launches"]:
                raise ProfilerError(
                    "the trace for the counters has no GPU activity: CUPTI can't be used; "
                    "end other profilers, and check the driver's profiling permissions"
                )
    return Counted(record, events, uncalled)


def count_events(events: Iterable[Event], *, cuda: bool) -> dict[str, Any]:
    """Count what began inside the window that is marked in a trace.

    On the device itself nothing is counted by its time, only by the call that asked for it: the
    profiler's own calls are outside of the window, and work that was queued inside may end later.
    """
    events = list(events)
    start, end = _window(events)
    inside = [each for each in events if each.on_host and start <= each.start_ns < end]
    called = [each for each in inside if each.is_operator]
    operators = Counter(each.name for each in called if not AROUND.match(each.name))
    regions = sum(bool(REGION.match(each.name)) for each in called)
    counts: dict[str, Any] = {
        "operators": dict(sorted(operators.items())),
        "operators_total": operators.total(),
        "int8_operators": {name: n for name, n in sorted(operators.items()) if _is_int8(name)},
        **({"compiled_regions": regions} if regions else {}),
    }
    if cuda:
        return counts | _device_counts(inside, events)
    return counts | {"allocations": sum(each.is_allocation and each.bytes > 0 for each in inside)}


def _device_counts(inside: Iterable[Event], events: Iterable[Event]) -> dict[str, Any]:
    calls = [each for each in inside if each.is_call]
    syncs = Counter(match[1] for call in calls if (match := SYNCHRONIZE.match(call.name)))
    # A set: if a runtime call and the driver call inside it are both traced, they share an id.
    launches = {call.id for call in calls if kineto.LAUNCH.match(call.name)}
    graphs = sum("GraphLaunch" in call.name for call in calls)
    asked = {call.id for call in calls}
    copies = Counter(
        match[1]
        for each in events
        if each.is_work and each.id in asked and (match := COPY.match(each.name))
    )
    return {
        "kernel_launches": len(launches),
        **({"graph_launches": graphs} if graphs else {}),
        **{
            name: copies[direction]
            for direction, name in COPIES.items()
            if copies[direction] or direction not in SHARDED
        },
        "synchronizations": {
            "stream": syncs["Stream"],
            "event": syncs["Event"],
            "device": syncs["Device"] + syncs["Ctx"],
        },
    }


def _complete(device: torch.device, run: Run) -> tuple[list[Event], dict[str, int], Calls]:
    """Trace a phase until the GPU's record of it is complete, so that no lost copy is a gain."""
    for _ in range(tracing.ATTEMPTS):
        events, memory, calls = _traced(device, run)
        damaged = kineto.damage(events) if device.type == "cuda" else None
        if damaged is None:
            return events, memory, calls
    raise ProfilerError(
        f"the trace for the counters was recorded {tracing.ATTEMPTS} times, and never complete: "
        f"{damaged}; end other profilers, and measure again"
    )


def _traced(device: torch.device, run: Run) -> tuple[list[Event], dict[str, int], Calls]:
    """Run a phase traced, with its calls counted; return its events, and its memory on GPUs."""
    import torch
    from torch.profiler import record_function

    cuda = device.type == "cuda"
    memory: dict[str, int] = {}
    calls = Calls()

    @contextmanager
    def window(trace: Any) -> Iterator[None]:
        nonlocal calls
        calls = Calls()  # anew, if the trace is recorded again
        for index in range(torch.cuda.device_count() if cuda else 0):
            torch.cuda.reset_peak_memory_stats(index)
        before = _cuda_allocations() if cuda else 0
        with tracing.recording(trace), record_function(WINDOW), calls:
            yield
        if cuda:
            memory["allocations"] = _cuda_allocations() - before
            memory["peak_allocated_bytes"] = _cuda_peak()

    trace = tracing.new_trace(device, with_memory=not cuda)
    run(window(trace))
    return kineto.read(trace), memory, calls


def _window(events: Iterable[Event]) -> tuple[int, int]:
    for each in events:
        if each.on_host and each.annotation and each.name == WINDOW:
            return each.start_ns, each.start_ns + each.duration_ns
    raise ProfilerError("the trace for the counters lacks its window; report this as a bug")


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
