"""Profiles of a real model: operators with their calls, and no profiler that is left running."""

import gzip
import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch._C._autograd import DeviceType

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence import profiling, tracing


def test_profiles_name_the_operators_and_write_their_files(engine, workload, tmp_path):
    """Hotspots are operators with their calls; the files open in the usual tools."""
    decode = profiling.profile_decode(engine, workload, range(2, 4))
    calls = {hotspot.name: hotspot.calls for hotspot in decode.hotspots}
    assert calls["MatMul8bitLt"] == 28 * 2
    assert sum(hotspot.share for hotspot in decode.hotspots) == pytest.approx(1)
    shares = [hotspot.share for hotspot in decode.hotspots]
    assert shares == sorted(shares, reverse=True)
    files = {file.name: file for file in decode.write(tmp_path)}
    assert "MatMul8bitLt" in files["decode.table.txt"].read_text()
    trace = json.loads(gzip.decompress(files["decode.trace.json.gz"].read_bytes()))
    assert any(event.get("name") == "MatMul8bitLt" for event in trace["traceEvents"])
    stacks = files["decode.host.stacks.txt"].read_text().splitlines()
    assert any("Linear8bitLt" in line and "aten::" in line for line in stacks)
    assert all(line.rsplit(" ", 1)[1].isdigit() for line in stacks)


def test_the_prefill_profile_is_one_forward_pass(engine, workload):
    """Profiling the one-token generate covers the prompt pass and no decode step."""
    prefill = profiling.profile_prefill(engine, workload, frames=False)
    calls = {hotspot.name: hotspot.calls for hotspot in prefill.hotspots}
    assert calls["MatMul8bitLt"] == 28
    assert prefill.record()["decode_steps"] is None
    assert len(prefill.record()["operators"]) == profiling.TOP


def test_a_generation_that_fails_under_the_profiler_ends_the_profiler(engine, workload):
    """The next benchmark isn't timed with a profiler still running."""
    late = Mock(side_effect=[None, None, None, RuntimeError("a kernel failed")])
    hook = engine.model.register_forward_pre_hook(late)
    try:
        with pytest.raises(RuntimeError, match="a kernel failed") as kept:
            profiling.profile_decode(engine, workload, frames=False)
    finally:
        hook.remove()
    assert kept.traceback
    assert profiling.profile_prefill(engine, workload, frames=False).hotspots


def test_a_profiler_that_cannot_start_says_so(engine, workload):
    """A second profiler in one process is a clear error, and the next run is fine again."""
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
        pytest.raises(ProfilerError, match="another profiler"),
    ):
        profiling.profile_prefill(engine, workload, frames=False)
    assert profiling.profile_prefill(engine, workload, frames=False).hotspots


@pytest.mark.parametrize(("saw", "runs"), [([True], 1), ([False, True], 2), ([False] * 3, 3)])
def test_a_trace_that_lost_the_gpu_is_recorded_again(monkeypatch, saw, runs):
    """CUPTI may be torn down late, into the next trace; what stays empty is left to the caller."""
    recordings, outcomes = [], iter(saw)
    monkeypatch.setattr(tracing, "_saw_device", lambda _: next(outcomes))
    trace, _ = tracing.recorded(torch.device("cuda"), recordings.append)
    assert len(recordings) == runs
    assert trace is recordings[-1]


def test_only_a_kernel_of_an_operator_shows_that_the_gpu_was_seen(engine, workload):
    """A trace of the CPU has none, nor one whose GPU events are annotations or orphans."""

    def event(kind, own=0, of=0, *, annotation=False):
        return SimpleNamespace(
            device_type=lambda: kind,
            correlation_id=lambda: own,
            linked_correlation_id=lambda: of,
            is_user_annotation=lambda: annotation,
        )

    def saw(*events):
        results = SimpleNamespace(events=lambda: [event(DeviceType.CPU, 7), *events])
        return tracing._saw_device(
            SimpleNamespace(profiler=SimpleNamespace(kineto_results=results))
        )

    assert saw(event(DeviceType.CUDA, of=7))
    assert not saw(event(DeviceType.CUDA, of=7, annotation=True))
    assert not saw(event(DeviceType.CUDA, of=8))
    assert not saw(event(DeviceType.CUDA))
    trace, _ = tracing.recorded(
        engine.device,
        lambda trace: tracing.decode_within(
            engine, workload, range(2, 3), tracing.recording(trace)
        ),
    )
    assert len(trace.profiler.kineto_results.events()) > 100
    assert not tracing._saw_device(trace)
