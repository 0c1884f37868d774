"""Ways to lie, staged around real rounds: each must be named in the reasons."""

import os
import platform
import time
from statistics import median

import pytest
import torch

from benchmarks.harness import control
from benchmarks.harness.gpu import Gpu
from benchmarks.harness.measuring import Attempt
from benchmarks.harness.metrics import Unmeasured
from benchmarks.harness.validity import judge
from benchmarks.harness.watch import Watch
from tests.fake_nvml import FakeNvml

OWN = os.getpid()
STEADY_CONTROL = {"device_s": 0.01, "host_s": 0.01}

linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs Linux's scheduler")


def work():
    """Compute for some 15 ms."""
    return control._count()


def timed(run, rounds=5):
    """Return the seconds of so many rounds."""
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        run(number)
        times.append(time.perf_counter() - start)
    return times


def watched(run=lambda _: time.sleep(0.03), device="cpu", rounds=5, threads=1, **arguments):
    """Return the validity of rounds, with a control that doesn't move unless one is given."""
    arguments.setdefault("control", lambda: STEADY_CONTROL)
    with Watch(device, threads=threads, **arguments) as watch:
        rounds_s = timed(run, rounds)
    return judge(watch.observations(rounds_s))


@pytest.fixture
def nvml():
    """Return a healthy GPU that this process alone uses."""
    return FakeNvml(pids=[OWN])


@pytest.mark.lie("a busy neighbour process")
@linux
@pytest.mark.usefixtures("neighbour")
def test_a_busy_neighbour_is_named(figure):
    """A process that spins on the same core takes half of the time, and three readings say so."""
    validity = watched(lambda _: [work() for _ in range(20)])
    says = "\n".join(validity.reasons)
    assert not validity.valid
    assert "involuntary context switches per second" in says
    assert "threads waited for a core" in says
    assert "this process had no core" in says
    waited = validity.readings["core_wait_share"]
    figure(f"validity: busy neighbour, waited for a core {waited:.0%} of the time: refused")


@linux
@pytest.mark.usefixtures("neighbour")
def test_a_neighbour_moves_the_control():
    """Against a control of quiet times, one beside a neighbour is slower."""
    device = torch.device("cpu")
    now = control.measure(device)
    quiet = {name: seconds / 2 for name, seconds in now.items()}
    validity = watched(start=quiet, control=lambda: now)
    assert any("control on the host" in reason for reason in validity.reasons)
    assert any("control in matrix products" in reason for reason in validity.reasons)


def test_the_control_runs_before_and_after():
    """A machine that got slower during the rounds is named, without a start to compare with."""
    controls = iter([STEADY_CONTROL, {name: 2 * each for name, each in STEADY_CONTROL.items()}])
    validity = watched(device="cuda", control=lambda: next(controls))
    assert any("control on the host: 1, bound" in reason for reason in validity.reasons)


