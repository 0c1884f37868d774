"""Verdicts: every outcome, every exit status, and nothing that passes without being compared."""

from __future__ import annotations

import dataclasses
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.verdicts.acknowledged import Acknowledgement
from benchmarks.verdicts.judgement import exit_status, judge
from benchmarks.verdicts.times import series
from tests.builders import (
    LUCK,
    MACHINE,
    PROFILE,
    SAVED,
    THROUGHPUT,
    WARMUP,
    foreign,
    info,
    phase,
    profile,
    session,
)

ROUNDS = (1.0, 1.003, 0.998, 1.001, 0.999)
TODAY = date(2026, 11, 24)
RANK = {Outcome.IMPROVED: 0, Outcome.NO_CHANGE: 1, Outcome.INCONCLUSIVE: 1, Outcome.REGRESSED: 2}


def rounds_s(shift=0.0):
    """Return five rounds, all of them off by the same share, on the log scale."""
    return [each * math.exp(shift) for each in ROUNDS]


def measured(shift=0.0, name=THROUGHPUT, **changes):
    """Return a session of one benchmark."""
    found = rounds_s(shift)
    return session((name, found, info(found, **changes)))


BASE = [measured(luck) for luck in LUCK]


def one(verdicts, metric="round_s", benchmark=THROUGHPUT):
    """Return the verdict on one metric."""
    (found,) = (each for each in verdicts if (each.metric, each.benchmark) == (metric, benchmark))
    return found


def head(**changes):
    """Return verdicts on a session whose record differs by this."""
    return judge(BASE, [measured(0.001, **changes)])


def decoding(**changes):
    """Return counters of which those of decoding differ by this."""
    return {"decode_steps": [2, 6], "prefill": phase(), "decode": phase(**changes)}


def with_metrics(**changes):
    """Return verdicts on a session whose metrics differ by this."""
    return head(metrics={**info(ROUNDS)["metrics"], **changes})


OTHER_TOKENS = {"checkpoint": {"index_sha256": "w"}, "tokens_sha256": "other"}


@pytest.mark.parametrize(
    ("shift", "gate", "outcome", "suspicious"),
    [
        (0.0, "screen", Outcome.NO_CHANGE, False),
        (0.005, "strict", Outcome.NO_CHANGE, False),
        (0.05, "screen", Outcome.INCONCLUSIVE, True),
        (0.05, "strict", Outcome.REGRESSED, False),
        (0.15, "screen", Outcome.REGRESSED, False),
        (-0.05, "screen", Outcome.INCONCLUSIVE, True),
        (-0.05, "strict", Outcome.IMPROVED, False),
        (-0.15, "screen", Outcome.IMPROVED, False),
    ],
)
def test_the_past_screens(shift, gate, outcome, suspicious):
    """Beyond what sessions vary is suspicious; what is gross as well needs no duet."""
    found = one(judge(BASE, [measured(shift)], gate=gate))
    assert (found.outcome, found.suspicious) == (outcome, suspicious)
    assert found.low < found.change < found.high
    if suspicious:
        assert "python -m benchmarks duet --base" in found.detail


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize(
    ("shift", "outcome", "status"),
    [
        (0.01, Outcome.NO_CHANGE, 0),
        (0.07, Outcome.INCONCLUSIVE, 11),
        (0.15, Outcome.REGRESSED, 1),
        (-0.15, Outcome.IMPROVED, 0),
    ],
)
def test_one_or_two_baselines_tell_gross_changes_only(sessions, shift, outcome, status):
    """How much sessions vary isn't known then, and that is said."""
    verdicts = judge(BASE[:sessions], [measured(shift)], gate="strict")
    found = one(verdicts)
    assert found.outcome is outcome
    assert found.p is found.low is found.high is None
    assert f"only {sessions} baseline" in found.detail
    assert exit_status(verdicts) == status


