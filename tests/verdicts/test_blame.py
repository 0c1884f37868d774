"""Who is to blame for a slower wall: the machine, if what the code doesn't decide is slower too."""

import math

import pytest

from benchmarks.report import verdict_markdown
from benchmarks.sessions import comparable
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import exit_status, judge
from tests.builders import CPU, LUCK, PROFILE, SOFTWARE, THROUGHPUT, VALID, info, phase, session

OPERATORS = {f"aten::{name}": 0.01 * 1.7**n for n, name in enumerate("abcdefghij")}
CALLS = {"python_calls": 157_664, "c_calls": 300_000, "functions": {}, "c_functions": {}}
COUNTED = {"decode_steps": [2, 6], "prefill": phase(**CALLS), "decode": phase(**CALLS)}
CONTROL = {"control_device_s": 0.01, "control_host_s": 0.02}


def profile(**times):
    """Return a profiled phase on the CPU, some of whose operators took so many times longer."""
    return {
        "decode_steps": [2, 6],
        "wall_s": 1.0,
        "operators": [
            {
                "name": name,
                "calls": 28,
                "self_device_s": 0.0,
                "self_host_s": seconds * times.get(name[-1], times.get("others", 1.0)),
                "share": 0.1,
            }
            for name, seconds in OPERATORS.items()
        ],
    }


def measured(
    shift=0.0, *, decode=None, prefill=None, counters=COUNTED, software=SOFTWARE, **validity
):
    """Return a session on the CPU: its throughput, and a profile if there are phases."""
    rounds_s = [math.exp(shift)] * 3
    facts = {**VALID, **validity}
    facts["readings"] = CONTROL | facts.get("readings", {})
    record = info(rounds_s, counters=counters, validity=facts)
    benchmarks = [(THROUGHPUT, rounds_s, record)]
    if decode:
        phases = {"prefill": prefill or profile(), "decode": decode}
        single = info([0.2] * 3, new_tokens=1, counters=counters, profile=phases)
        benchmarks.append((PROFILE, [0.2] * 3, single))
    return session(*benchmarks, hardware=CPU, software=software)


BASE = [measured(luck, decode=profile()) for luck in LUCK]
TWICE = math.log(2.1)


def one(verdicts, metric="tpot_s"):
    """Return the verdict on one metric of the throughput."""
    (found,) = (e for e in verdicts if (e.metric, e.benchmark) == (metric, THROUGHPUT))
    return found


@pytest.mark.parametrize("gate", ["screen", "strict"])
@pytest.mark.parametrize(
    "decode",
    [
        profile(others=2.1),
        profile(others=1.6),
        profile(others=2.0, a=10.6, b=3.5, c=0.99),  # as a busy core gives them
    ],
)
def test_operators_that_are_slower_alike_are_the_machines(decode, gate):
    """The same work to the last call: suspicious, with a duet as the next step."""
    verdicts = judge(BASE, [measured(TWICE, decode=decode)], gate=gate)
    found = one(verdicts)
    assert (found.outcome, found.suspicious) == (Outcome.INCONCLUSIVE, True)
    assert "the work is the same to the last call, and " in found.detail
    assert "of 10 operators took longer as well" in found.detail
    assert "so the machine is the likelier cause; decide it: python -m benchmarks" in found.detail
    assert exit_status([found]) == 11
    assert "the machine is the likelier cause" in verdict_markdown.markdown(verdicts)


@pytest.mark.parametrize(
    "head",
    [
        measured(TWICE, decode=profile(j=5.0)),  # the one that takes longest
        measured(TWICE, decode=profile(others=1.1, j=4.0)),
        measured(TWICE, decode=profile(others=2.1, a=0.9, b=0.9)),
        measured(TWICE, decode=profile(), prefill=profile(others=2.1)),  # of another phase
        measured(TWICE),  # nothing is known of operators
        measured(
            TWICE, decode=profile(others=2.1), software={**SOFTWARE, "torch": "2.14.0"}
        ),  # which may make them all slower
        measured(
            TWICE,
            decode=profile(others=2.1),
            counters={**COUNTED, "decode": phase(**{**CALLS, "c_calls": 300_001})},
        ),
    ],
)
def test_anything_else_is_still_a_regression(head):
    """One kernel, another phase, another build, or one call more: the code may be the cause."""
    found = one(judge(BASE, [head]))
    assert found.outcome is Outcome.REGRESSED
    assert "likelier" not in found.detail


def test_the_prefill_is_judged_by_its_own_operators():
    """Each phase by itself, and the round by both."""
    slow = profile(others=2.1)
    for phases, metrics in (
        ({"decode": profile(), "prefill": slow}, {"ttft_s"}),
        ({"decode": slow, "prefill": slow}, {"ttft_s", "tpot_s", "round_s"}),
    ):
        verdicts = judge(BASE, [measured(TWICE, **phases)])
        suspicious = {e.metric for e in verdicts if e.suspicious and e.benchmark == THROUGHPUT}
        assert suspicious == metrics


@pytest.mark.parametrize(
    ("readings", "outcome"),
    [
        ({"control_device_s": 0.021, "control_host_s": 0.042}, Outcome.INCONCLUSIVE),
        ({"control_device_s": 0.021}, Outcome.REGRESSED),
        ({"control_device_s": None, "control_host_s": 0.042}, Outcome.REGRESSED),
        ({"control_device_s": 0.011, "control_host_s": 0.022}, Outcome.REGRESSED),
    ],
)
def test_so_is_work_of_the_suites_own_that_is_slower(readings, outcome):
    """Without a profile, as with -k throughput: it is the same at all times."""
    found = one(judge(BASE, [measured(TWICE, readings=readings)]))
    assert found.outcome is outcome
    assert ("the suite's own work took 2.1 times as long" in found.detail) == found.suspicious


LIFTED = {"bounds_lifted": ["core_wait_share", "trend_size"]}
WIDENED = {"bounds_widened": {"core_wait_share": 0.9}}


@pytest.mark.parametrize("loose", [LIFTED, WIDENED])
def test_a_machine_beyond_bounds_that_were_lifted_is_no_witness(loose):
    """Nobody asked whether it was busy, but it is known, and the summary says it."""
    busy = measured(TWICE, readings={"core_wait_share": 0.5}, **loose)
    found = one(judge(BASE, [busy]))
    assert (found.outcome, found.suspicious) == (Outcome.INCONCLUSIVE, True)
    assert "other programs used 50 % of this core, beyond a bound that was lifted" in found.detail
    *_, note = comparable.notes(BASE, [busy])
    assert note == (
        "the machine couldn't be trusted by the usual bounds (--bounds lifted them): "
        "other programs used 50 % of this core"
    )
    assert "other programs used 50 %" in verdict_markdown.markdown([found], [note])


@pytest.mark.parametrize("readings", [{"core_wait_share": 0.01}, {"trend_size": 0.4}, {}])
def test_a_quiet_machine_is_not_to_blame_for_lifted_bounds(readings):
    """Nor are rounds that drift, which the code may do as well."""
    found = one(judge(BASE, [measured(TWICE, readings=readings, **LIFTED)]))
    assert found.outcome is Outcome.REGRESSED


def test_a_smaller_change_that_is_suspicious_says_so_too():
    """It is open anyway, and the words help to decide it."""
    found = one(judge(BASE, [measured(0.06, decode=profile(others=1.06))]))
    assert found.suspicious
    assert "10 of 10 operators took longer as well" in found.detail