def test_the_control_is_short_and_steady():
    """Each piece of work takes some milliseconds, and torch's random numbers stay as they were."""
    state = torch.get_rng_state()
    first, second = (control.measure(torch.device("cpu")) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    for name, seconds in first.items():
        assert 0.001 < seconds < 0.5
        assert 0.2 < second[name] / seconds < 5


@pytest.mark.lie("a thread count above the quota")
def test_more_threads_than_the_quota_allows_are_named(tmp_path):
    """Two threads under a quota of half a core stop for the rest of each period."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("50000 100000\n")
    stat = group / "cpu.stat"
    stat.write_text("throttled_usec 0\n")
    validity = watched(
        lambda number: stat.write_text(f"throttled_usec {number * 40_000}\n"),
        threads=2,
        root=tmp_path,
    )
    says = "\n".join(validity.reasons)
    assert "a CPU quota stopped this process: 0.64" in says
    assert "torch threads beyond the cores that this process may use: 1.5, bound 0" in says
    assert "lower --threads" in says


@linux
def test_more_threads_than_cores_are_named():
    """An affinity of one core is one core, however many the machine has."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        validity = watched(threads=2)
    finally:
        os.sched_setaffinity(0, cores)
    (reason,) = [each for each in validity.reasons if "torch threads" in each]
    assert "beyond the cores that this process may use: 1, bound 0; lower --threads" in reason


def test_a_drift_over_the_rounds_is_named():
    """A sleep that gets longer from round to round is no steady state."""
    validity = watched(lambda number: time.sleep(0.05 + 0.01 * number), "cuda")
    assert any("drift from the first round to the last" in reason for reason in validity.reasons)


@pytest.mark.lie("a warm-up that was too short")
def test_a_first_round_that_is_slow_is_named():
    """The warm-up was too short, and the next step says what to raise."""
    validity = watched(lambda number: time.sleep(0.05 + 0.05 * (number == 0)), "cuda")
    (reason,) = [each for each in validity.reasons if "first round over" in each]
    assert "--warmup-rounds" in reason


def test_steady_rounds_on_a_healthy_gpu_are_valid(nvml):
    """Nothing is said about rounds without a fault, and the energy is measured."""
    validity = watched(device="cuda", gpu=Gpu(nvml, "handle"), interval_s=0.01)
    assert not [reason for reason in validity.reasons if "GPU" in reason or "clock" in reason]
    assert validity.readings["energy_joules"] == 5.0
    assert validity.readings["gpu_samples"] >= 5
    assert validity.readings["gpu_name"] == "Fake GPU"


@pytest.mark.lie("a second process on the GPU")
def test_a_second_process_on_the_gpu_is_named(nvml):
    """One that comes and goes during the rounds is seen, with its id."""

    def visit(number):
        nvml.pids = [OWN, 4711] if number == 2 else [OWN]
        time.sleep(0.4 if number == 2 else 0.05)

    validity = watched(visit, "cuda", gpu=Gpu(nvml, "handle"), interval_s=0.01)
    (reason,) = [each for each in validity.reasons if "other processes on the GPU" in each]
    assert "1 (4711)" in reason


def test_a_process_before_the_rounds_is_named(nvml):
    """It is looked for before the first sample as well."""

    def leave(_):
        nvml.pids = [OWN]
        time.sleep(0.02)

    nvml.pids = [OWN, 4711]
    validity = watched(leave, "cuda", gpu=Gpu(nvml, "handle"))
    assert any("(4711)" in reason for reason in validity.reasons)


@pytest.mark.lie("a throttled GPU")
def test_a_throttled_gpu_is_named(nvml):
    """Clocks that are held down by heat during a round are named with the cause."""

    def heat(number):
        nvml.reasons, nvml.sm_clock, nvml.temperature = (
            (0x20, 1200, 91) if number >= 2 else (0x0, 1980, 60)
        )
        time.sleep(0.05)

    validity = watched(heat, "cuda", gpu=Gpu(nvml, "handle"), interval_s=0.005)
    says = "\n".join(validity.reasons)
    assert "sw_thermal_slowdown" in says
    assert "drop of the SM clock" in says
    assert "slowdown temperature" in says


@pytest.mark.lie("NVML without permission")
def test_without_permission_rounds_still_count(nvml):
    """NVML that refuses everything leaves null and its words, and no reason to refuse rounds."""
    names = [name for name in dir(nvml) if name.startswith("nvmlDeviceGet")]
    nvml.fail = dict.fromkeys(names, "Insufficient Permissions")
    validity = watched(device="cuda", gpu=Gpu(nvml, "handle"), interval_s=0.01)
    record = validity.as_record()
    assert not [reason for reason in validity.reasons if "GPU" in reason]
    for name in ("other_gpu_processes", "throttled_samples_share", "energy_joules", "gpu_name"):
        assert record["readings"][name] is None
        assert "Insufficient Permissions" in record["unmeasured"][name]


def test_without_nvml_the_reason_is_kept():
    """A GPU that can't be watched is not one on which nothing happened."""
    gone = Unmeasured("NVML can't be used (NVML Shared Library Not Found)")
    record = watched(device="cuda", gpu=gone).as_record()
    assert record["unmeasured"]["clock_drop"] == gone.reason


def test_rounds_that_fail_end_the_sampling(nvml):
    """The benchmark's own error is what the user sees; no thread stays behind."""
    watch = Watch("cuda", threads=1, control=lambda: STEADY_CONTROL, gpu=Gpu(nvml, "handle"))
    with pytest.raises(ZeroDivisionError), watch:
        raise ZeroDivisionError
    assert not watch._sampler._thread.is_alive()


def test_the_energy_of_several_gpus_is_not_that_of_one():
    """Only the first is watched, and a model over two of them uses both."""
    attempt = Attempt(None, placement={"cuda:0": {}, "cuda:1": {}})
    assert "on 2 GPUs, and only one" in str(attempt.energy_joules)
    assert "ran a round more" in str(Attempt(None, more=True).energy_joules)


def test_sampling_costs_the_rounds_little(nvml, figure):
    """Rounds with and without a sampler, in turns, take the same time, within what noise allows."""
    device = torch.device("cpu")
    work_ = control._products(device)
    times = {True: [], False: []}
    for number in range(40):
        sampled = bool(number % 2)
        gpu = Gpu(nvml, "handle") if sampled else None
        with Watch("cpu", threads=1, control=lambda: STEADY_CONTROL, gpu=gpu, interval_s=0.02):
            times[sampled] += timed(lambda _: [work_() for _ in range(4)], rounds=1)
    ratio = median(times[True]) / median(times[False])
    figure(f"validity: sampler every 20 ms, rounds with : without {ratio:.4f}")
    assert ratio < 1.1
