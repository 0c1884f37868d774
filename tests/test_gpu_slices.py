"""What time slices are read from: pauses between kernels, and waits of calls."""

from __future__ import annotations

import pytest

from benchmarks.evidence.kineto import Event
from tests import recorded_events
from tests.tools import gpu_slices


def kernel(start_us, end_us):
    """Return a kernel of the GPU."""
    ns = {"start_ns": start_us * 1000, "duration_ns": (end_us - start_us) * 1000}
    same = {"device": 0, "id": 1, "operator": 0, "annotation": False, "bytes": 0}
    return Event(name="kernel", on_host=False, **ns, **same)


def test_a_pause_is_where_nothing_works():
    """Kernels may overlap, and come in any order; the longest end counts."""
    events = [kernel(30, 31), kernel(0, 10), kernel(2, 4), kernel(12, 20), kernel(20, 25)]
    assert gpu_slices.pauses(events) == [2000, 5000]
    assert gpu_slices.pauses(events[:1]) == []


def test_percentiles_are_of_all_that_was_seen():
    """In microseconds; of a single one there are none."""
    found = gpu_slices.spread([n * 1000 for n in range(1, 102)])
    assert found == pytest.approx(
        {"count": 101, "total_s": 5151e-6, "p5_us": 6, "p50_us": 51, "p95_us": 96}
    )
    assert gpu_slices.spread([7]) == {"count": 1, "total_s": 7e-9}


def test_waits_and_kernels_are_those_of_a_recording():
    """Of a prefill on an H200: waits before the first launch are the recording's own."""
    events = recorded_events.prefill()
    found = gpu_slices.figures(events)
    work = [each for each in events if each.is_work]
    waits = [each for each in events if each.is_call and "Synchronize" in each.name]
    assert found["damage"] is None
    assert found["kernels"]["count"] == len(work) > 100
    assert found["kernels"]["total_s"] == pytest.approx(sum(e.duration_ns for e in work) / 1e9)
    assert 0 < found["waits"]["count"] <= len(waits)
    assert found["pauses"]["count"] < len(work)
    asked = min(each.start_ns for each in events if each.name.startswith("cudaLaunchKernel"))
    early = [waits[0]._replace(start_ns=asked - 1000)]
    assert gpu_slices.figures([*events, *early])["waits"] == found["waits"]