def test_baselines_that_vary_too_much_are_not_a_pass():
    """An interval in which a slowdown of 15 % hides shows nothing."""
    noisy = [measured(12 * luck) for luck in LUCK]
    verdicts = judge(noisy, [measured()])
    assert one(verdicts).outcome is Outcome.INCONCLUSIVE
    assert exit_status(verdicts) == 11
    assert one(judge(noisy, [measured(0.9)])).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("spread", "change", "outcome", "says"),
    [
        (1, 0.016, Outcome.NO_CHANGE, "by chance"),
        (1, 0.04, Outcome.INCONCLUSIVE, "suspicious"),  # sure, even among so many
        (4, 0.07, Outcome.INCONCLUSIVE, "suspicious"),  # by itself
        (4, 0.13, Outcome.REGRESSED, "beyond"),
        (13, 0.25, Outcome.INCONCLUSIVE, "suspicious"),  # gross, but within what hides 15 %
    ],
)
def test_one_of_many_times_goes_beyond_its_interval_by_chance(spread, change, outcome, says):
    """It has to be sure among all of them, or large by itself."""
    first, *others = (f"t::test_b{number}" for number in range(40))

    def all_of(shift, of_first=0.0):
        rest = ((name, rounds_s(shift), None) for name in others)
        return session((first, rounds_s(shift + of_first), None), *rest)

    base = [all_of(spread * luck) for luck in LUCK]
    found = one(judge(base, [all_of(0.0, math.log1p(change))]), benchmark=first)
    assert found.low > 0
    assert found.outcome is outcome
    assert says in found.detail


def duet(change, luck=LUCK[:5]):
    """Return both sides of a duet, each restart with its own luck."""
    shared = [0.01 * number for number, _ in enumerate(luck)]
    slow = [each + own + math.log1p(change) for each, own in zip(shared, luck, strict=True)]
    return tuple([foreign(rounds_s(shift)) for shift in side] for side in (shared, slow))


@pytest.mark.parametrize(
    ("change", "outcome", "says"),
    [
        (0.0, Outcome.NO_CHANGE, "2% is ruled out"),
        (0.0085, Outcome.NO_CHANGE, "smaller than 1%"),
        (0.02, Outcome.REGRESSED, "over 5 restarts"),
        (-0.02, Outcome.IMPROVED, "over 5 restarts"),
    ],
)
def test_a_duet_decides(change, outcome, says):
    """Its restarts share the state of the machine, so that 2 % is found."""
    (found,) = judge(*duet(change), paired=True)
    assert found.outcome is outcome
    assert says in found.detail
    assert found.low < found.change < found.high


def test_an_open_duet_says_what_it_would_have_found_and_what_decides():
    """Inconclusive is a result, with the next step."""
    (found,) = judge(*duet(0.01, [4 * each for each in LUCK[:5]]), paired=True)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "5 restarts would have found 3.4%; 14 more decide" in found.detail
    for much in (6, 40):  # more restarts than anyone plays would decide, or none
        (found,) = judge(*duet(0.01, [much * each for each in LUCK[:5]]), paired=True)
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "to decide: quieten the machine, or raise --rounds" in found.detail


@pytest.mark.parametrize("change", [0.05, 0.2, -0.5, 3.0])
@pytest.mark.parametrize("restarts", [1, 2])
def test_fewer_than_three_restarts_decide_nothing(change, restarts):
    """They don't tell how much they vary, so identical code would be told apart by one of them."""
    (found,) = judge(*duet(change, LUCK[:restarts]), paired=True)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.p is None
    assert f"only {restarts} restart" in found.detail
    assert "too few to tell how much they vary; 3 at least" in found.detail


def test_a_duet_needs_pairs():
    """A side with a session too many is an error, not a guess."""
    base, slow = duet(0.0)
    with pytest.raises(InputError, match=r"as many sessions of head as of base.*5 of base and 4"):
        judge(base, slow[:-1], paired=True)


