"""Verdicts on times: against the past, of a cold start, and of the restarts of a duet."""

import dataclasses
import math

import pytest

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import exit_status, judge
from benchmarks.verdicts.times import series
from tests.builders import LUCK, MACHINE, PROFILE, THROUGHPUT, WARMUP, foreign, info, session
from tests.verdicts.sides import BASE, ROUNDS, measured, one, rounds_s


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


def test_copies_of_one_session_do_not_tell_how_sessions_vary():
    """No clock is so steady: a variance of 0 would make any change significant."""
    found = one(judge([measured()] * 5, [measured(0.011)], gate="strict"))
    assert found.outcome is Outcome.NO_CHANGE
    assert found.p is None


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


def test_rounds_without_steps_have_no_phases():
    """A record that lacks them, or has other rounds, is judged by its rounds alone."""
    measured_ = session((THROUGHPUT, ROUNDS, info(ROUNDS[:2]))).measured[THROUGHPUT]
    assert set(series(measured_)) == {"round_s"}


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


def duet(change, luck=LUCK[:5]):
    """Return both sides of a duet, each restart with its own luck."""
    shared = [0.01 * number for number, _ in enumerate(luck)]
    slow = [each + own + math.log1p(change) for each, own in zip(shared, luck, strict=True)]
    return tuple([foreign(rounds_s(shift)) for shift in side] for side in (shared, slow))


@pytest.mark.parametrize(
    ("change", "outcome", "says"),
    [
        (0.0, Outcome.NO_CHANGE, "a change of 2 % is ruled out"),
        (0.0085, Outcome.NO_CHANGE, "a sure change, but below 1 %"),
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
    assert found.detail == (
        "only changes above 3.4 % could have been seen in 5 restarts; "
        "14 more decide, if they vary alike"
    )
    assert found.limit == pytest.approx(0.034, abs=0.0005)
    for much in (6, 40):  # more restarts than anyone plays would decide, or none
        (found,) = judge(*duet(0.01, [much * each for each in LUCK[:5]]), paired=True)
        assert found.outcome is Outcome.INCONCLUSIVE
        assert "to decide: quieten the machine, or raise --rounds" in found.detail
        assert found.limit > 0.04


@pytest.mark.parametrize("change", [0.05, 0.2, -0.5, 3.0])
@pytest.mark.parametrize("restarts", [1, 2])
def test_fewer_than_three_restarts_decide_nothing(change, restarts):
    """They don't tell how much they vary, so identical code would be told apart by one of them."""
    (found,) = judge(*duet(change, LUCK[:restarts]), paired=True)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.p is None
    assert f"only {restarts} restart" in found.detail
    assert "too few to know how much they vary; 3 are needed" in found.detail


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
    assert "rounds without a partner, in 1 restart, don't count" in found.detail


def test_a_restart_that_one_side_lacks_is_left_out():
    """A worker that failed leaves no pair; where none is left, nothing was compared."""
    base, slow = duet(0.02)
    half = [dataclasses.replace(slow[0], measured={}), *slow[1:]]
    (found,) = judge(base, half, paired=True)
    assert found.outcome is Outcome.REGRESSED
    assert "1 left out" in found.detail
    (found,) = judge(base[:1], half[:1], paired=True)
    assert found.outcome is Outcome.MISSING
