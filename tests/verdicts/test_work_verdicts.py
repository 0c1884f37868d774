"""Verdicts on work: device time by statistics, calls as counters, and what both say of the wall."""

from __future__ import annotations

import dataclasses
import math

import pytest

from benchmarks.report import verdict_lines, verdict_markdown, verdict_table
from benchmarks.sessions import baseline
from benchmarks.sessions.outcome import Outcome, from_record
from benchmarks.verdicts.judgement import exit_status, judge
from tests.builders import CPU, GPU, LUCK, THROUGHPUT, info, phase, session

STEP_S = 0.0164
NOISE = 0.02  # of LUCK: medians of processes on one card are 0.01 to 0.03 % apart
KERNELS = {"gemm": 0.6, "any": 0.3, "gather": 0.1}
BUSY = {
    "valid": False,
    "reasons": ["share of the time in which threads waited for a core: 0.4, bound 0.05; wait"],
}


def spent(shift=0.0, *, clock_hz=1.98e9, valid=True, steps=8, **kernels):
    """Return device time whose repeats are all off by this share; kernels by seconds of a step."""
    seconds = {name: share * STEP_S for name, share in KERNELS.items()} | kernels
    scale = math.exp(shift)
    top = [
        {"name": name, "calls": 224 * steps, "device_s": each * scale * steps}
        for name, each in seconds.items()
    ]
    total = sum(seconds.values()) * scale
    part = {
        "steps": steps,
        "repeats_s": [total, total * 1.0005, total * 0.9995],
        "kernels": {"top": top, "rest": {"names": 0, "calls": 0, "device_s": 0.0}},
        "operators": {"top": [], "rest": {}},
    }
    reasons = [] if valid else ["SM clock fell: 0.05, bound 0.02; let it cool"]
    return {
        "prefill": part,
        "decode": part,
        "clocks": {"sm_clock_hz": clock_hz},
        "validity": {"valid": valid, "reasons": reasons},
    }


def counts(python=157_664, functions=None, **changes):
    """Return counters with calls, the same in both phases."""
    functions = functions or {"torch.nn.forward": 1000, "bitsandbytes.matmul": 500}
    found = phase(
        python_calls=python, c_calls=2 * python, functions=functions, c_functions={}, **changes
    )
    return {"decode_steps": [2, 6], "prefill": found, "decode": found}


def measured(luck=0.0, *, wall=0.0, card="a", device=None, called=None, hardware=GPU, **changes):
    """Return a session of one benchmark on a GPU."""
    rounds = [math.exp(wall + luck)] * 3
    record = info(
        rounds,
        device_time=spent(NOISE * luck) if device is None else device or None,
        counters=called or counts(),
        **changes,
    )
    return session((THROUGHPUT, rounds, record), hardware=hardware | {"card": card})


def work_only(**changes):
    """Return a session that was played for its work only, with the one round of its file."""
    found = measured(**changes)
    record = dict(found.measured[THROUGHPUT].info) | {"work_only": True, "rounds": []}
    record["validity"] = None
    record["metrics"] = record["metrics"] | {"peak_allocated_bytes": None}
    record["attestation"] = record["attestation"] | {"tokens_sha256": None}
    return session((THROUGHPUT, [0.1], record), hardware=found.hardware)


BASE = [measured(luck) for luck in LUCK[:5]]


def by_metric(verdicts):
    """Return verdicts by their metric."""
    return {each.metric: each for each in verdicts}


def one(head, metric="decode_device_s", base=BASE, **more):
    """Return the verdict on one metric of a session."""
    return by_metric(judge(base, [head], **more))[metric]


@pytest.mark.parametrize(
    ("shift", "outcome"),
    [
        (0.0, Outcome.NO_CHANGE),
        (0.001, Outcome.NO_CHANGE),  # sure, but below the floor
        (0.005, Outcome.REGRESSED),
        (-0.005, Outcome.IMPROVED),
        (0.03, Outcome.REGRESSED),
    ],
)
@pytest.mark.parametrize("gate", ["screen", "work"])
def test_half_a_percent_of_device_time_is_seen(shift, outcome, gate):
    """Its noise is small, so no duet is needed, whatever the gate."""
    found = one(measured(device=spent(shift)), gate=gate)
    assert found.outcome is outcome
    assert found.kind == "device"


