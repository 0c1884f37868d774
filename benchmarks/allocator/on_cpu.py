"""The history of the CPU, out of the memory events of torch's profiler."""

from __future__ import annotations

from typing import Any

from benchmarks.allocator.replay import (
    CACHE,
    WEIGHTS,
    Event,
    Held,
    History,
    Live,
    Recorded,
    at_peak,
    place_of,
)
from benchmarks.model import footprint

DECODE = "decode begins"  # the mark in a trace


class OnCpu:
    """Records by the memory events of torch's profiler, which has no address of what was before.

    So the weights are those of the model, and both phases are one trace.
    """

    def __init__(self, model: Any) -> None:
        """Prepare; nothing is recorded yet."""
        from torch.profiler import ProfilerActivity, profile

        self._model = model
        self._steps: dict[str, range | None] = {}
        self._trace = profile(
            activities=[ProfilerActivity.CPU], profile_memory=True, with_stack=True
        )

    def begin(self) -> None:
        """Begin a phase: the trace, or a mark in it."""
        from torch.profiler import record_function

        if not self._steps:
            self._trace.start()
            return
        with record_function(DECODE):
            pass

    def end(self, phase: str, steps: range | None) -> None:
        """Keep that a phase is over."""
        self._steps[phase] = steps

    def close(self) -> dict[str, Recorded]:
        """Stop recording, and return what was recorded."""
        self._trace.stop()
        tensors = [(each, WEIGHTS) for each in footprint.tensors(self._model)]
        tensors += [(each, CACHE) for each in footprint.kept(getattr(self._model, "_cache", None))]
        storages = [(each.untyped_storage(), holder) for each, holder in tensors]
        live: Live = {each.data_ptr(): Held(each.nbytes(), holder) for each, holder in storages}
        found = {}
        for (phase, steps), events in zip(
            self._steps.items(), cpu_events(self._trace), strict=False
        ):
            found[phase] = Recorded(steps, [History(live, events)])
            _, live = at_peak(live, events)
        return found


def cpu_events(trace: Any) -> list[list[Event]]:
    """Return what a finished trace has of taken memory, before and after its mark."""
    timed: list[tuple[int, Event | None]] = []  # None is the mark
    roots = trace.profiler.kineto_results.experimental_event_tree()
    nodes: list[tuple[Any, tuple[str, ...]]] = [(root, ()) for root in roots]
    while nodes:
        node, above = nodes.pop()
        taken = getattr(node.extra_fields, "alloc_size", None)
        if taken is not None:
            event = Event(
                node.extra_fields.ptr, max(0, taken), place_of(above) if taken > 0 else ""
            )
            timed.append((node.start_time_ns, event))
            continue
        name = _name(node)
        if name == DECODE:
            timed.append((node.start_time_ns, None))
        nodes += [(each, (name, *above)) for each in node.children]
    phases: list[list[Event]] = [[]]
    for _, seen in sorted(timed, key=lambda each: each[0]):
        if seen is None:
            phases.append([])
        else:
            phases[-1].append(seen)
    return phases


def _name(node: Any) -> str:
    """Return the name of an operator, a mark or a Python function; "" if it has none to read.

    Those of C functions are of no use here, and torch may give bytes for one that are no text.
    """
    try:
        return str(node.name) if node.tag.name in ("TorchOp", "PyCall") else ""
    except UnicodeDecodeError:
        return ""
