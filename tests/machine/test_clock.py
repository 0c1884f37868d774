"""The device clock with a stand-in for CUDA: what it waits for, and what it never touches."""

import itertools
import os
import sys
from math import inf
from types import SimpleNamespace

import pytest

from benchmarks.machine import clock


@pytest.fixture
def cuda(monkeypatch):
    """Put a stand-in where torch is: two GPUs, of which this process uses the second."""
    waited, at_ms = [], itertools.count(0, 7.5)

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self, stream):
            assert stream == "stream of 1"
            self.at_ms = next(at_ms)

        def synchronize(self):
            waited.append("event")

        def elapsed_time(self, later):
            return later.at_ms - self.at_ms

    fake = SimpleNamespace(
        Event=Event,
        current_stream=lambda device: f"stream of {device.index}",
        device_count=lambda: 2,
        is_initialized=lambda: True,
        synchronize=waited.append,
        synchronized=waited,
    )
    extension = SimpleNamespace(_cuda_hasPrimaryContext=lambda index: index == 1)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=fake, _C=extension))
    return fake


def test_the_clock_waits_for_the_gpus_in_use_alone(cuda):
    """Waiting for another GPU would create a context there, and take its memory."""
    clock.now()
    assert cuda.synchronized == [1]


def test_marks_are_events_and_wait_for_nothing(cuda):
    """A generation is marked in the stream of its device; only reading the times waits."""
    marks = clock.StepMarks(SimpleNamespace(type="cuda", index=1))
    assert marks("ids", "scores") == "scores"
    marks.mark()
    assert cuda.synchronized == []
    assert marks.count == 3
    assert marks.elapsed_s() == [0.0075, 0.015]
    assert cuda.synchronized == ["event"]


def test_on_the_cpu_marks_are_clock_reads(monkeypatch):
    """Without a GPU the marks are times of the host, in order."""
    monkeypatch.setattr(clock, "read", iter([5.0, 5.25, 6.0]).__next__)
    marks = clock.StepMarks(SimpleNamespace(type="cpu"))
    marks("ids", "scores")
    marks.mark()
    assert marks.elapsed_s() == [0.25, 1.0]


def test_all_times_are_of_one_steady_clock(monkeypatch):
    """One that no change of the date moves, and that --benchmark-timer names as well."""
    monkeypatch.setattr(clock, "perf_counter", lambda: 7.0)
    assert clock.read() == clock.now() == 7.0
    assert f"{clock.now.__module__}.{clock.now.__name__}" == clock.TIMER


def test_waiting_ends_with_what_comes_or_with_its_seconds():
    """Both, on the real clock: whoever waits for an answer gives up, and misses none."""
    reads, writes = os.pipe()
    assert not clock.wait(reads, 0.01)
    os.write(writes, b"answer")
    assert clock.wait(reads, inf)
    os.close(reads)
    os.close(writes)
