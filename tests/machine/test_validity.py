"""What makes rounds invalid, one reading at a time, on made-up observations."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import steadiness
from benchmarks.machine.bounds import Bounds
from benchmarks.machine.readings import Observations
from benchmarks.machine.validity import judge

STEADY = (1.0, 1.01, 0.99, 1.0, 1.01)
NOW = {
    "wall_s": 10.0, "cpu_s": 10.0, "involuntary_switches": 20, "voluntary_switches": 5,
    "core_wait_s": 0.01, "machine_busy_s": 10.5, "machine_steal_s": 0.0, "load_average": 1.5,
    "throttled_s": 0.0, "memory_stall_s": 0.0, "swapped_pages": 0, "total_energy_joules": 3000.0,
    "total_ecc_corrected_errors": 0, "total_ecc_uncorrected_errors": 0,
}  # fmt: skip
SAMPLE = {
    "sm_clock_hz": 1.98e9, "memory_clock_hz": 2.6e9, "temperature_celsius": 60,
    "power_watts": 300.0, "clock_reasons": "applications_clocks_setting", "utilization": 0.9,
    "memory_used_bytes": 10**9, "other_gpu_processes": 0, "other_gpu_pids": "",
}  # fmt: skip
CONTROL = {"device_s": 0.010, "host_s": 0.012}


def seen(device="cpu", rounds_s=STEADY, facts=None, samples=(SAMPLE,) * 20, controls=None, **now):
    """Return ten healthy seconds, but for what is given."""
    return Observations(
        device=device,
        rounds_s=rounds_s,
        facts={"threads": 1, "machine_cores": 2, "available_cores": 2, "slowdown_celsius": 90}
        | (facts or {}),
        counts=NOW | now,
        samples=samples,
        controls=controls or [CONTROL, CONTROL, CONTROL],
    )


def test_a_healthy_machine_is_valid():
    """Nothing exceeds its bound, and what was read is kept."""
    for device in ("cpu", "cuda"):
        validity = judge(seen(device))
        assert validity.valid
        assert validity.reasons == ()
        assert validity.readings["energy_joules"] == 3000.0


GUARDS = {
    "involuntary_switches_per_s": seen(involuntary_switches=1250),
    "core_wait_share": seen(core_wait_s=5.0),
    "off_core_share": seen(cpu_s=5.0),
    "crowding_cores": seen(machine_busy_s=25.0),
    "excess_load": seen(machine_busy_s=Unmeasured("no /proc"), load_average=3.5),
    "throttled_share": seen(throttled_s=0.1),
    "memory_stall_share": seen(memory_stall_s=0.5),
    "swapped_pages_per_s": seen(swapped_pages=50_000),
    "threads_over_cores": seen(facts={"threads": 2, "available_cores": 1.5}),
    "control_device_slowdown": seen(controls=[CONTROL, CONTROL, CONTROL | {"device_s": 0.02}]),
    "control_host_slowdown": seen(controls=[CONTROL, CONTROL | {"host_s": 0.02}, CONTROL]),
    "trend_size": seen(rounds_s=(1.0, 1.06, 1.12, 1.18, 1.24)),
    "first_round_excess": seen(rounds_s=(1.4, *STEADY)),
    "outlier_share": seen(rounds_s=(1.0, 1.01, 1.5, 0.99, 1.0, 1.6, 1.01)),
    "throttled_samples_share": seen(
        samples=[SAMPLE, SAMPLE | {"clock_reasons": "gpu_idle,hw_thermal_slowdown"}]
    ),
    "clock_drop": seen(samples=[SAMPLE] * 10 + [SAMPLE | {"sm_clock_hz": 1.5e9}] * 10),
    "degrees_over_limit": seen(samples=[SAMPLE, SAMPLE | {"temperature_celsius": 89}]),
    "other_gpu_processes": seen(
        samples=[SAMPLE, SAMPLE | {"other_gpu_processes": 1, "other_gpu_pids": "4711"}]
    ),
    "ecc_errors": seen(total_ecc_uncorrected_errors=1),
}


def test_every_bound_has_its_case():
    """A bound without a case here would be a guard that nobody tried."""
    assert set(GUARDS) == {bound.name for bound in fields(Bounds)}


@pytest.mark.parametrize("name", GUARDS)
def test_each_reading_beyond_its_bound_is_a_reason(name):
    """That reason alone, on one line, with what it is, the figure, the bound and the next step."""
    validity = judge(GUARDS[name])
    assert not validity.valid
    (reason,) = validity.reasons
    (bound,) = [each for each in fields(Bounds) if each.name == name]
    assert reason.startswith(bound.metadata["what"] + ": ")
    assert f", bound {bound.default:g}; {bound.metadata['next_step']}" in reason
    assert "\n" not in reason


@pytest.mark.parametrize("name", GUARDS)
def test_each_bound_can_be_moved(name):
    """With its bound out of the way the same observations are valid."""
    assert judge(GUARDS[name], replace(Bounds(), **{name: 1e9})).valid


def test_a_reason_names_the_cause():
    """Why the clocks were down, and which process was there, are part of the line."""
    assert "(hw_thermal_slowdown)" in judge(GUARDS["throttled_samples_share"]).reasons[0]
    assert "(4711)" in judge(GUARDS["other_gpu_processes"]).reasons[0]


def test_on_a_gpu_the_host_may_sleep():
    """Waiting for the device is no sign of a neighbour, nor are threads that torch doesn't use."""
    observed = seen("cuda", cpu_s=1.0, machine_busy_s=1.5, facts={"threads": 64})
    validity = judge(observed)
    assert validity.valid
    assert isinstance(validity.readings["off_core_share"], Unmeasured)


