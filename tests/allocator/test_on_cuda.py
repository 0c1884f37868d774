"""Snapshots of torch's caching allocator, in the format that torch documents, read as histories."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.allocator import on_cuda, peaks
from benchmarks.allocator.replay import (
    ACTIVATIONS,
    CACHE,
    OTHER,
    QUANTIZED,
    WEIGHTS,
    Event,
    Held,
    Peaks,
    Recorded,
)

# The tiny model with LLM.int8(), 8 rows of 16 + 8 tokens, on an H200 with torch 2.11.
RECORDED = Path(__file__).parents[1] / "data" / "memory-h200.json.gz"
PACKAGES = "/env/lib/python3.11/site-packages/"
MARK = {"action": "snapshot", "addr": 0, "size": 4096, "frames": [], "stream": 0}


def frames(*files: str) -> list[dict[str, Any]]:
    """Return a stack of functions in these files, innermost first."""
    return [{"filename": PACKAGES + file, "line": 1, "name": "f"} for file in files]


def entry(action: str, addr: int, size: int, *files: str) -> dict[str, Any]:
    """Return an entry of a trace."""
    return {"action": action, "addr": addr, "size": size, "frames": frames(*files), "stream": 0}


def segment(*blocks: dict[str, Any], device: int = 0) -> dict[str, Any]:
    """Return memory that CUDA gave, in these blocks."""
    return {"device": device, "address": blocks[0]["address"], "blocks": list(blocks)}


def block(
    address: int, size: int, requested: int, *files: str, state: str = "active_allocated"
) -> dict[str, Any]:
    """Return a block of a segment."""
    return {
        "address": address,
        "size": size,
        "requested_size": requested,
        "state": state,
        "frames": frames(*files),
    }


def test_blocks_are_weights_and_cache_by_where_the_model_holds_them() -> None:
    """A tensor may begin inside of its block; what isn't in use is held by nobody."""
    own = segment(
        block(0, 1024, 1000),
        block(1024, 512, 100),
        block(1536, 512, 512, state="inactive"),
        block(2048, 512, 512, state="active_awaiting_free"),
        block(2560, 512, 300),
        block(3072, 512, 200, "torch/_ops.py", "transformers/cache_utils.py"),
        block(3584, 512, 40, "transformers/generation/utils.py"),
    )
    (history,) = on_cuda.histories_of([own], [[]], weights=[16, 512], cache=[2560])
    assert history.before == {
        0: Held(1000, WEIGHTS),
        1024: Held(100, OTHER),
        2560: Held(300, CACHE),
        3072: Held(200, CACHE),
        3584: Held(40, ACTIVATIONS),
    }


def test_events_are_those_between_the_marks() -> None:
    """What came before the phase isn't in it; memory is free as soon as that is asked for."""
    trace = [
        entry("alloc", 1, 8),
        MARK,
        entry("segment_alloc", 512, 2 << 20),
        entry("alloc", 512, 100, "bitsandbytes/backends/cuda/ops.py", "torch/nn/modules/x.py"),
        entry("free_requested", 512, 100),
        entry("alloc", 1024, 60, "transformers/models/llama/modeling_llama.py"),
        entry("free_completed", 512, 100),
        MARK,
    ]
    expected = [Event(512, 100, QUANTIZED), Event(512, 0), Event(1024, 60, ACTIVATIONS)]
    for seen in (trace, trace[:-1]):  # whether or not the mark of the end is in it
        (history,) = on_cuda.histories_of([], [seen], weights=[])
        assert history.events == expected


def test_each_gpu_has_a_history_of_its_own() -> None:
    """Blocks go to the GPU that they are on."""
    segments = [segment(block(0, 512, 10), device=1), segment(block(512, 512, 20), device=0)]
    trace = [MARK, entry("alloc", 1024, 30), MARK]
    first, second = on_cuda.histories_of(segments, [[MARK, MARK], trace], weights=[0])
    assert (first.before, first.events) == ({512: Held(20, OTHER)}, [])
    assert (second.before, len(second.events)) == ({0: Held(10, WEIGHTS)}, 1)


@pytest.mark.parametrize(
    ("phase", "parts"),
    [
        (0, (15_549_696, 8 * 16 * 2048, 920_856, 1_165_824, 33_556_528, 14_776)),
        (1, (15_549_696, 8 * 23 * 2048, 129_864, 88_704, 33_556_480, 17_208)),
    ],
    ids=["prefill", "decode"],
)
def test_a_recorded_history_adds_up_to_the_measured_peak(
    phase: int, parts: tuple[int, ...]
) -> None:
    """To the byte; weights and cache are what the model's shapes make of them."""
    content = json.loads(gzip.decompress(RECORDED.read_bytes()))
    one = content["phases"][phase]
    stacks = [[{"filename": each} for each in files] for files in content["stacks"]]
    names = ("address", "size", "requested_size", "state")
    segments = [
        {"device": device, "blocks": [dict(zip(names, row, strict=True), frames=stacks[stack])]}
        for device, *row, stack in one["blocks"]
    ]
    traces = [
        [
            {"action": action, "addr": addr, "size": size, "frames": stacks[stack]}
            for action, addr, size, stack in trace
        ]
        for trace in one["traces"]
    ]
    histories = on_cuda.histories_of(segments, traces, weights=one["weights"], cache=one["cache"])
    measured = Peaks(one["allocated_bytes"], one["requested_bytes"])
    found = peaks.summary(Recorded(None, histories, measured))
    assert isinstance(found, dict)
    assert tuple(found["parts"].values()) == parts
    assert sum(parts) == found["peak_allocated_bytes"] == one["allocated_bytes"]
