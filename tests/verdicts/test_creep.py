"""Steps that each pass, and their sum, which doesn't."""

from __future__ import annotations

import random
import shlex
from dataclasses import replace

from benchmarks.__main__ import main
from benchmarks.report import verdict_lines
from benchmarks.sessions import baseline
from benchmarks.sessions.outcome import Cause, Outcome
from benchmarks.verdicts import creep, judgement
from tests.builders import promoted, write
from tests.history.series import DEVICE, WALL, day
from tests.tools import creeping
from tests.tools.creeping import RECORDED, stored
from tests.verdicts.sides import one
from tests.verdicts.test_work_verdicts import counts


def judged(known, head):
    """Return one session's verdicts, and those by the newest baselines alone."""
    base, level = baseline.baselines(known, head), baseline.level(known, head)
    found, newest = creep.judge(base, level, [head]), judgement.judge(base, [head])
    return (lambda metric: one(found, metric)), (lambda metric: one(newest, metric))


def crept(step, sessions=50):
    """Return sessions of which the first are recorded, and each later one is slower by a step."""
    rng = random.Random(3)
    return [
        stored(n, rng.gauss(0, DEVICE) + max(0, n - RECORDED + 1) * step)
        for n in range(RECORDED + sessions)
    ]


def test_steps_that_each_pass_are_regressed_by_their_sum():
    """By the oldest baselines of the level; the newest twenty have come along."""
    *known, head = crept(0.0002)
    found, newest = judged(known, head)
    verdict = found("decode_device_s")
    assert newest("decode_device_s").outcome is Outcome.NO_CHANGE
    assert (verdict.outcome, verdict.cause) == (Outcome.REGRESSED, Cause.CREEP)
    assert verdict.low < 0.01 < verdict.high
    assert "creep: no step was REGRESSED, but their sum is, since 0000.json" in verdict.detail
    assert "(54 stored sessions ago)" in verdict.detail
    steps = [each for each in verdict.reasons if each.startswith("step: ")]
    assert len(steps) == 5
    assert steps == sorted(steps)  # in the order in which they came
    assert any("smaller steps" in each for each in verdict.reasons)
    assert any("creep: " in line for line in verdict_lines.lines([verdict]))


def test_a_creep_never_gets_far():
    """However small its steps: it is REGRESSED when it adds up to little more than the floor."""
    for step in creeping.STEPS:
        found = creeping.first_regressed(step, seed=1)
        assert found is not None
        assert found.sum <= 0.006, step
    assert creeping.first_regressed(creeping.STEPS[-1], seed=1, oldest=False) is None


def test_without_a_creep_nothing_is_added():
    """The oldest baselines say what the newest do."""
    *known, head = crept(0.0)
    base, level = baseline.baselines(known, head), baseline.level(known, head)
    assert len(level) > len(base)
    assert creep.judge(base, level, [head]) == judgement.judge(base, [head])


def test_an_accepted_level_starts_anew():
    """A regression that was promoted with a reason is where the sum begins."""
    *known, head = crept(0.0002)
    base, level = baseline.baselines(known, head), baseline.level(known, head)
    verdicts = [each.as_record() for each in creep.judge(base, level, [head])]
    saved = {**head.saved, "verdicts": verdicts, "promoted": promoted("accepted")}
    *later, newest = [stored(60 + n, 0.01 + 0.0001 * (n % 2)) for n in range(4)]
    found, _ = judged([*known, replace(head, saved=saved), *later], newest)
    assert found("decode_device_s").outcome is Outcome.NO_CHANGE


def test_calls_creep_as_well():
    """Less than one percent each time."""
    *known, head = [stored(n, called=counts(python=100_000 + 400 * n)) for n in range(4)]
    found, newest = judged(known, head)
    assert newest("decode.python_calls").outcome is Outcome.NO_CHANGE
    verdict = found("decode.python_calls")
    assert (verdict.outcome, verdict.cause) == (Outcome.REGRESSED, Cause.CREEP)
    assert [each.partition(",")[0] for each in verdict.reasons[:3]] == [
        f"step: {n:04}.json" for n in (1, 2, 3)
    ]
    assert all(each.endswith("+0.40 %") for each in verdict.reasons[:3])


def test_the_wall_creeps_as_well():
    """In steps that its noise hides; here each session calls a little more."""
    rng = random.Random(3)
    wall = [rng.gauss(0, WALL) + 0.003 * max(0, n - RECORDED) for n in range(60)]
    *known, head = [
        stored(n, wall=each, called=counts(python=100_000 + 10 * n)) for n, each in enumerate(wall)
    ]
    found, newest = judged(known, head)
    assert newest("round_s").outcome is Outcome.NO_CHANGE
    assert (found("round_s").outcome, found("round_s").cause) == (Outcome.REGRESSED, Cause.CREEP)


def test_what_the_newest_leave_open_stays_open():
    """A duet decides it; the sum says nothing in its place."""
    *known, head = [
        stored(n, wall=0.05 * (n > 20) + 0.06 * (n == 29), called=counts(python=100_000 + 10 * n))
        for n in range(30)
    ]
    found, newest = judged(known, head)
    assert newest("round_s").suspicious
    assert found("round_s") == newest("round_s")


def test_a_session_that_crept_becomes_no_baseline(tmp_path, capsys):
    """And the command that `promote` names shows why."""
    rng = random.Random(3)
    shifts = [rng.gauss(0, DEVICE) + max(0, n - RECORDED + 1) * 0.0002 for n in range(55)]
    mark = [promoted()] * 54 + [None]
    *_, head = [
        write(tmp_path / f"{n:04}.json", day(n, shift, promoted=mark[n]))
        for n, shift in enumerate(shifts)
    ]
    assert main(["promote", str(head)]) == 1
    said = capsys.readouterr().out
    assert "REGRESSED: test_throughput[int8-decomp-b8-p16-n5] decode_device_s +0.9" in said
    look = said.partition("look: python -m benchmarks ")[2].partition(";")[0]
    assert "0000.json" in look
    assert main(shlex.split(look)) == 1
