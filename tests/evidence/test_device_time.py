"""Device time, from events that were recorded on a GPU, and from events that lie."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import torch

from benchmarks.common.errors import ProfilerError
from benchmarks.common.quantity import Unmeasured
from benchmarks.evidence import counters, device_time, kineto
from benchmarks.machine.bounds import Bounds
from tests import recorded_events

SAMPLE = {
    "sm_clock_hz": 1.98e9,
    "memory_clock_hz": 3.2e9,
    "power_watts": 340.0,
    "clock_reasons": "",
    "temperature_celsius": 40,
    "other_gpu_processes": 0,
    "other_gpu_pids": "",
}
NO_GPU = Unmeasured("no GPU")


@pytest.fixture(scope="module")
def events():
    """Return the events of one prefill on an H200."""
    return recorded_events.prefill()


def index_of(events, wanted):
    """Return where the first event is for which `wanted` holds."""
    return next(index for index, each in enumerate(events) if wanted(each))


def over_two(events):
    """Return the events as if two GPUs had shared the work."""
    return [each._replace(device=1) if each.is_work and each.id % 2 else each for each in events]


def test_all_that_the_gpu_did_is_summed_by_kernel_operator_and_device(events):
    """Kernels, copies and memsets; each counts for the operator that asked for it."""
    found = device_time.repeat(events)
    work = [each for each in events if each.is_work]
    assert found.seconds == pytest.approx(sum(each.duration_ns for each in work) / 1e9)
    assert found.seconds == pytest.approx(0.001696933)
    assert found.devices.keys() == {0}
    assert found.kernels.calls.total() == found.operators.calls.total() == len(work) == 780
    assert found.kernels.calls["Memcpy DtoH (Device -> Pinned)"] == 59
    assert found.operators.calls["aten::any"] == 61
    assert "(no operator)" not in found.operators.calls
    assert not any(name.startswith("counted") for name in found.kernels.calls)


def test_what_is_stored_adds_up(events, monkeypatch):
    """The longest by name, the rest in one, seconds of a step by repeat."""
    monkeypatch.setattr(device_time, "TOP", 30)
    found = device_time.repeat(events)
    stored = device_time.record_of([found, found, found], 8, found.operators)
    kernels = stored["kernels"]
    assert len(kernels["top"]) == device_time.TOP
    total = sum(each["device_s"] for each in kernels["top"]) + kernels["rest"]["device_s"]
    assert total == pytest.approx(found.seconds)
    calls = sum(each["calls"] for each in kernels["top"]) + kernels["rest"]["calls"]
    assert calls == 780
    assert stored["repeats_s"] == [found.seconds / 8] * 3
    assert device_time.middle_s(stored) == found.seconds / 8
    assert stored["share_by_gpu"] == {"0": 1.0}


def test_a_whole_recording_is_whole(events):
    """Each call that asks the GPU for work has its record, and each record its times."""
    assert kineto.damage(events) is None


@pytest.mark.lie("a kernel's record that CUPTI dropped")
@pytest.mark.parametrize("kind", ["kernel", "copy", "memset"])
def test_a_dropped_record_is_found(events, kind):
    """Without the record of one kernel, copy or memset the sum would look faster."""
    starts = {"kernel": "void ", "copy": "Memcpy", "memset": "Memset"}[kind]
    lost = index_of(events, lambda each: each.is_work and each.name.startswith(starts))
    without = events[:lost] + events[lost + 1 :]
    assert "1 of 780 calls have no record, such as cu" in kineto.damage(without)


@pytest.mark.parametrize("ns", [0, -5])
def test_a_record_without_its_times_is_found(events, ns):
    """Buffers that ran out leave times of zero, or an end before the start."""
    at = index_of(events, lambda each: each.is_work)
    broken = [*events]
    broken[at] = events[at]._replace(duration_ns=ns)
    assert "a record has no times" in kineto.damage(broken)


def test_a_damaged_repeat_is_recorded_again(events):
    """One that lacks a record is thrown away; the next complete one counts."""
    lost = events[:-1] if events[-1].is_work else [each for each in events if each.id != 0]
    at = index_of(events, lambda each: each.is_work)
    lost = events[:at] + events[at + 1 :]
    recordings = iter([lost, events, events])
    first = device_time.repeat(events)
    found, why = device_time.repeats(lambda: next(recordings), 3, first)
    assert why is None
    assert len(found) == 3
    assert next(recordings, None) is None


@pytest.mark.lie("a kernel that was dropped together with its launch")
def test_a_repeat_that_did_less_is_refused(events):
    """A call and its record may both be lost: the number of each kernel tells."""
    work = index_of(events, lambda each: each.is_work and each.name.startswith("void "))
    both = [each for each in events if each.id != events[work].id or each.is_operator]
    assert kineto.damage(both) is None
    found, why = device_time.repeats(lambda: both, 3, device_time.repeat(events))
    assert len(found) == 1
    assert "repeat 2 of 3, recorded 3 times: other work than in the first repeat: -1 calls" in why


def test_counters_come_from_the_same_events(events):
    """Launches, copies and synchronizations, by the call that asked for them."""
    found = counters.count_events(events, cuda=True)
    assert found["operators_total"] == 2537
    assert found["kernel_launches"] == 654
    assert found["copies_device_to_host"] == 59
    assert found["synchronizations"] == {"stream": 88, "event": 0, "device": 0}
    assert found["int8_operators"]["bitsandbytes::int8_linear_matmul"] == 28


def judged(samples=(SAMPLE,) * 8, repeats=(1.0, 1.001, 0.999), bounds=None):
    """Return what is said of three repeats of both phases."""
    repeats_s = {"prefill": repeats, "decode": repeats}
    return device_time.judged(repeats_s, dict.fromkeys(repeats_s, samples), NO_GPU, bounds)


def test_a_steady_gpu_is_trusted_whatever_the_host_does():
    """No reading of the host is among those that are judged."""
    found = judged()
    assert found["validity"]["valid"]
    assert found["validity"]["reasons"] == []
    assert found["clocks"] == {"sm_clock_hz": 1.98e9, "memory_clock_hz": 3.2e9, "power_watts": 340}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sm_clock_hz": 1.92e9}, "SM clock"),
        ({"clock_reasons": "hw_thermal_slowdown"}, "held its clocks down"),
        ({"other_gpu_processes": 1, "other_gpu_pids": "77"}, "77"),
    ],
)
def test_what_moves_the_gpu_makes_device_time_invalid(changed, says):
    """A clock that moved, throttling, and another process on the GPU."""
    found = judged([SAMPLE] * 4 + [SAMPLE | changed] * 4)
    assert found["validity"]["valid"] is False
    assert any(says in reason for reason in found["validity"]["reasons"])


def test_repeats_that_disagree_are_invalid():
    """The same work on the same GPU at the same clock takes the same time."""
    found = judged(repeats=(1.0, 1.001, 1.03))
    assert found["validity"]["valid"] is False
    assert "repeats of the decode disagree by 3.00%" in found["validity"]["reasons"][1]


def test_lifted_bounds_lift_these_as_well():
    """--bounds counts for both; the clock's bound stays the tighter one of the two."""
    hot = [SAMPLE | {"clock_reasons": "hw_thermal_slowdown"}] * 8
    lifted = dataclasses.replace(Bounds(), throttled_samples_share=float("inf"))
    found = judged(hot, bounds=lifted)["validity"]
    assert found["valid"] is True
    assert found["bounds_lifted"] == ["throttled_samples_share"]  # so it is no baseline by itself


