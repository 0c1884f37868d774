"""Counters: what a trace holds is counted by what asked for it, and always the same."""

import json
import subprocess
import sys

import pytest
import torch

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence import counters
from benchmarks.evidence.kineto import Event
from benchmarks.sessions.schema import COUNTERS
from tests import forking

ROWS = 2
COUNT = """
import dataclasses, json, sys
from pathlib import Path
from benchmarks.config.options import OPTIONS
from benchmarks.config.settings import build_settings
from benchmarks.evidence import counters
from benchmarks.model import loading
from benchmarks.model.target import find_target

defaults = {option.dest: option.default for option in OPTIONS} | {"device": "cpu"}
settings = build_settings(defaults.get, {"OMP_NUM_THREADS": "1"})
settings = dataclasses.replace(settings, cache=Path(sys.argv[1]))
target = find_target(settings, lambda _: None)
workload = target.workload(int(sys.argv[3]), 6)
counted = {}
for quantization in ("int8-decomp", "int8", "fp16"):
    with loading.load(target, quantization, cold=False) as engine:
        engine.prepare(workload)
        counted[quantization] = counters.count(engine, workload, range(2, 4)).record
print(json.dumps(counted), file=open(sys.argv[2], "w"))
"""


def event(name, start, id_=1, *, device=False, mark=False, dur=1, size=0):
    """Return an event as the profiler records it: of the host, or of the GPU."""
    return Event(name, not device, 0, start, dur, id_, 0, mark, size)


WINDOW = event(counters.WINDOW, 100, dur=100, mark=True)


@pytest.fixture(scope="module")
def workload(engine, target):
    """Return few rows, ready to be generated from, of fewer tokens than are counted."""
    workload = target.workload(ROWS, 2)
    engine.prepare(workload)
    return workload


def test_device_work_is_counted_by_the_call_that_asked_for_it():
    """Launches, copies and synchronisations count by name; a copy may end after the window."""
    counts = counters.count_events(
        [
            WINDOW,
            event(counters.WINDOW, 0, dur=999, device=True, mark=True),
            event("aten::mm", 110, 101),
            event("bitsandbytes::int8_linear_matmul", 111, 102),
            event("a profiler's own", 111, 0),
            event("cudaLaunchKernel", 112, 1),
            event("cudaLaunchKernelExC", 113, 2),
            event("cuLaunchKernel", 114, 3),
            event("cuLaunchKernelEx", 115, 4),
            event("cudaLaunchCooperativeKernel", 116, 5),
            event("cuLaunchKernel", 116, 5),  # the same launch, one level below
            event("cudaLaunchHostFunc", 116, 6),
            event("gemm", 300, 1, device=True),
            event("cudaMemcpyAsync", 117, 7),
            event("Memcpy DtoH (Device -> Pageable)", 301, 7, device=True),
            event("cudaMemcpyAsync", 118, 8),
            event("Memcpy HtoD (Pinned -> Device)", 119, 8, device=True),
            event("cudaMemcpyAsync", 120, 9),
            event("Memcpy DtoD (Device -> Device)", 302, 9, device=True),
            event("cudaStreamSynchronize", 121, 10),
            event("cudaStreamSynchronize", 122, 11),
            event("cudaEventSynchronize", 123, 12),
            event("cudaDeviceSynchronize", 124, 13),
        ],
        cuda=True,
    )
    assert counts == {
        "operators": {"aten::mm": 1, "bitsandbytes::int8_linear_matmul": 1},
        "operators_total": 2,
        "int8_operators": {"bitsandbytes::int8_linear_matmul": 1},
        "kernel_launches": 5,
        "copies_device_to_host": 1,
        "copies_host_to_device": 1,
        "copies_device_to_device": 1,
        "synchronizations": {"stream": 2, "event": 1, "device": 1},
    }


