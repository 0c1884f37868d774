"""Ways to lie, staged around rounds on a machine of the tests' own: each must be named."""

import os
import platform

import pytest
import torch

from benchmarks.machine import clock, control_work
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.validity import judge
from benchmarks.machine.watch import Watch
from benchmarks.measure.rounds import Attempt
from tests import virtual
from tests.fake_nvml import FakeNvml, Steps
from tests.waiting import PATIENCE_S

OWN = os.getpid()
STEADY_CONTROL = {"device_s": 0.01, "host_s": 0.01}
ROUND_S = 0.3

linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs Linux's scheduler")


def watched(run, device="cpu", rounds=5, threads=1, **arguments):
    """Return the validity of rounds, with a control that doesn't move unless one is given.

    Between the samples of a GPU, `run(number, take)` says how many are taken.
    """
    arguments.setdefault("control", lambda: STEADY_CONTROL)
    watch = Watch(device, threads=threads, **arguments)
    more = [Steps(watch._sampler).take] if watch._sampler else []
    rounds_s = []
    with watch:
        for number in range(rounds):
            start = clock.read()
            run(number, *more)
            rounds_s.append(clock.read() - start)
    return judge(watch.observations(rounds_s))


@pytest.fixture
def steady(machine):
    """Return a round that takes as long as all others, and in which a GPU is sampled twice."""

    def run(_, take=lambda _: None):
        machine.spend(ROUND_S)
        take(2)

    return run


@pytest.fixture
def hands(monkeypatch):
    """Return a machine of which there is only the clock: the readings are this host's own."""
    machine = virtual.Machine()
    monkeypatch.setattr(clock, "read", machine.read)
    return machine


@pytest.fixture
def nvml():
    """Return a healthy GPU that this process alone uses."""
    return FakeNvml(pids=[OWN])


@pytest.mark.lie("a busy neighbour process")
def test_a_busy_neighbour_is_named(machine, steady):
    """A process that spins on the same core takes half of the time, and three readings say so."""
    assert watched(steady).valid
    machine.others = 0.5
    validity = watched(steady)
    says = "\n".join(validity.reasons)
    assert not validity.valid
    assert "involuntary context switches per second" in says
    assert "threads waited for a core" in says
    assert "this process had no core" in says
    assert validity.readings["core_wait_share"] == pytest.approx(0.5, rel=1e-3)


def test_a_neighbour_moves_the_control(machine, steady):
    """Against a control of quiet times, one beside a neighbour is slower."""
    quiet = machine.control()
    machine.others = 0.5
    validity = watched(steady, start=quiet, control=machine.control)
    assert any("control on the host" in reason for reason in validity.reasons)
    assert any("control in matrix products" in reason for reason in validity.reasons)


def test_the_control_runs_before_and_after(steady):
    """A machine that got slower during the rounds is named, without a start to compare with."""
    controls = iter([STEADY_CONTROL, {name: 2 * each for name, each in STEADY_CONTROL.items()}])
    validity = watched(steady, "cuda", control=lambda: next(controls))
    assert any("control on the host: 1, bound" in reason for reason in validity.reasons)


def test_a_disturbance_is_not_the_control(monkeypatch):
    """Of each piece of work the median counts, after one that is untimed.

    torch's random numbers stay as they were.
    """
    took = [2.0, 900.0, 2.0, 1.0, 1.0, 5.0, 5.0, 4.0, 700.0, 5.0]
    reads = iter([moment for seconds in took for moment in (10.0, 10.0 + seconds)])
    monkeypatch.setattr(clock, "read", reads.__next__)
    state = torch.get_rng_state()
    assert control_work.measure(torch.device("cpu"), 5) == {"device_s": 2.0, "host_s": 5.0}
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(reads)


@pytest.mark.lie("a thread count above the quota")
def test_more_threads_than_the_quota_allows_are_named(hands, tmp_path):
    """Two threads under a quota of half a core stop for the rest of each period."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("50000 100000\n")
    stat = group / "cpu.stat"
    stat.write_text("throttled_usec 0\n")

    def stop(number):
        hands.rest(0.1)
        stat.write_text(f"throttled_usec {(number + 1) * 60_000}\n")

    validity = watched(stop, threads=2, root=tmp_path)
    says = "\n".join(validity.reasons)
    assert "a CPU quota stopped this process: 0.6," in says
    assert "torch threads beyond the cores that this process may use: 1.5, bound 0" in says
    assert "lower --threads" in says


@linux
def test_more_threads_than_cores_are_named(hands):
    """An affinity of one core is one core, however many the machine has."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        validity = watched(lambda _: hands.rest(ROUND_S), threads=2)
    finally:
        os.sched_setaffinity(0, cores)
    (reason,) = [each for each in validity.reasons if "torch threads" in each]
    assert "beyond the cores that this process may use: 1, bound 0; lower --threads" in reason


