"""The histories of the GPUs, out of torch's caching allocator."""

from __future__ import annotations

import pickle
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from benchmarks.allocator.replay import (
    ACTIVATIONS,
    CACHE,
    OTHER,
    WEIGHTS,
    Event,
    Held,
    History,
    Peaks,
    Recorded,
    place_of,
)
from benchmarks.model import footprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch

    from benchmarks.allocator.replay import Live


class OnCuda:
    """Records by the caching allocator of each GPU."""

    def __init__(self, model: Any) -> None:
        """Prepare; nothing is recorded yet."""
        self._model = model
        self._before: Sequence[Mapping[str, Any]] = ()
        self._found: dict[str, Recorded] = {}

    def begin(self) -> None:
        """Begin a phase: with its peaks, and with what is live."""
        from torch.cuda import device_count, memory

        self._stop()
        memory._record_memory_history("all", context="alloc", stacks="python")
        for index in range(device_count()):
            memory.reset_peak_memory_stats(index)
        self._before = memory._snapshot()["segments"]

    def end(self, phase: str, steps: range | None) -> None:
        """Keep the phase. Until the next one each block keeps the stack of whoever takes it."""
        from torch.cuda import memory

        peaks = cuda_peaks()
        snapshot = memory._snapshot()
        self._stop()
        memory._record_memory_history("state", context="state", stacks="python")
        kept = getattr(self._model, "_cache", None)  # a static one, from generation to generation
        histories = histories_of(
            self._before,
            snapshot["device_traces"],
            weights=addresses(footprint.tensors(self._model)),
            cache=addresses(footprint.kept(kept)),
        )
        self._found[phase] = Recorded(steps, histories, peaks, pickle.dumps(snapshot))

    def close(self) -> dict[str, Recorded]:
        """Stop recording, and return what was recorded."""
        self._stop()
        return self._found

    def _stop(self) -> None:
        from torch.cuda import memory

        memory._record_memory_history(None)


def cuda_peaks() -> Peaks:
    """Return the peaks since the last reset; on several GPUs each counts, whenever it came."""
    from torch.cuda import device_count, memory_stats

    stats = [memory_stats(index) for index in range(device_count())]
    return Peaks(
        sum(int(each.get("allocated_bytes.all.peak", 0)) for each in stats),
        sum(int(each.get("requested_bytes.all.peak", 0)) for each in stats),
    )


def addresses(tensors: Iterable[torch.Tensor]) -> frozenset[int]:
    """Return where the storages of tensors are."""
    return frozenset(each.untyped_storage().data_ptr() for each in tensors)


def histories_of(
    segments: Sequence[Mapping[str, Any]],
    traces: Sequence[Sequence[Mapping[str, Any]]],
    *,
    weights: Iterable[int],
    cache: Iterable[int] = (),
) -> list[History]:
    """Return the history of each GPU, out of what `torch.cuda.memory._snapshot` returns.

    `segments` are from the beginning, `traces` from the end: each trace has a mark of both. Of
    what was live at the beginning `weights` and `cache` say where the model holds its tensors; the
    stack of a block says the rest, if it was taken while stacks were recorded.
    """
    known = sorted([(each, WEIGHTS) for each in weights] + [(each, CACHE) for each in cache])
    found = []
    for device, trace in enumerate(traces):
        own = [each for each in segments if each["device"] == device]
        found.append(History(_live(own, known), _events(trace)))
    return found


def _live(segments: Sequence[Mapping[str, Any]], known: Sequence[tuple[int, str]]) -> Live:
    """Return the blocks in use, each with its holder."""
    starts = [address for address, _ in known]
    live = {}
    for segment in segments:
        for block in segment["blocks"]:
            if block["state"] != "active_allocated":
                continue
            start = block["address"]
            inside = bisect_right(starts, start + block["size"] - 1) - 1
            frames = block.get("frames") or ()
            holder = OTHER
            if inside >= 0 and starts[inside] >= start:
                holder = known[inside][1]
            elif frames:
                is_cache = place_of(each["filename"] for each in frames) == CACHE
                holder = CACHE if is_cache else ACTIVATIONS
            live[start] = Held(block["requested_size"], holder)
    return live


def _events(trace: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Return what was taken and given back since the mark of the beginning."""
    marks = [number for number, each in enumerate(trace) if each["action"] == "snapshot"]
    if marks and marks[-1] == len(trace) - 1:
        marks.pop()  # that of the end
    found = []
    for each in trace[marks[-1] + 1 if marks else 0 :]:
        if each["action"] == "alloc":
            place = place_of(frame["filename"] for frame in each.get("frames") or ())
            found.append(Event(each["addr"], each["size"], place))
        elif each["action"] == "free_requested":  # from here on it doesn't count as allocated
            found.append(Event(each["addr"], 0))
    return found