def test_rounds_of_a_duet_without_a_partner_are_left_out():
    """A restart that was cut short counts as far as both sides ran, and that is said."""
    base, slow = duet(0.0)
    cut = [foreign(each.measured["test_a"].rounds_s[:3]) for each in slow[:1]] + slow[1:]
    (found,) = judge(base, cut, paired=True)
    assert found.outcome is Outcome.NO_CHANGE
    assert "1 restart with more rounds on one side" in found.detail


def test_a_restart_that_one_side_lacks_is_left_out():
    """A worker that failed leaves no pair; where none is left, nothing was compared."""
    base, slow = duet(0.02)
    half = [dataclasses.replace(slow[0], measured={}), *slow[1:]]
    (found,) = judge(base, half, paired=True)
    assert found.outcome is Outcome.REGRESSED
    assert "1 left out" in found.detail
    (found,) = judge(base[:1], half[:1], paired=True)
    assert found.outcome is Outcome.MISSING


def test_prefill_and_decode_are_judged_by_themselves():
    """TTFT and TPOT have their own verdicts; a single new token has no TTFT beside its round."""
    assert {each.metric for each in judge(BASE, [measured()]) if each.kind == "time"} == {
        "round_s",
        "ttft_s",
        "tpot_s",
    }
    single = measured(name=PROFILE, new_tokens=1)
    times = [each.metric for each in judge([single], [single]) if each.kind == "time"]
    assert times == ["round_s"]


def test_of_a_cold_start_only_the_very_first_round_is_judged():
    """It varies a lot, so that only a gross change counts; a warm first round isn't judged."""

    def cold(shift, *, cold=True):
        found = [rounds_s(shift)[0], *rounds_s()[1:]]
        return session((WARMUP, found, info(found, cold_process=cold)))

    base = [cold(luck) for luck in LUCK]
    for shift, outcome in ((0.15, Outcome.NO_CHANGE), (0.4, Outcome.REGRESSED)):
        verdicts = judge(base, [cold(shift)], gate="strict")
        assert [each.metric for each in verdicts if each.kind == "time"] == ["cold_round_s"]
        assert one(verdicts, "cold_round_s", WARMUP).outcome is outcome
    warm = judge([cold(0, cold=False)], [cold(0.4, cold=False)])
    assert {each.kind for each in warm} == {"counter", "memory", "agreement"}


@pytest.mark.parametrize(
    ("name", "changed", "outcome"),
    [
        ("kernel_launches", {"kernel_launches": 41}, "REGRESSED"),
        ("copies_device_to_host", {"copies_device_to_host": 2}, "IMPROVED"),
        ("allocations", {}, "NO CHANGE"),
        (
            "synchronizations.stream",
            {"synchronizations": {"stream": 6, "event": 0, "device": 0}},
            "REGRESSED",
        ),
    ],
)
def test_counters_gate_exactly(name, changed, outcome):
    """One launch more is a regression, whatever the clock says; each kind of wait counts."""
    verdicts = head(counters=decoding(**changed))
    assert one(verdicts, f"decode.{name}").outcome.value == outcome
    assert one(verdicts, f"prefill.{name}").outcome is Outcome.NO_CHANGE
    assert exit_status(verdicts) == (outcome == "REGRESSED")


def test_a_counter_that_was_zero_may_not_grow():
    """There is no ratio to zero, and so nothing that an acknowledgement could cover."""
    known = [Acknowledgement("*", "*", 10.0, "known", TODAY)]
    changed = decoding(synchronizations={"stream": 5, "event": 0, "device": 1})
    verdicts = judge(BASE, [measured(counters=changed)], acknowledged=known, today=TODAY)
    found = one(verdicts, "decode.synchronizations.device")
    assert (found.outcome, found.change, found.acknowledged) == (Outcome.REGRESSED, None, None)