def test_a_drift_over_the_rounds_is_named(machine):
    """Rounds that take longer from one to the next are no steady state."""
    validity = watched(lambda number: machine.spend(0.05 + 0.01 * number), "cuda")
    assert any("drift from the first round to the last" in reason for reason in validity.reasons)


@pytest.mark.lie("a warm-up that was too short")
def test_a_first_round_that_is_slow_is_named(machine):
    """The warm-up was too short, and the next step says what to raise."""
    validity = watched(lambda number: machine.spend(0.05 + 0.05 * (number == 0)), "cuda")
    (reason,) = [each for each in validity.reasons if "first round over" in each]
    assert "--warmup-rounds" in reason


def test_steady_rounds_on_a_healthy_gpu_are_valid(nvml, steady):
    """Nothing is said about rounds without a fault, and the energy is measured."""
    validity = watched(steady, "cuda", gpu=Gpu(nvml, "handle"))
    assert validity.valid
    assert validity.readings["energy_joules"] == 5.0
    assert validity.readings["gpu_samples"] == 10
    assert validity.readings["gpu_name"] == "Fake GPU"


@pytest.mark.lie("a second process on the GPU")
@pytest.mark.parametrize(("present", "samples"), [(2, 10), (-1, 2)], ids=["during", "before"])
def test_a_second_process_on_the_gpu_is_named(machine, nvml, present, samples):
    """One that comes and goes during the rounds is seen, with its id; one before them as well."""

    def visit(number, take):
        nvml.pids = [OWN, 4711] if number == present else [OWN]
        machine.spend(ROUND_S)
        take(samples)

    nvml.pids = [OWN, 4711] if present < 0 else [OWN]
    validity = watched(visit, "cuda", gpu=Gpu(nvml, "handle"))
    (reason,) = validity.reasons
    assert "other processes on the GPU" in reason
    assert "1 (4711)" in reason


@pytest.mark.lie("a throttled GPU")
def test_a_throttled_gpu_is_named(machine, nvml):
    """Clocks that are held down by heat during a round are named with the cause."""

    def heat(number, take):
        nvml.reasons, nvml.sm_clock, nvml.temperature = (
            (0x20, 1200, 91) if number >= 2 else (0x0, 1980, 60)
        )
        machine.spend(ROUND_S)
        take(2)

    validity = watched(heat, "cuda", gpu=Gpu(nvml, "handle"))
    says = "\n".join(validity.reasons)
    assert "sw_thermal_slowdown" in says
    assert "drop of the SM clock" in says
    assert "slowdown temperature" in says


@pytest.mark.lie("NVML without permission")
def test_without_permission_rounds_still_count(nvml, steady):
    """NVML that refuses everything leaves null and its words, and no reason to refuse rounds."""
    names = [name for name in dir(nvml) if name.startswith("nvmlDeviceGet")]
    nvml.fail = dict.fromkeys(names, "Insufficient Permissions")
    validity = watched(steady, "cuda", gpu=Gpu(nvml, "handle"))
    record = validity.as_record()
    assert validity.valid
    for name in ("other_gpu_processes", "throttled_samples_share", "energy_joules", "gpu_name"):
        assert record["readings"][name] is None
        assert "Insufficient Permissions" in record["unmeasured"][name]


def test_rounds_that_fail_end_the_sampling(nvml):
    """The benchmark's own error is what the user sees; no thread stays behind."""
    watch = Watch("cuda", threads=1, control=lambda: STEADY_CONTROL, gpu=Gpu(nvml, "handle"))
    with pytest.raises(ZeroDivisionError), watch:
        raise ZeroDivisionError
    watch._sampler._thread.join(PATIENCE_S)
    assert not watch._sampler._thread.is_alive()


def test_a_round_that_is_not_timed_leaves_no_energy():
    """It took some, and nobody knows how much."""
    assert "ran a round more" in str(Attempt(None, more=True).energy_joules)
