"""Which records of device time are compared, what is said of the others, and what it can't say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.report import verdict_table
from benchmarks.sessions import baseline
from benchmarks.sessions.outcome import Outcome
from benchmarks.sharing import thinning
from benchmarks.verdicts import device_times
from benchmarks.verdicts.judgement import exit_status, judge
from tests.builders import GPU, LUCK, THROUGHPUT, WARMUP, info, session
from tests.verdicts.test_work_verdicts import (
    BASE,
    NOISE,
    by_metric,
    counts,
    measured,
    one,
    promoted,
    spent,
    work_only,
)

NULL = {
    "metrics": info([1.0])["metrics"] | {"decode_device_s": None},
    "unmeasured": {"decode_device_s": "prefill: repeat 1 of 3, recorded 3 times: 2 calls lost"},
}


def test_device_time_that_neither_side_has_is_no_pass():
    """On a GPU only a failure keeps it away, and the verdict says which; the CPU has none."""
    base = [measured(luck, device={}, **NULL) for luck in LUCK[:5]]
    verdicts = judge(base, [measured(device={}, **NULL)], gate="work")
    found = one(measured(device={}, **NULL), base=base)
    assert found.outcome is Outcome.MISSING
    assert "recorded 3 times: 2 calls lost" in found.detail
    assert exit_status(verdicts) == 10
    slower = one(measured(wall=0.6, device={}, **NULL), "round_s", base)
    assert slower.outcome is Outcome.REGRESSED
    assert "kernels run on the wall" not in slower.detail


def test_a_cold_start_is_not_blamed_on_the_machine():
    """Its imports and its compiling are in no counter: those are of warm generations."""

    def cold(round_s):
        record = info([round_s], cold_process=True, device_time=spent(), counters=counts())
        return session((THROUGHPUT, [round_s], record), hardware=GPU)

    found = one(cold(3.0), "cold_round_s", [cold(1 + luck) for luck in LUCK[:5]])
    assert found.outcome is Outcome.REGRESSED


def test_baselines_that_could_not_be_trusted_are_to_be_demoted():
    """What was wrong with them is no fault of the new session; such sessions don't get in."""
    bad = [measured(luck, device=spent(valid=False)) for luck in LUCK[:5]]
    found = one(measured(), base=bad)
    assert found.outcome is Outcome.MISSING
    assert "no baseline could be trusted (SM clock fell" in found.detail
    assert "demote it" in found.detail
    assert one(bad[0]).outcome is Outcome.INVALID
    assert not baseline.is_baseline(promoted(bad[0], 1))
    assert baseline.is_baseline(promoted(measured(), 1))


def test_what_is_left_out_is_named():
    """A restart, a baseline, another card: the fewer there are, the more it matters."""
    few = [*BASE[:3], measured(device=spent(valid=False))]
    assert "1 left out (SM clock fell: 0.05, bound 0.02)" in one(measured(), base=few).detail
    cards = [*BASE[:3], measured(card="b")]
    assert "1 of another card left out" in one(measured(), base=cards).detail
    base, head = BASE[:3], [measured(device=spent(valid=n != 1)) for n in range(3)]
    found = one_paired(base, head)
    assert "1 left out" in found.detail


@pytest.mark.parametrize(
    ("shift", "prefill", "decode"),
    [
        (0.003, Outcome.NO_CHANGE, Outcome.REGRESSED),
        (0.005, Outcome.REGRESSED, Outcome.REGRESSED),
        (-0.003, Outcome.NO_CHANGE, Outcome.IMPROVED),
    ],
)
def test_a_prefill_has_to_change_more_than_a_decode_step(shift, prefill, decode):
    """It is a single pass: its medians vary twice as much between processes of the same code."""
    head = measured(device=spent(shift))
    assert one(head, "prefill_device_s").outcome is prefill
    assert one(head, "decode_device_s").outcome is decode