def test_operators_are_the_reasons_of_their_total():
    """Which operators are called more often is said; that others are called as often, too."""
    more = {"aten::mm": 28, "aten::item": 54, "aten::add": 2}
    verdicts = head(counters=decoding(operators=more, operators_total=84))
    found = one(verdicts, "decode.operators_total")
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons == ("aten::item +3 calls", "aten::add +2 calls")
    verdicts = head(counters=decoding(operators={"aten::mm": 29, "aten::item": 50}))
    found = one(verdicts, "decode.operators_total")
    assert found.outcome is Outcome.NO_CHANGE
    assert found.detail == "as many, but others: aten::mm +1 calls, aten::item -1 calls"


def test_other_decode_steps_are_another_counter():
    """Steps differ in their outliers, so that counts over another range aren't compared."""
    verdicts = head(counters=decoding() | {"decode_steps": [2, 10]})
    assert one(verdicts, "decode").outcome is Outcome.NOT_COMPARABLE
    assert exit_status(verdicts) == 10
    assert one(verdicts, "prefill.allocations").outcome is Outcome.NO_CHANGE


def test_counters_that_an_interrupt_took_are_missing():
    """What the baseline has counted, and this session has not, is no pass."""
    verdicts = head(counters=None)
    assert one(verdicts, "decode.kernel_launches").outcome is Outcome.MISSING
    assert exit_status(verdicts) == 10


def test_other_tokens_may_have_other_outliers():
    """Where other tokens came out, counters have a tolerance, and it is said."""
    counters = decoding(allocations=8050)
    base = [measured(luck, counters=decoding(allocations=8000)) for luck in LUCK]
    found = judge(base, [measured(counters=counters, attestation=OTHER_TOKENS)])
    assert one(found, "decode.allocations").outcome is Outcome.NO_CHANGE
    assert "other tokens" in one(found, "top1_agreement").detail
    assert one(judge(base, [measured(counters=counters)]), "decode.allocations").head == 8050
    assert exit_status(judge(base, [measured(counters=counters)])) == 1


def test_counters_are_compared_with_the_newest_code():
    """A baseline from before an improvement doesn't let it be undone."""

    def counted(launches, commit, when):
        found = measured(counters=decoding(kernel_launches=launches))
        return dataclasses.replace(found, commit={"id": commit}, when=when)

    base = [counted(50, "old", "1"), counted(40, "new", "2")]
    for order in (base, base[::-1]):
        found = one(judge(order, [counted(50, "head", "3")]), "decode.kernel_launches")
        assert (found.outcome, found.base, found.head) == (Outcome.REGRESSED, 40, 50)
    wobbling = [counted(40, "new", "1"), counted(42, "new", "2")]
    found = one(judge(wobbling, [counted(41, "head", "3")]), "decode.kernel_launches")
    assert found.outcome is Outcome.NO_CHANGE


@pytest.mark.parametrize(
    ("name", "value", "outcome"),
    [
        ("weights_bytes", 9_080_000, "NO CHANGE"),
        ("weights_bytes", 9_100_000, "REGRESSED"),
        ("peak_allocated_bytes", 9_890_000, "IMPROVED"),
        ("logits_relative_error", 0.018, "NO CHANGE"),
        ("logits_relative_error", 0.02, "REGRESSED"),
        ("top1_agreement", 0.95, "REGRESSED"),
        ("top1_agreement", None, "MISSING"),
    ],
)
def test_memory_gates_at_one_percent_and_agreement_at_an_absolute_bound(name, value, outcome):
    """Allocators round, so that less is no change; faster and further from fp16 is no gain."""
    assert one(with_metrics(**{name: value}), name).outcome.value == outcome


def test_resident_memory_is_no_gate():
    """The host's memory depends on what else was loaded."""
    assert exit_status(with_metrics(peak_resident_bytes=9e9)) == 0


