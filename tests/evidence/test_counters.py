"""Counters: what a trace holds is counted by what asked for it, and always the same."""

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest
import torch

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence import counters

PROCESSES = 2  # beside this one; new interpreters, whose hashes differ as well
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
settings = dataclasses.replace(settings, cache_dir=Path(sys.argv[1]))
target = find_target(settings, lambda _: None)
workload = target.workload(int(sys.argv[3]), 6)
counted = {}
for quantization in ("int8-decomp", "int8", "fp16"):
    with loading.load(target, quantization, cold=False) as engine:
        engine.prepare(workload)
        counted[quantization] = counters.count(engine, workload, range(2, 4))
print(json.dumps(counted), file=open(sys.argv[2], "w"))
"""


def event(cat, name, ts, correlation=None, dur=1, **args):
    """Return an event as torch.profiler writes it into a Chrome trace."""
    if correlation is not None:
        args["correlation"] = correlation
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "args": args}


WINDOW = event("user_annotation", counters.WINDOW, 100, dur=100)


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
            event("gpu_user_annotation", counters.WINDOW, 0, dur=999),
            event("cpu_op", "aten::mm", 110),
            event("cpu_op", "bitsandbytes::int8_linear_matmul", 111),
            event("python_function", "generate", 111),
            event("cuda_runtime", "cudaLaunchKernel", 112, 1),
            event("cuda_runtime", "cudaLaunchKernelExC", 113, 2),
            event("cuda_driver", "cuLaunchKernel", 114, 3),
            event("cuda_driver", "cuLaunchKernelEx", 115, 4),
            event("cuda_runtime", "cudaLaunchCooperativeKernel", 116, 5),
            event("cuda_driver", "cuLaunchKernel", 116, 5),  # the same launch, one level below
            event("cuda_runtime", "cudaLaunchHostFunc", 116, 6),
            event("kernel", "gemm", 300, 1),
            event("cuda_runtime", "cudaMemcpyAsync", 117, 7),
            event("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 301, 7),
            event("cuda_runtime", "cudaMemcpyAsync", 118, 8),
            event("gpu_memcpy", "Memcpy HtoD (Pinned -> Device)", 119, 8),
            event("cuda_runtime", "cudaMemcpyAsync", 120, 9),
            event("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 302, 9),
            event("cuda_runtime", "cudaStreamSynchronize", 121, 10),
            event("cuda_runtime", "cudaStreamSynchronize", 122, 11),
            event("cuda_runtime", "cudaEventSynchronize", 123, 12),
            event("cuda_runtime", "cudaDeviceSynchronize", 124, 13),
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


def test_what_the_profiler_itself_does_is_not_counted():
    """Its synchronisations before and after, and work that was queued earlier, are outside."""
    counts = counters.count_events(
        [
            event("cuda_runtime", "cudaDeviceSynchronize", 90, 1),
            event("cuda_runtime", "cudaMemcpyAsync", 95, 2),
            event("cpu_op", "aten::before", 99),
            WINDOW,
            event("gpu_memcpy", "Memcpy DtoH (Device -> Pinned)", 150, 2),
            event("cpu_op", "aten::after", 200),
            event("cuda_runtime", "cudaLaunchKernel", 201, 3),
            event("cuda_runtime", "cudaDeviceSynchronize", 202, 4),
        ],
        cuda=True,
    )
    assert counts["operators_total"] == counts["kernel_launches"] == 0
    assert counts["copies_device_to_host"] == 0
    assert set(counts["synchronizations"].values()) == {0}


def test_on_the_cpu_allocations_come_from_the_trace():
    """Memory that is given back is no allocation."""
    memory = [
        {"ph": "i", "cat": "cpu_instant_event", "name": "[memory]", "ts": ts, "args": {"Bytes": n}}
        for ts, n in ((50, 8), (110, 8), (111, 16), (112, -8), (250, 8))
    ]
    assert counters.count_events([WINDOW, *memory], cuda=False)["allocations"] == 2


def test_a_trace_without_its_window_is_refused():
    """A version of torch that drops the mark must not give zeros that always agree."""
    with pytest.raises(ProfilerError, match="lacks its window"):
        counters.count_events([event("cpu_op", "aten::mm", 110)], cuda=True)


def test_a_generation_that_fails_ends_the_trace(engine, workload):
    """The profiler is stopped whatever happens, so that it slows nothing down afterwards."""
    calls = 0

    def fail(*_):
        nonlocal calls
        calls += 1
        if calls > 14:  # four passes into the third generation, which is traced
            raise RuntimeError("a kernel failed")

    hook = engine.model.register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="a kernel failed") as kept:
            counters.count(engine, workload)
    finally:
        hook.remove()
    assert calls == 15
    assert kept.traceback  # it holds the frames: the trace wasn't ended by their clean-up
    assert not torch._C._autograd._profiler_enabled()


def test_every_process_counts_the_same(engine, workload, target, tmp_path, figure):
    """Counters gate exactly, so they are equal to the last call, in new and in used processes.

    The range of steps is fixed, whatever the workload's number of tokens, and every linear is in
    it. The planted outliers cost work, as they do in real checkpoints.
    """
    files = [tmp_path / f"{number}.json" for number in range(PROCESSES)]
    begin = [sys.executable, "-c", COUNT, target.settings.cache_dir]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([*begin, file, str(ROWS)])) for file in files
        ]
        before = dict(engine.generations)
        counted = counters.count(engine, workload, range(2, 4))
        assert [process.wait() for process in processes] == [0] * PROCESSES
    assert engine.generations == before  # nothing that was counted passes for a timed round
    assert counted["decode_steps"] == [2, 4]
    assert counted["prefill"]["int8_operators"]["bitsandbytes::int8_mixed_scaled_mm"] == 28
    assert counted["decode"]["int8_operators"]["bitsandbytes::int8_mixed_scaled_mm"] == 28 * 2
    first, *others = [json.loads(file.read_text()) for file in files]
    assert all(other == first for other in others)
    assert json.loads(json.dumps(counted)) == first["int8-decomp"]
    totals = {name: each["decode"]["operators_total"] for name, each in first.items()}
    figure(f"operators of 2 decode steps, equal in {PROCESSES} fresh processes: {totals}")
    assert totals["int8-decomp"] > totals["int8"] > totals["fp16"] > 0