def test_baselines_of_the_same_minutes_do_not_make_an_interval_narrow():
    """Five that agree to 0.001 %: sessions of another hour are off by up to 0.16 %."""
    alike = [measured(device=spent(1e-5 * number)) for number in range(5)]
    later = [measured(device=spent(0.0016 + 1e-5 * number)) for number in range(5)]
    for metric, least in (("decode_device_s", 0.0021), ("prefill_device_s", 0.004)):
        alone = one(later[0], metric, base=alike)
        (together,) = (each for each in judge(alike, later, gate="work") if each.metric == metric)
        for found in (alone, together):  # more sessions of the same minutes don't help
            assert found.outcome is Outcome.NO_CHANGE
            assert (found.high - found.low) / 2 == pytest.approx(least, rel=0.03)


def one_paired(base, head):
    """Return the verdict of a duet on the device time of a decode step."""
    verdicts = judge(base, head, paired=True, gate="work")
    return next(each for each in verdicts if each.metric == "decode_device_s")


def test_on_another_card_only_what_is_clearly_larger_counts():
    """Two cards of one kind differed by 1.3 % in a prefill: the verdict names the limit."""
    found = one(measured(card="b", device=spent(0.0133)))
    assert found.outcome is Outcome.NO_CHANGE
    assert "below 2 %, which is not reported" in found.detail
    assert "another card" in found.detail
    assert one(measured(card="b", device=spent(0.03))).outcome is Outcome.REGRESSED
    mixed = [*BASE, *[measured(luck, card="b", device=spent(0.006)) for luck in LUCK[:3]]]
    same = one(measured(card="b", device=spent(0.006)), base=mixed)
    assert same.outcome is Outcome.NO_CHANGE
    assert "measured on another card" not in same.detail


def copying(each_us, shift=0.0, kind="DtoH (Device -> Pinned)"):
    """Return device time with 224 copies a step of so many microseconds each."""
    found = spent(shift, **{f"Memcpy {kind}": 224 * each_us * 1e-6})
    assert found["decode"]["kernels"]["top"][-1]["calls"] == 224 * 8
    return found


@pytest.mark.parametrize("kind", ["DtoH (Device -> Pinned)", "HtoD (Pageable -> Device)"])
def test_how_soon_a_copy_begins_is_the_machine_s(kind):
    """On one card it counts. Against another one it doesn't, but all that is longer does."""
    base = [measured(luck, device=copying(1.0, NOISE * luck, kind)) for luck in LUCK]
    assert one(measured(device=copying(2.9, kind=kind)), base=base).outcome is Outcome.REGRESSED

    def elsewhere(*device):
        return one(measured(card="b", device=copying(*device, kind=kind)), base=base)

    late = elsewhere(2.9)
    assert late.outcome is Outcome.NO_CHANGE
    assert device_times.NO_LATENCY in late.detail
    longer = elsewhere(10.0)
    assert longer.outcome is Outcome.REGRESSED
    assert longer.reasons[0].startswith("Memcpy")
    slower = elsewhere(2.9, 0.03)
    assert slower.outcome is Outcome.REGRESSED
    assert slower.reasons
    assert not [each for each in slower.reasons if each.startswith("Memcpy")]


@pytest.mark.parametrize("kind", ["DtoD (Device -> Device)", "PtoP (Device -> Device)"])
def test_copies_between_gpus_and_within_one_count_against_another_card(kind):
    """No machine was seen in which they start later."""
    base = [measured(luck, device=copying(1.0, NOISE * luck, kind)) for luck in LUCK]
    head = measured(card="b", device=copying(2.9, kind=kind))
    assert one(head, base=base).outcome is Outcome.REGRESSED


def test_latency_is_left_out_of_all_records_or_of_none():
    """Of half of the work it would say much, and baselines that were thinned once don't have it."""
    base = [measured(luck, device=copying(1.0, NOISE * luck)) for luck in LUCK]
    mostly = measured(card="b", device=spent() | copying_alone(2.9))
    unknown = [measured(luck, device=copying(1.0, NOISE * luck)) for luck in LUCK]
    unknown[0].measured[THROUGHPUT].device_time["decode"]["kernels"]["top"] = []
    for before, head in ((base, mostly), (unknown, measured(card="b", device=copying(2.9)))):
        detail = one(head, base=before).detail
        assert "another card" in detail
        assert device_times.NO_LATENCY not in detail


