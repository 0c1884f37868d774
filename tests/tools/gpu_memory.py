"""Whether the parts of each peak of memory add up to what the allocator measured, on a GPU.

And a history as the allocator gives it, small enough to be kept for the tests.
"""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.allocator import on_cuda, peaks, replay
from benchmarks.common.quantity import Unmeasured
from benchmarks.model import loading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.model.target import Target

FRAMES = 12  # of a stack that are kept, the innermost
PACKAGES, ROOT = "site-packages/", Path(__file__).parents[2]


def measure(
    target: Target, quantization: str, sizes: Sequence[tuple[int, int]], raw: Path | None = None
) -> list[dict[str, Any]]:
    """Return, for each batch size and number of new tokens, what holds the peaks of both phases.

    `raw` is a file for what the allocator said of the last of them.
    """
    found = []
    with loading.load(target, quantization, cold=False) as engine:
        for batch_size, new_tokens in sizes:
            workload = target.workload(batch_size, new_tokens)
            engine.prepare(workload)
            engine.run(workload, 2)  # what happens only once
            with _kept(raw):
                recorded = peaks.record(engine, workload)
            for phase, each in recorded.items():
                found.append({"batch_size": batch_size, "phase": phase} | checked(each))
                print(quantization, found[-1], flush=True)
    return found


def checked(recorded: replay.Recorded) -> dict[str, Any]:
    """Return the parts of a peak, and by which share of it they are off, if it is measured."""
    told = peaks.summary(recorded)
    found = {"reason": told.reason} if isinstance(told, Unmeasured) else told
    parts = [replay.at_peak(each.before, each.events)[0] for each in recorded.histories]
    found["replayed"] = [dict(each) for each in parts]
    found["events"] = sum(len(each.events) for each in recorded.histories)
    if measured := recorded.peaks:
        off = sum(each.total() for each in parts) - measured.requested_bytes
        found |= {**asdict(measured), "off_share": off / measured.allocated_bytes}
        found["snapshot_bytes"] = len(recorded.snapshot)
    return found


@contextmanager
def _kept(raw: Path | None) -> Iterator[None]:
    """Write what `histories_of` was given, phase by phase, even if it can't read that."""
    read = on_cuda.histories_of
    given: list[dict[str, Any]] = []
    stacks: dict[str, int] = {}

    def spy(segments: Any, traces: Any, **places: Iterable[int]) -> list[replay.History]:
        where = {name: sorted(each) for name, each in places.items()}
        given.append(_plain(segments, traces, stacks) | where | asdict(on_cuda.cuda_peaks()))
        return read(segments, traces, **places)

    with mock.patch.object(on_cuda, "histories_of", spy):
        try:
            yield
        finally:
            if raw and given:
                content = {"stacks": list(map(json.loads, stacks)), "phases": given}
                text = json.dumps(content, separators=(",", ":"))
                raw.write_bytes(gzip.compress(text.encode(), mtime=0))


def _plain(
    segments: Sequence[Mapping[str, Any]],
    traces: Sequence[Sequence[Mapping[str, Any]]],
    stacks: dict[str, int],
) -> dict[str, Any]:
    """Return blocks and traces as rows, whose last field is the number of a stack in `stacks`."""

    def stack(one: Mapping[str, Any]) -> int:
        named = [each["filename"] for each in one.get("frames") or ()]
        files = [each.rpartition(PACKAGES)[2].removeprefix(f"{ROOT}/") for each in named if each]
        return stacks.setdefault(json.dumps(files[:FRAMES]), len(stacks))

    fields = ("address", "size", "requested_size", "state")
    return {
        "blocks": [
            [segment["device"], *(block[name] for name in fields), stack(block)]
            for segment in segments
            for block in segment["blocks"]
        ],
        "traces": [
            [[each["action"], each.get("addr"), each["size"], stack(each)] for each in trace]
            for trace in traces
        ],
    }
