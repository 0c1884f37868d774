"""Readings of the GPU, from a fake NVML."""

import os
import threading
from unittest.mock import Mock

import pytest

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.watch import Sampler
from tests.fake_nvml import MIB, FakeNvml, Steps
from tests.waiting import PATIENCE_S

OWN = os.getpid()


@pytest.fixture
def nvml():
    """Return a healthy GPU that this process alone uses."""
    return FakeNvml(pids=[OWN])


@pytest.fixture
def gpu(nvml):
    """Return it as the suite sees it."""
    return Gpu(nvml, "handle")


def test_facts_and_counters_come_in_base_units(gpu):
    """Watts, joules, bytes and hertz."""
    assert gpu.facts() == {
        "gpu_name": "Fake GPU",
        "power_limit_watts": 700.0,
        "persistence_mode": "on",
        "mig_mode": "off",
        "ecc_mode": "on",
        "gpu_memory_bytes": 1000 * MIB,
        "slowdown_celsius": 90,
    }
    assert gpu.counters() == {
        "total_energy_joules": 1005.0,
        "total_ecc_corrected_errors": 0,
        "total_ecc_uncorrected_errors": 0,
    }
    assert gpu.sample() == {
        "sm_clock_hz": 1.98e9,
        "memory_clock_hz": 2.619e9,
        "temperature_celsius": 50,
        "power_watts": 300.0,
        "clock_reasons": "gpu_idle",
        "utilization": 0.8,
        "memory_used_bytes": 10 * MIB,
        "other_gpu_processes": 0,
        "other_gpu_pids": "",
    }


def test_reasons_are_named(nvml, gpu):
    """Several bits give several names, and one without a name its number."""
    nvml.reasons = 0x4 | 0x40 | 0x8000
    assert gpu.sample()["clock_reasons"] == "sw_power_cap,hw_thermal_slowdown,0x8000"


def test_an_older_driver_is_asked_by_the_older_name(nvml, gpu):
    """Drivers that don't know clocks-event reasons still tell why they throttle."""
    nvml.fail["nvmlDeviceGetCurrentClocksEventReasons"] = "Function Not Found"
    nvml.reasons = 0x8
    assert gpu.sample()["clock_reasons"] == "hw_slowdown"


def test_what_nvml_refuses_becomes_its_reason(nvml, gpu):
    """Without permission every reading is unmeasured, with NVML's words, and nothing raises."""
    names = [name for name in dir(nvml) if name.startswith("nvml")]
    nvml.fail = dict.fromkeys(names, "Insufficient Permissions")
    for readings in (gpu.facts(), gpu.counters(), gpu.sample()):
        assert readings
        for value in readings.values():
            assert "Insufficient Permissions" in value.reason


def test_no_nvml_is_a_reason():
    """A machine without a driver has no GPU to watch."""
    nvml = FakeNvml(fail=["nvmlInit"])
    found = Gpu.find(nvml, "GPU-1")
    assert found == Unmeasured("NVML can't be used (Insufficient Permissions)")
    assert isinstance(Gpu.find(FakeNvml(), "GPU-1"), Gpu)


def test_the_installed_pynvml_has_what_is_called():
    """Every function and constant of the fake is one of the real module's."""
    import pynvml

    names = [name for name in dir(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert [name for name in names if not hasattr(pynvml, name)] == []


def test_the_sampler_samples_until_it_is_stopped(gpu):
    """Samples come in while it runs, processes in every tenth, and none after the stop."""
    sampler = Sampler(gpu.sample)
    steps = Steps(sampler)
    sampler.start()
    steps.take(12)
    sampler.stop()
    sampler._thread.join(PATIENCE_S)
    assert not sampler._thread.is_alive()
    listed = ["other_gpu_processes" in sample for sample in sampler.samples]
    assert listed == [True] + [False] * 9 + [True, False]


def test_a_sampler_never_raises_into_the_benchmark():
    """Whatever a sample raises is kept as a reason; the thread goes on, and no warning appears."""
    second = threading.Event()
    tries = iter(range(10**9))

    def broken(**_):
        if next(tries):
            second.set()
        raise OSError("gone")

    sampler = Sampler(broken, interval_s=0.001)
    sampler.start()
    assert second.wait(PATIENCE_S)
    sampler.stop()
    assert sampler.failure == Unmeasured("a sample failed (OSError: gone)")
    assert not sampler.samples


def test_a_sampler_that_can_not_start_says_so(monkeypatch):
    """A system that is out of threads costs the samples, not the benchmark."""
    refuse = Mock(side_effect=RuntimeError("can't start new thread"))
    monkeypatch.setattr("threading.Thread.start", refuse)
    sampler = Sampler(lambda **_: {})
    sampler.start()
    sampler.stop()
    assert "can't start new thread" in sampler.failure.reason


@pytest.mark.parametrize(
    ("own", "listed", "others"),
    [
        ([7], [7, 9], 1),
        ([7], [], None),
        ([7], [1], None),
        ([7], [1, 2], 1),
        ([7, 8], [7, 8], 0),
        ([7, 8], [7, 8, 9], 1),
        ([7, 8], [1, 2], None),
        ([7, 8], [1, 2, 3], 1),
    ],
)
def test_strangers_are_counted_if_own_processes_can_be_told(own, listed, others):
    """A container hides processes, or numbers them otherwise: "can't see" isn't "none".

    Of more of them than there are own ones, the rest are strangers. Two workers of a duet share a
    GPU, and are none to each other.
    """
    found = Gpu(FakeNvml(pids=listed), "handle", own_pids=own).others()["other_gpu_processes"]
    if others is None:
        assert "may hide others" in found.reason
    else:
        assert found == others
