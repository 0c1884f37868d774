"""Verdicts: every outcome, every exit status, and nothing that passes without being compared."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.verdicts.judgement import exit_status, judge
from tests.builders import LUCK, MACHINE, PROFILE, SAVED, THROUGHPUT, foreign, info, session
from tests.verdicts.sides import BASE, ROUNDS, decoding, head, measured, one, rounds_s

FAILED = SAVED | {"passed": False, "exit_status": 1}
INVALID = {"valid": False, "reasons": ["too many context switches: 99, bound 60; stop others"]}


@pytest.mark.parametrize(
    ("base", "head", "absent", "says"),
    [
        (False, True, {}, "new"),
        (True, False, {}, "gone"),
        (True, False, {THROUGHPUT: Cause.SKIPPED}, "skipped: it has no result"),
        (True, False, {THROUGHPUT: Cause.FAILED}, "failed: it has no result"),
    ],
)
def test_what_one_side_lacks_is_missing(base, head, absent, says):
    """New, gone, skipped and failed benchmarks are named, and end by 10."""
    both = (PROFILE, ROUNDS, None)
    sides = [
        [session(both, *([(THROUGHPUT, ROUNDS, None)] if has else []))] for has in (base, head)
    ]
    verdicts = judge(*sides, absent=absent)
    found = one(verdicts, "-")
    assert found.outcome is Outcome.MISSING
    assert found.detail.startswith(says)
    assert exit_status(verdicts) == 10


def test_nothing_compared_is_no_pass():
    """No baselines at all, and no benchmarks at all, both end by 10."""
    for sides in (([], BASE), (BASE, []), ([], []), ([session()], [session()])):
        assert exit_status(judge(*sides)) == 10


def with_hardware(**changes):
    """Return a session on another machine."""
    hardware = {**MACHINE["hardware"], **changes}
    return dataclasses.replace(measured(), machine={**MACHINE, "hardware": hardware})


@pytest.mark.parametrize(
    "other",
    [
        with_hardware(gpu="Another GPU"),
        with_hardware(gpu_count=2),
        measured(workload={**info(ROUNDS)["workload"], "model": "another"}),
        measured(attestation={"checkpoint": {"index_sha256": "another"}, "tokens_sha256": "t"}),
    ],
)
def test_another_machine_or_workload_is_not_compared(other):
    """The fact that differs is named; sessions that are alike are still compared."""
    verdicts = judge([measured()], [other])
    (found,) = verdicts
    assert found.outcome is Outcome.NOT_COMPARABLE
    assert "another" in found.detail
    assert exit_status(verdicts) == 10
    mixed = one(judge([*BASE, other], [measured()]))
    assert mixed.outcome is Outcome.NO_CHANGE
    assert "1 left out (another" in mixed.detail


def test_where_no_baseline_is_left_another_machine_is_the_reason():
    """It is what a user can act on, whatever else is wrong with other baselines."""
    failed = dataclasses.replace(measured(), saved=FAILED)
    other = with_hardware(gpu="Another GPU")
    for base in ([failed, other], [other, failed]):
        (found,) = judge(base, [measured()])
        assert found.outcome is Outcome.NOT_COMPARABLE


def test_new_sessions_of_several_machines_are_not_put_together():
    """No baseline is alike to both of them."""
    verdicts = judge(BASE, [measured(), with_hardware(gpu="Another GPU")])
    assert [each.outcome for each in verdicts] == [Outcome.NOT_COMPARABLE]


def test_times_that_cant_be_trusted_are_invalid_and_counters_still_count():
    """A busy machine changes no counter."""
    verdicts = head(validity=INVALID)
    assert one(verdicts).outcome is Outcome.INVALID
    assert "context switches" in one(verdicts).detail
    assert exit_status(verdicts) == 12
    assert exit_status(head(validity=INVALID, counters=decoding(kernel_launches=41))) == 1


def test_an_invalid_baseline_is_left_out():
    """Its times say nothing; where no other is left, that is the verdict."""
    doubted = measured(validity=INVALID)
    found = one(judge([doubted], [measured()]))
    assert found.outcome is Outcome.MISSING
    assert "no baseline could be trusted" in found.detail
    found = one(judge([*BASE, doubted], [measured()]))
    assert found.outcome is Outcome.NO_CHANGE
    assert "1 left out (too many context switches" in found.detail


def test_a_restart_that_one_side_disturbs_is_left_out():
    """Both sides shared the machine."""
    slow = [measured(0.05 + luck) for luck in LUCK]
    found = one(judge(BASE, [measured(0.9, validity=INVALID), *slow[1:]], paired=True))
    assert found.outcome is Outcome.REGRESSED
    assert found.change < 0.1


def test_a_session_that_failed_is_no_pass_and_no_baseline():
    """A failed session didn't measure all; forced to be a baseline, with a reason, it is one."""
    failed = dataclasses.replace(measured(), saved=FAILED)
    assert exit_status(judge(BASE, [failed])) == 12
    (found,) = judge([failed], [measured()])
    assert (found.outcome, exit_status([found])) == (Outcome.INVALID, 12)
    forced = {**FAILED, "promoted": {"when": "now", "forced": "we know"}}
    assert exit_status(judge([dataclasses.replace(failed, saved=forced)], [measured()])) == 0