def test_copies_between_devices_are_counted():
    """Of a sharded model; a record of one device has no such counter, as it never had."""
    events = [
        WINDOW,
        event("cudaMemcpyAsync", 117, 7),
        event("Memcpy PtoP (Device -> Device)", 301, 7, device=True),
        event("cudaMemcpyPeerAsync", 118, 8),
        event("Memcpy PtoP (Device -> Device)", 302, 8, device=True),
    ]
    counts = counters.count_events(events, cuda=True)
    assert counts["copies_peer_to_peer"] == 2
    assert counts["copies_device_to_device"] == 0
    assert "copies_peer_to_peer" in COUNTERS
    assert "copies_peer_to_peer" not in counters.count_events(events[:1], cuda=True)


def test_what_the_profiler_itself_does_is_not_counted():
    """Its synchronisations before and after, and work that was queued earlier, are outside."""
    counts = counters.count_events(
        [
            event("cudaDeviceSynchronize", 90, 1),
            event("cudaMemcpyAsync", 95, 2),
            event("aten::before", 99, 101),
            WINDOW,
            event("Memcpy DtoH (Device -> Pinned)", 150, 2, device=True),
            event("aten::after", 200, 102),
            event("cudaLaunchKernel", 201, 3),
            event("cudaDeviceSynchronize", 202, 4),
        ],
        cuda=True,
    )
    assert counts["operators_total"] == counts["kernel_launches"] == 0
    assert counts["copies_device_to_host"] == 0
    assert set(counts["synchronizations"].values()) == {0}


def test_on_the_cpu_allocations_come_from_the_trace():
    """Memory that is given back is no allocation."""
    sizes = ((50, 8), (110, 8), (111, 16), (112, -8), (250, 8))
    memory = [event("[memory]", start, 0, size=size) for start, size in sizes]
    assert counters.count_events([WINDOW, *memory], cuda=False)["allocations"] == 2


def test_a_trace_without_its_window_is_refused():
    """A version of torch that drops the mark must not give zeros that always agree."""
    with pytest.raises(ProfilerError, match="lacks its window"):
        counters.count_events([event("aten::mm", 110)], cuda=True)


def test_a_generation_that_fails_ends_the_trace(engine, workload):
    """The profiler is stopped whatever happens, so that it slows nothing down afterwards."""
    calls = 0

    def fail(*_):
        nonlocal calls
        calls += 1
        if calls > 7:  # four passes into the third generation, which is traced
            raise RuntimeError("a kernel failed")

    hook = engine.model.register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="a kernel failed") as kept:
            counters.count(engine, workload)
    finally:
        hook.remove()
    assert calls == 8
    assert kept.traceback  # it holds the frames: the trace wasn't ended by their clean-up
    assert not torch._C._autograd._profiler_enabled()


def test_every_process_counts_the_same(engine, workload, target, tmp_path, figure):
    """Counters gate exactly, so they are equal to the last call, in new and in used processes.

    The range of steps is fixed, whatever the workload's number of tokens, and every linear is in
    it. The planted outliers cost work, as they do in real checkpoints.
    """
    files = [tmp_path / "new.json", tmp_path / "forked.json"]
    begin = [sys.executable, "-c", COUNT, target.settings.cache_dir]
    with subprocess.Popen([*begin, files[0], str(ROWS)]) as new:  # whose hashes differ as well
        before = dict(engine.generations)
        counted = counters.count(engine, workload, range(2, 4)).record
        with (
            forking.instead_of_new_processes(),
            subprocess.Popen([*begin, files[1], str(ROWS)]) as forked,
        ):
            assert forked.wait() == 0
        assert new.wait() == 0
    assert engine.generations == before  # nothing that was counted passes for a timed round
    assert counted["decode_steps"] == [2, 4]
    assert counted["prefill"]["int8_operators"]["bitsandbytes::int8_mixed_scaled_mm"] == 28
    assert counted["decode"]["int8_operators"]["bitsandbytes::int8_mixed_scaled_mm"] == 28 * 2
    first, *others = [json.loads(file.read_text()) for file in files]
    assert all(other == first for other in others)
    assert json.loads(json.dumps(counted)) == first["int8-decomp"]
    totals = {name: each["decode"]["operators_total"] for name, each in first.items()}
    figure(f"operators of 2 decode steps, equal in three processes: {totals}")
    assert totals["int8-decomp"] > totals["int8"] > totals["fp16"] > 0
