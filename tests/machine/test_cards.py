"""Several GPUs, watched as one: what is shared is added up, and of what goes wrong the worst."""

import os

import pytest

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine.nvml import Cards, Gpu
from benchmarks.machine.watch import Watch
from tests.fake_nvml import MIB, FakeNvml, Steps

OWN = os.getpid()


@pytest.fixture
def two():
    """Return two healthy GPUs that this process alone uses."""
    return [FakeNvml(pids=[OWN]), FakeNvml(pids=[OWN])]


@pytest.fixture
def cards(two):
    """Return them as the suite sees them."""
    return Cards([Gpu(each, "handle") for each in two])


def test_what_is_shared_is_added_up(two, cards):
    """Power, energy and memory; a clock is that of the slower one, heat that of the hotter."""
    two[1].sm_clock, two[1].temperature, two[1].reasons, two[1].ecc = 1200, 80, 0x40, 2
    sample = cards.sample()
    assert sample["power_watts"] == 600
    assert sample["memory_used_bytes"] == 20 * MIB
    assert sample["sm_clock_hz"] == 1.2e9
    assert sample["temperature_celsius"] == 80
    assert sample["clock_reasons"] == "gpu_idle,hw_thermal_slowdown"
    assert sample["other_gpu_processes"] == 0
    assert cards.counters()["total_energy_joules"] == 2010
    assert cards.counters()["total_ecc_uncorrected_errors"] == 2
    assert cards.facts()["power_limit_watts"] == 1400
    assert cards.facts()["gpu_name"] == "Fake GPU"


@pytest.mark.parametrize("where", [0, 1])
def test_a_stranger_on_either_is_seen(two, cards, where):
    """Even if the other GPU doesn't say who is there."""
    two[where].pids += [77]
    two[1 - where].fail["nvmlDeviceGetComputeRunningProcesses"] = "Insufficient Permissions"
    assert cards.others() == {"other_gpu_processes": 1, "other_gpu_pids": "77"}
    two[where].pids.remove(77)
    assert isinstance(cards.others()["other_gpu_processes"], Unmeasured)


def test_a_watch_sees_both(two, cards):
    """Energy is their sum, and what slows one down makes the rounds invalid."""
    watch = Watch("cuda", threads=1, control=None, gpu=cards)
    steps = Steps(watch._sampler)
    with watch:
        two[1].reasons = 0x40
        steps.take(3)
    seen = watch.observations([1.0, 1.0])
    assert seen.counts["total_energy_joules"] == 10  # five joules a look, of each
    assert "hw_thermal_slowdown" in seen.samples[-2]["clock_reasons"]
    assert watch.series()["power_watts"] == [600, 600, 600]