def test_a_kernel_that_is_new_is_named():
    """The verdict says which kernels changed, in time and calls of a step."""
    found = one(measured(device=spent(spin_kernel=0.005 * STEP_S)))
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons == ("spin_kernel: new, 82 µs a step in 224 calls",)
    slower = spent(gemm=0.62 * STEP_S)
    (reason,) = one(measured(device=slower)).reasons
    assert reason == "gemm: 9.839 ms -> 10.17 ms a step in 224 calls"


def test_device_time_is_printed_as_a_time():
    """In the digits that its noise allows, and never as a bare number."""
    (line,) = [
        line
        for line in verdict_lines.lines(judge(BASE, [measured(device=spent(0.005))]))
        if line.startswith("  decode_device_s ")
    ]
    assert "16.4 ms  ->  16.482 ms  +0.50 %" in line


def test_a_clock_that_explains_it_leaves_it_open():
    """Device time follows the clock: another one is no regression of the code."""
    found = one(measured(device=spent(0.02, clock_hz=1.93e9)))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1,980 -> 1,930 MHz, which explains it" in found.detail
    assert one(measured(device=spent(0.05, clock_hz=1.93e9))).outcome is Outcome.REGRESSED


def test_device_time_can_be_invalid_by_itself():
    """A clock that moved during the repeats says nothing against the wall."""
    found = by_metric(judge(BASE, [measured(device=spent(0.03, valid=False))]))
    assert found["decode_device_s"].outcome is Outcome.INVALID
    assert "SM clock fell" in found["decode_device_s"].detail
    assert found["round_s"].outcome is Outcome.NO_CHANGE


def test_device_time_that_is_gone_is_missing():
    """Losing a measure is no pass: it says why there is none."""
    gone = measured(unmeasured={"decode_device_s": "decode: 1 of 9 calls have no record"})
    record = dict(gone.measured[THROUGHPUT].info) | {"device_time": None}
    lost = dataclasses.replace(
        gone, measured={THROUGHPUT: dataclasses.replace(gone.measured[THROUGHPUT], info=record)}
    )
    found = one(lost)
    assert found.outcome is Outcome.MISSING
    assert "1 of 9 calls have no record" in found.detail


@pytest.mark.parametrize(
    ("python", "outcome"),
    [
        (157_664, Outcome.NO_CHANGE),
        (158_500, Outcome.NO_CHANGE),  # half a percent: told
        (159_456, Outcome.REGRESSED),  # one more in each linear
        (93_000, Outcome.IMPROVED),
    ],
)
def test_calls_gate_from_one_percent_on(python, outcome):
    """They are exact, but fine: a branch that is taken once more is a call."""
    functions = {"torch.nn.forward": 1000, "bitsandbytes.matmul": 500, "injected": 1792}
    head = measured(called=counts(python, functions))
    found = one(head, "decode.python_calls")
    assert found.outcome is outcome
    if outcome is Outcome.REGRESSED:
        assert found.reasons == ("injected +448 calls a step",)
    if outcome is Outcome.NO_CHANGE and python != 157_664:
        assert "within 1 %" in found.detail
    assert one(head).outcome is Outcome.NO_CHANGE  # the device's figure isn't touched


def test_one_sentence_puts_host_and_device_together():
    """What moved on which side, above the table in Markdown."""
    verdicts = judge(BASE, [measured(called=counts(93_000))])
    (says,) = verdict_table.together(verdicts)
    assert says.startswith(
        "throughput[int8-decomp-b8-p16-n5]: host: 41 % fewer Python calls a step; device: no"
    )
    assert "host: 41 % fewer Python calls a step; device: no" in verdict_markdown.markdown(verdicts)
    (slower,) = verdict_table.together(judge(BASE, [measured(device=spent(0.01))]))
    assert "host: as many Python calls a step; device: 1 % longer (REGRESSED)" in slower
    assert not verdict_table.together(judge(BASE, [measured()]))