def test_a_failed_side_of_a_duet_is_no_pass():
    """Restarts whose head failed say nothing, and nothing that was compared is no pass."""
    failed = [dataclasses.replace(each, saved=FAILED) for each in BASE]
    assert exit_status(judge(BASE, failed, paired=True)) in (10, 12)
    assert exit_status(judge(failed, BASE, paired=True)) in (10, 12)


def test_the_exit_status_is_that_of_the_worst():
    """1 before 12 before 10 before 11 before 0."""
    order = [
        (Outcome.REGRESSED, 1),
        (Outcome.INVALID, 12),
        (Outcome.NOT_COMPARABLE, 10),
        (Outcome.MISSING, 10),
        (Outcome.INCONCLUSIVE, 11),
        (Outcome.IMPROVED, 0),
        (Outcome.NO_CHANGE, 0),
    ]
    for index, (outcome, status) in enumerate(order):
        rest = [Verdict("b", "m", "time", other) for other, _ in order[index:]]
        assert exit_status(rest[::-1]) == status, outcome
    assert exit_status([]) == 10
    known = Verdict("b", "m", "time", Outcome.REGRESSED, acknowledged="known")
    assert exit_status([known]) == 0


SHIFTS = st.lists(st.floats(-0.03, 0.03), min_size=1, max_size=6)
CHANGE = st.floats(-0.3, 0.3)
RANK = {Outcome.IMPROVED: 0, Outcome.NO_CHANGE: 1, Outcome.INCONCLUSIVE: 1, Outcome.REGRESSED: 2}


def _judged(base, change, *, paired, extra=0.0):
    """Return the verdict on sessions that all differ by a change and their own luck."""
    ours = [foreign(rounds_s(luck)) for luck in base]
    theirs = [foreign(rounds_s(luck / 2 + change + extra)) for luck in base[::-1]]
    (found,) = judge(ours, theirs[: len(base) if paired else 2], paired=paired, gate="strict")
    return found


@given(SHIFTS, CHANGE, st.floats(0, 0.2), st.booleans())
def test_a_larger_slowdown_is_never_judged_better(base, change, extra, paired):
    """Improved, then nothing sure, then regressed."""
    less = _judged(base, change, paired=paired)
    more = _judged(base, change, paired=paired, extra=extra)
    assert RANK[less.outcome] <= RANK[more.outcome]


MIRROR = {
    Outcome.REGRESSED: Outcome.IMPROVED,
    Outcome.IMPROVED: Outcome.REGRESSED,
    Outcome.NO_CHANGE: Outcome.NO_CHANGE,
    Outcome.INCONCLUSIVE: Outcome.INCONCLUSIVE,
}


@given(SHIFTS, SHIFTS, CHANGE, st.booleans(), st.sampled_from(["screen", "strict"]))
def test_swapped_sides_mirror_the_verdict(base, others, change, paired, gate):
    """What regressed one way has improved the other way."""
    sides = (
        [foreign(rounds_s(luck)) for luck in base],
        [foreign(rounds_s(luck + change)) for luck in others],
    )
    if paired:
        sides = tuple(side[: min(len(base), len(others))] for side in sides)
    (there,) = judge(*sides, paired=paired, gate=gate)
    (back,) = judge(*sides[::-1], paired=paired, gate=gate)
    assert MIRROR[there.outcome] is back.outcome
    assert there.suspicious == back.suspicious


@given(
    st.lists(st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)), min_size=1, max_size=6),
    st.floats(1e-4, 1e4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_verdicts_depend_on_neither_the_order_of_files_nor_the_unit(pairs, unit, paired, rng):
    """Milliseconds in another order give the same verdict."""

    def side(index, pairs, unit):
        return [foreign([unit * each for each in rounds_s(pair[index])]) for pair in pairs]

    (plain,) = judge(side(0, pairs, 1), side(1, pairs, 1), paired=paired)
    shuffled = rng.sample(pairs, len(pairs))
    (other,) = judge(side(0, shuffled, unit), side(1, shuffled, unit), paired=paired)
    assert other.outcome is plain.outcome
    assert other.change == pytest.approx(plain.change, abs=1e-9)