def test_each_phase_is_judged_at_its_own_clock():
    """A prefill that draws more power may run at a lower clock than the decode steps."""
    repeats_s = {"prefill": (1.0, 1.0), "decode": (1.0, 1.0)}
    samples = {"prefill": [SAMPLE | {"sm_clock_hz": 1.7e9}] * 4, "decode": [SAMPLE] * 4}
    found = device_time.judged(repeats_s, samples, NO_GPU, None)
    assert found["validity"]["valid"]
    assert found["clocks"]["sm_clock_hz"] == 1.98e9


def test_counters_are_read_from_a_complete_record_alone(events, monkeypatch):
    """A copy that CUPTI lost is no gain: the run is traced again, and its calls counted anew."""
    at = index_of(events, lambda each: each.is_work)
    lost = events[:at] + events[at + 1 :]
    recordings = iter([lost, events])
    monkeypatch.setattr(counters, "_traced", lambda *_: (next(recordings), {}, None))
    found, _, _ = counters._complete(torch.device("cuda"), lambda _: None)
    assert found is events
    monkeypatch.setattr(counters, "_traced", lambda *_: (lost, {}, None))
    with pytest.raises(ProfilerError, match="recorded 3 times, and never complete: 1 of 780"):
        counters._complete(torch.device("cuda"), lambda _: None)


def test_gpus_are_told_apart(events):
    """Of a model on two GPUs each has its share."""
    found = device_time.repeat(over_two(events))
    stored = device_time.record_of([found], 1, found.operators)
    assert stored["share_by_gpu"].keys() == {"0", "1"}
    assert sum(stored["share_by_gpu"].values()) == pytest.approx(1)


def test_over_several_gpus_the_recording_with_operators_is_no_repeat(events):
    """It slows the host down, and with it the copies between GPUs: 4 % on two H200s."""
    events = over_two(events)
    slowed = device_time.repeat(each._replace(duration_ns=2 * each.duration_ns) for each in events)
    found, why = device_time.repeats(lambda: events, 2, slowed)
    assert why is None
    assert [each.seconds for each in found] == [slowed.seconds / 2] * 2


@pytest.mark.lie("an all-reduce that waited for another process")
def test_a_repeat_that_waited_for_another_process_is_recorded_again(events):
    """On two H200s repeats of a step took 5.34 and 39.3 ms: what differed was the waiting."""
    at = index_of(events, lambda each: each.is_work)

    def reduced(us, others=1):
        """Return the events with an all-reduce of so long; the others take so many times longer."""
        name = "ncclDevKernel_AllReduce_Sum_f16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
        found = [each._replace(duration_ns=others * each.duration_ns) for each in events]
        found[at] = events[at]._replace(name=name, duration_ns=1000 * us)
        return found

    def played(*recordings, count=2):
        left = iter(recordings)
        first = device_time.repeat(reduced(12))
        found, why = device_time.repeats(lambda: next(left), count, first)
        assert why is None
        assert next(left, None) is None
        return [round(1e6 * each.collectives_s) for each in found]

    assert played(reduced(34_000), reduced(14)) == [12, 14]
    assert played(reduced(34_000), reduced(900), reduced(13)) == [12, 13]
    assert played(reduced(15)) == [12, 15]  # within what repeats may differ by
    for us in (15, 34_000):  # slower otherwise: it stays, and shows, whether it waited or not
        assert played(reduced(us, others=2)) == [12, us]
    always = [reduced(us) for us in (34_000, 30_000, 31_000, 29_000)]
    assert played(*always) == [12, 29_000]  # which is called INVALID then


def test_names_of_kernels_are_counted_alike(events):
    """The calls of a repeat are those of its records."""
    found = device_time.repeat(events)
    assert found.kernels.calls == Counter(each.name for each in events if each.is_work)