def test_a_busy_host_takes_no_verdict_on_work_away():
    """The wall is INVALID, and 12 where it is judged; work has its verdicts, first."""
    busy = measured(wall=0.5, validity=BUSY, device=spent(0.005))
    verdicts = judge(BASE, [busy])
    found = by_metric(verdicts)
    assert found["round_s"].outcome is Outcome.INVALID
    assert found["decode_device_s"].outcome is Outcome.REGRESSED
    fine = measured(wall=0.5, validity=BUSY)
    for each in (verdicts, judge(BASE, [fine])):
        lines = "\n".join(verdict_lines.lines(each))
        assert lines.index("decode_device_s") < lines.index("round_s")
    assert exit_status(judge(BASE, [fine])) == 12
    assert exit_status(judge(BASE, [fine], gate="work")) == 0
    assert not any(each.kind == "time" for each in judge(BASE, [fine], gate="work"))


@pytest.mark.parametrize("gate", ["screen", "strict"])
@pytest.mark.parametrize("wall", [0.05, 0.6])
def test_a_slower_wall_of_the_same_work_is_the_machines(wall, gate):
    """Suspicious, never REGRESSED, whatever its size: a duet may say otherwise."""
    found = one(measured(wall=wall), "round_s", gate=gate)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.suspicious
    assert "the work is the same to the last call" in found.detail
    assert "python -m benchmarks duet" in found.detail


@pytest.mark.parametrize("called", [counts(157_665), counts(kernel_launches=41)])
def test_a_slower_wall_of_other_work_is_a_regression(called):
    """One call more is enough for the machine not to be the likelier cause."""
    assert one(measured(wall=0.6, called=called), "round_s").outcome is Outcome.REGRESSED


def test_on_the_cpu_kernels_run_on_the_wall():
    """Equal calls say nothing of kernels there, and the words say so."""
    base = [measured(luck, device={}, hardware=CPU) for luck in LUCK[:5]]
    found = one(measured(wall=0.6, device={}, hardware=CPU), "round_s", base)
    assert found.outcome is Outcome.REGRESSED
    assert "only a duet can judge them" in found.detail


def test_work_alone_is_compared_with_whole_sessions_either_way():
    """Other tokens, another peak of memory and the one short round make no difference."""
    short = [work_only(luck=luck) for luck in LUCK[:5]]
    for base, head in ((BASE, work_only()), (short, measured()), (short, work_only())):
        verdicts = judge(base, [head], gate="work")
        assert {each.outcome for each in verdicts} == {Outcome.NO_CHANGE}
        assert exit_status(verdicts) == 0
        assert not any(each.kind == "time" for each in verdicts)
        metrics = {each.metric for each in verdicts}
        assert {"decode_device_s", "decode.python_calls", "weights_bytes"} <= metrics


def test_the_short_round_is_no_baseline_of_the_wall():
    """Where all baselines have nothing but work, the wall is new, and that is no pass."""
    short = [work_only(luck=luck) for luck in LUCK[:5]]
    verdicts = judge(short, [measured()])
    assert one(measured(), "round_s", short).outcome is Outcome.MISSING
    assert exit_status(verdicts) == 10
    mixed = by_metric(judge([*BASE, *short], [measured()]))
    assert mixed["round_s"].outcome is Outcome.NO_CHANGE
    assert not any(each.kind == "time" for each in judge(BASE, [work_only()]))


def promoted(found, day):
    """Return a session that passed and was promoted."""
    saved = {"passed": True, "promoted": {"when": f"{day:04}", "reason": None}}
    return dataclasses.replace(found, when=f"{day:04}", saved=saved)


def test_sessions_of_work_alone_become_baselines_and_push_no_times_away():
    """They pass without times that can be trusted; the newest with times still count."""
    timed = [promoted(each, day) for day, each in enumerate(BASE)]
    short = [promoted(work_only(), 100 + day) for day in range(30)]
    assert all(map(baseline.is_baseline, [*timed, *short]))
    kept = baseline.baselines([*timed, *short], measured())
    assert sum(not each.measured[THROUGHPUT].work_only for each in kept) == len(BASE)
    assert len(kept) == len(BASE) + baseline.MOST
    throttled = promoted(work_only(device=spent(valid=False)), 200)
    assert not baseline.is_baseline(throttled)


def test_verdicts_read_back_as_they_were_stored():
    """A workflow decides by what the session's file says."""
    for each in judge(BASE, [measured(device=spent(0.005))]):
        assert from_record(each.as_record()) == each
        assert from_record(each.as_record() | {"unknown": 1}) == each