def test_a_busy_neighbour_is_seen_on_a_gpu_as_well():
    """A host thread that waits for a core, not for the device, is late to launch work."""
    assert not judge(seen("cuda", core_wait_s=3.0)).valid


def test_own_threads_are_not_other_programs():
    """Threads beyond the cores wait for each other: that is one finding, and its own."""
    observed = seen(facts={"threads": 4}, machine_busy_s=20.0, cpu_s=20.0, core_wait_s=20.0)
    found = {each.reading: each.value for each in judge(observed).findings}
    assert found.keys() == {"threads_over_cores", "core_wait_share"}
    assert found["core_wait_share"] == 1  # the sum over all threads is twice the time


def test_the_load_average_counts_only_without_better():
    """It lags by a minute: a machine that was busy before, but isn't now, is fine."""
    assert judge(seen(load_average=9.0)).valid


def test_a_few_events_in_a_short_time_are_no_rate():
    """Five switches in 20 ms are not 250 per second."""
    assert judge(seen(wall_s=0.02, cpu_s=0.02, machine_busy_s=0.02, involuntary_switches=5)).valid


def test_nothing_measured_is_valid_but_says_so():
    """Without any reading there are reasons of null for each, no guess, and no refusal."""
    gone = Unmeasured("NVML can't be used (Insufficient Permissions)")
    bare = Observations("cuda", (1.0,), {}, {}, no_gpu=gone)
    record = judge(bare).as_record()
    assert record["valid"]
    names = {bound.name for bound in fields(Bounds)}
    assert names <= set(record["unmeasured"])
    assert all(record["readings"][name] is None for name in names)
    assert "Insufficient Permissions" in record["unmeasured"]["other_gpu_processes"]


def test_the_record_is_json():
    """It is stored as it is."""
    record = judge(GUARDS["clock_drop"]).as_record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["findings"] == [
        {"reading": "clock_drop", "value": pytest.approx(0.2424, abs=1e-4), "bound": 0.05}
    ]


def test_a_slow_start_of_the_session_is_forgiven():
    """What was slow before the first benchmark must not refuse every later one."""
    slow = {name: seconds * 2 for name, seconds in CONTROL.items()}
    assert judge(seen(controls=[slow, CONTROL, CONTROL])).valid
    assert not judge(seen(controls=[CONTROL, slow, slow])).valid


def test_cold_rounds_need_not_be_steady():
    """The first generations of a process get faster; that is what they measure."""
    rounds_s = (3.0, 2.0, 1.0, 0.9, 0.8)
    assert not judge(seen(rounds_s=rounds_s)).valid
    assert judge(replace(seen(rounds_s=rounds_s), cold=True)).valid


@pytest.mark.parametrize(
    ("rounds_s", "more"),
    [((), True), ((1,), True), ((3, 1), True), ((3, 1, 1.02), False), ((1, 2), False)],
)
def test_warm_up_goes_on_while_rounds_get_faster(rounds_s, more):
    """Until the last round is not much faster than the one before it."""
    assert steadiness.needs_more_warmup(rounds_s) is more


def test_a_trend_needs_order():
    """The same rounds in another order drift nowhere; backwards, they drift the other way."""
    up = [1.0, 1.1, 1.2, 1.3, 1.4]
    assert steadiness.trend(up) == pytest.approx(0.4 / 1.2)
    assert steadiness.trend(up[::-1]) == pytest.approx(-0.4 / 1.2)
    assert steadiness.trend([1.2, 1.0, 1.4, 1.1, 1.3]) == 0


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=25), st.floats(0.01, 100))
def test_steadiness_does_not_depend_on_the_unit(rounds_s, scale):
    """Seconds or milliseconds, all figures of the rounds are the same."""
    rounds_s = [round(each, 3) for each in rounds_s]
    scaled = [each * scale for each in rounds_s]
    for formula in (steadiness.first_excess, steadiness.trend):
        assert formula(scaled) == pytest.approx(formula(rounds_s), abs=1e-6)
    assert 0 <= steadiness.outlier_share(rounds_s) <= 0.5


def test_one_outlier_of_five_does_not_move_a_median():
    """It is recorded, but the rounds count."""
    validity = judge(seen(rounds_s=(1.0, 1.01, 40.0, 1.0, 0.99)))
    assert validity.valid
    assert validity.readings["outlier_share"] == 0.2


def test_ordinary_noise_is_not_called_invalid(figure):
    """Of 40 recorded processes of identical code, few are refused, and only for slow stretches."""
    data = Path(__file__).parents[1] / "data" / "restarts.json"
    sessions = [run["rounds_s"] for run in json.loads(data.read_text())["runs"]]
    refused = sum(not judge(seen(rounds_s=rounds_s)).valid for rounds_s in sessions)
    short = sum(not judge(seen(rounds_s=rounds_s[:5])).valid for rounds_s in sessions)
    figure(f"validity: {refused} of 40 recorded sessions refused, {short} when cut to 5 rounds")
    assert refused <= 5
    assert short <= 1