def test_other_tokens_that_nothing_vouches_for_are_open():
    """Without fp16 to compare with, nobody knows whether the new tokens are as good."""
    metrics = {"weights_bytes": 1}
    base = measured(metrics=metrics)
    verdicts = judge([base], [measured(metrics=metrics, attestation=OTHER_TOKENS)])
    assert one(verdicts, "tokens_sha256").outcome is Outcome.INCONCLUSIVE


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


FAILED = SAVED | {"passed": False, "exit_status": 1}
INVALID = {"valid": False, "reasons": ["too many context switches: 99, bound 60; stop others"]}


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


def known(**changes):
    """Return an acknowledgement of a slower TPOT."""
    usual = {
        "pattern": "*test_throughput[int8-decomp-*]",
        "metric": "*_s",
        "ceiling": 0.2,
        "reason": "a workaround for a bug",
        "expires": TODAY,
    }
    return Acknowledgement(**{**usual, **changes})


@pytest.mark.parametrize(
    ("entry", "passes", "says"),
    [
        (known(), True, ""),
        (known(expires=date(2026, 11, 23)), False, "expired on 2026-11-23"),
        (known(ceiling=0.1), False, "worse than the acknowledged 10.0%"),
        (known(pattern="*test_throughp?t[[]*"), False, ""),
        (known(pattern="*test_throughp?t[*"), True, ""),
        (known(pattern="*test_throughput[i]"), False, ""),  # brackets are no set of characters
        (known(metric="decode.*"), False, ""),
    ],
)
def test_what_is_acknowledged_passes_until_it_is_worse_or_the_day_has_passed(entry, passes, says):
    """It stays visible as a regression."""
    verdicts = judge(BASE, [measured(0.15)], acknowledged=[entry], today=TODAY)
    found = one(verdicts)
    assert found.outcome is Outcome.REGRESSED
    assert (found.acknowledged == "a workaround for a bug") == passes
    assert says in found.detail
    assert exit_status(verdicts) == (0 if passes else 1)


@pytest.mark.parametrize(
    ("entry", "head", "says"),
    [
        (known(), measured(0.15), None),
        (known(metric="decode.allocations"), measured(0.15), None),
        (known(metric="cold_round_s"), measured(0.15), None),  # where it was cold it has one
        (known(metric="tpot"), measured(0.15), "the nearest is 'tpot_s'"),
        (known(pattern="*test_another*"), measured(0.15), None),
        (known(metric="decode.x"), measured(validity={"valid": False, "reasons": ["x"]}), None),
    ],
)
def test_a_metric_that_nothing_has_is_said(entry, head, says):
    """It is mistyped, if all was compared: a right one may have nothing to say."""
    note = entry.note(judge(BASE, [head], today=TODAY))
    assert (says in note) if says else note is None


def test_what_is_acknowledged_is_not_suspicious_either():
    """Otherwise every screening would end by 11 until it is repaired."""
    verdicts = judge(BASE, [measured(0.05)], acknowledged=[known()], today=TODAY)
    assert one(verdicts).suspicious
    assert exit_status(verdicts) == 0
    faster = judge(BASE, [measured(-0.05)], acknowledged=[known()], today=TODAY)
    assert exit_status(faster) == 11


def profiled(decode, *, launches=40, prefill_s=1.0, decode_s=1.0):
    """Return a session whose prefill and decode took so many times longer, and its profile."""
    record = info(rounds_s())
    for each in record["rounds"]:
        each["ttft_s"] *= prefill_s
        each["step_s"] = [decode_s * gap for gap in each["step_s"]]
    found = [each * (0.2 * prefill_s + 0.8 * decode_s) for each in rounds_s()]
    record["counters"]["decode"]["kernel_launches"] = launches
    phases = {"prefill": profile(mm=0.1), "decode": decode}
    single = info(rounds_s(-1), new_tokens=1, profile=phases)
    return session((THROUGHPUT, found, record), (PROFILE, rounds_s(-1), single))


