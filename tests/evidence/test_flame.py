"""Folded stacks: frames nest, own time adds up, kernels count below what launched them."""

from benchmarks.evidence.flame import fold


def event(cat, name, ts, dur, **args):
    """Return a complete event of a Chrome trace, in microseconds."""
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur} | (
        {"args": args} if args else {}
    )


ENGINE = event("python_function", "benchmarks/model/engine.py(9): run", 0, 100)


def test_each_frame_counts_the_time_spent_in_itself():
    """A parent's time is what its children leave; layers of one kind add up."""
    host, device = fold(
        [
            ENGINE,
            event("python_function", "generate", 10, 80),
            event("python_function", "nn.Module: Linear_0", 20, 20),
            event("cpu_op", "aten::mm", 25, 10),
            event("python_function", "nn.Module: Linear_1", 50, 30),
            event("cpu_op", "aten::mm", 55, 10),
        ]
    )
    assert sorted(host) == [
        "generate 30",
        "generate;nn.Module: Linear 30",
        "generate;nn.Module: Linear;aten::mm 20",
    ]
    assert device == []


def test_what_is_not_below_the_engine_is_left_out():
    """The test runner above, and the profiler's own frames, are no part of a generation."""
    host, _ = fold(
        [
            event("python_function", "pytest/__main__.py(9): <module>", 0, 200),
            ENGINE | {"ts": 10},
            event("python_function", "generate", 20, 50),
            event("python_function", "benchmarks/evidence/tracing.py(7): window", 30, 20),
            event("python_function", "torch/profiler/profiler.py(1): start", 35, 10),
        ]
    )
    assert host == ["generate 30"]


def test_kernels_count_below_the_operator_that_launched_them():
    """Device time has the host's stack, by the trace's external id."""
    launch = event("cpu_op", "aten::mm", 10, 20, **{"External id": 7})
    kernel = event("kernel", "gemm_kernel", 500, 40, **{"External id": 7}) | {"tid": 99}
    copy = event("gpu_memcpy", "Memcpy DtoH", 600, 5, **{"External id": 8}) | {"tid": 99}
    _, device = fold([ENGINE, launch, kernel, copy])
    assert device == ["aten::mm;gemm_kernel 40", "unknown;Memcpy DtoH 5"]


def test_a_trace_without_python_frames_keeps_its_operators():
    """Some releases record no Python frames: the operators alone are better than nothing."""
    host, _ = fold([event("cpu_op", "outer", 0, 30), event("cpu_op", "inner", 5, 10)])
    assert sorted(host) == ["outer 20", "outer;inner 10"]


def test_names_can_hold_nothing_that_breaks_a_line():
    """Semicolons separate frames, and addresses would keep equal calls apart."""
    host, _ = fold([ENGINE, event("python_function", "<built-in f of X object at 0x7f>; g", 1, 9)])
    assert host == ["<built-in f>, g 9"]