def copying_alone(each_us):
    """Return phases in which the GPU does little but copy."""
    found = copying(each_us)
    phase = found["decode"]
    copies = phase["kernels"]["top"][-1:]
    rest = {**phase["kernels"], "top": copies}
    alone = {**phase, "kernels": rest, "repeats_s": [copies[0]["device_s"] / 8] * 3}
    return {"prefill": alone, "decode": alone}


def test_thinned_baselines_are_judged_as_they_were():
    """Against another card as well: they keep their copies."""
    base = [measured(luck, device=copying(1.0, NOISE * luck)) for luck in LUCK]
    thinned = [replace(each, measured=dict(each.measured)) for each in base]
    for each in thinned:
        record = each.measured[THROUGHPUT]
        each.measured[THROUGHPUT] = replace(record, info=thinning._record(record.info))
    for shift in (0.0, 0.03):
        head = measured(card="b", device=copying(2.9, shift))
        whole, thin = (one(head, base=each) for each in (base, thinned))
        assert thin.outcome is whole.outcome
        assert thin.change == whole.change


def test_reasons_are_of_what_is_compared():
    """A newer baseline of another card is left out of both."""
    base = [measured(luck, device=copying(2.0, NOISE * luck)) for luck in LUCK]
    other = measured(card="b", device=copying(2.0))
    found = one(measured(device=copying(4.0)), base=[*base, other])
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons[0].startswith("Memcpy")


def test_clocks_are_those_of_what_is_compared():
    """Baselines of another card, at another clock, explain nothing of this one."""
    others = [measured(luck, device=spent(clock_hz=1.98e9)) for luck in LUCK[:5]]
    slow = spent(clock_hz=1.755e9)
    own = [measured(luck, card="b", device=slow) for luck in LUCK[:4]]
    head = measured(card="b", device=spent(0.05, clock_hz=1.755e9))
    assert one(head, base=[*others, *own]).outcome is Outcome.REGRESSED


def test_work_alone_is_not_missed_a_cold_start():
    """Nothing times it there, so a session of work alone can be promoted beside whole ones."""
    record = info([1.0], cold_process=True, counters=counts(), device_time=spent())
    whole = [
        session(
            (THROUGHPUT, [1.0], each.measured[THROUGHPUT].info),
            (WARMUP, [1.0], record),
            hardware=GPU,
        )
        for each in BASE
    ]
    verdicts = judge(whole, [work_only()], gate="work")
    assert exit_status(verdicts) == 0
    assert not any(each.benchmark == WARMUP for each in verdicts)
    missed = judge(whole, [measured()])
    assert any(each.benchmark == WARMUP and each.outcome is Outcome.MISSING for each in missed)


def test_work_alone_confirms_no_lucky_time():
    """Sessions without times say nothing of a level of times."""
    lucky = [{"benchmark": THROUGHPUT, "metric": "round_s", "outcome": "IMPROVED", "kind": "time"}]
    timed = [promoted(each, day) for day, each in enumerate(BASE)]
    timed[-1].saved["verdicts"] = lucky
    short = [promoted(work_only(), 100 + day) for day in range(2)]
    assert len(baseline.baselines([*timed, *short], measured())) == len(BASE) + 2
    assert (
        len(baseline.baselines([*timed, promoted(BASE[0], 98), promoted(BASE[1], 99)], measured()))
        == 3
    )


@pytest.mark.parametrize(
    ("head", "base", "says"),
    [
        (measured(called=counts(394_160)), BASE, "host: 150 % more Python calls a step"),
        (measured(device=spent(0.7)), BASE, "device: 101 % longer (REGRESSED)"),
        (
            measured(called=counts(93_000)),
            BASE[:1],
            "device: no change seen (too few for an interval)",
        ),
    ],
)
def test_one_sentence_has_the_size_that_is_known(head, base, says):
    """In percent, however large; and no bound without an interval."""
    (line,) = verdict_table.together(judge(base, [head], gate="work"))
    assert says in line


def test_an_open_duet_about_the_device_names_the_option_that_helps():
    """More rounds of the wall would tell nothing of it."""
    heads = [measured(device=spent(shift)) for shift in (0.05, -0.04, 0.03, -0.05, 0.01)]
    verdicts = judge([measured() for _ in heads], heads, paired=True, gate="work")
    found = by_metric(verdicts)["decode_device_s"]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "raise --device-repeats" in found.detail