def test_the_reasons_of_a_regression():
    """Which phase, which counters, and which operators gained time or calls in the profile."""
    more_calls = profile(mm=0.5, mul=0.202, add=0.1001, new=0.08, abs=0.01, neg=0.01)
    more_calls["operators"][2]["calls"] = 30
    base = profiled(profile(mm=0.1, mul=0.2, add=0.1, abs=0.01))
    slow = profiled(more_calls, launches=42, decode_s=1.5)
    found = one(judge([base], [slow]))
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons == (
        "decode +50.0%, prefill +0.0%",
        "counters: decode.kernel_launches 40 -> 42",
        "decode: aten::mm 100 ms -> 500 ms on the device, 28 calls",
        # One that the stored profile lacks had at most the time of the last that it has.
        "decode: aten::new 10 ms -> 80 ms on the device, 28 calls",
        "decode: aten::add 100 ms -> 100 ms on the device, 28 -> 30 calls",
    )


def test_the_phase_that_cost_more_comes_first():
    """In seconds of a round, of which decode has most steps, not by its share."""
    base, slow = profiled(profile(mm=0.1)), profiled(profile(mm=0.2), prefill_s=1.6, decode_s=1.3)
    assert one(judge([base], [slow])).reasons[0] == "decode +30.0%, prefill +60.0%"
    slow = profiled(profile(mm=0.2), prefill_s=2.0, decode_s=1.01)
    found = one(judge([base], [slow]))
    assert found.reasons == ("prefill +100.0%, decode +1.0%",)


def test_at_most_five_operators_are_named():
    """The worst ones."""
    names = "abcdefgh"
    base = profiled(profile(**dict.fromkeys(names, 0.1)))
    worse = {name: 0.2 + number / 10 for number, name in enumerate(names)}
    found = one(judge([base], [profiled(profile(**worse), decode_s=1.5)]))
    named = [each.split()[1] for each in found.reasons if "aten" in each]
    assert named == [f"aten::{name}" for name in "hgfed"]


@pytest.mark.parametrize(
    ("then", "says"),
    [
        ({}, "duet --base PATH (a checkout of 0123456789ab)"),
        ({"bitsandbytes": "0.49.2"}, "duet --base bitsandbytes==0.49.2"),
        ({"torch": "2.12.0"}, "duet --base PATH (the Python of an environment with torch 2.12.0)"),
        ({"driver": "550"}, "no duet can bring back driver 550"),
    ],
)
def test_the_duet_that_decides_names_what_ran_then(then, says):
    """What an overlay brings is installed for it; otherwise it is another environment or code."""
    software = {**MACHINE["software"], **then}
    old = [dataclasses.replace(each, machine={**MACHINE, "software": software}) for each in BASE]
    assert says in one(judge(old, [measured(0.05)])).detail


SHIFTS = st.lists(st.floats(-0.03, 0.03), min_size=1, max_size=6)
CHANGE = st.floats(-0.3, 0.3)


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


def test_rounds_without_steps_have_no_phases():
    """A record that lacks them, or has other rounds, is judged by its rounds alone."""
    measured_ = session((THROUGHPUT, ROUNDS, info(ROUNDS[:2]))).measured[THROUGHPUT]
    assert set(series(measured_)) == {"round_s"}


def test_a_failed_side_of_a_duet_is_no_pass():
    """Restarts whose head failed say nothing, and nothing that was compared is no pass."""
    failed = [dataclasses.replace(each, saved=FAILED) for each in BASE]
    assert exit_status(judge(BASE, failed, paired=True)) in (10, 12)
    assert exit_status(judge(failed, BASE, paired=True)) in (10, 12)


def test_copies_of_one_session_do_not_tell_how_sessions_vary():
    """No clock is so steady: a variance of 0 would make any change significant."""
    found = one(judge([measured()] * 5, [measured(0.011)], gate="strict"))
    assert found.outcome is Outcome.NO_CHANGE
    assert found.p is None
