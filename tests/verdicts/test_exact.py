"""Verdicts without chance: counters, memory, and how far a model is from fp16."""

import dataclasses

import pytest

from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import exit_status, judge
from tests.builders import LUCK, info
from tests.verdicts.sides import ROUNDS, decoding, head, measured, one


def with_metrics(**changes):
    """Return verdicts on a session whose metrics differ by this."""
    return head(metrics={**info(ROUNDS)["metrics"], **changes})


OTHER_TOKENS = {"checkpoint": {"index_sha256": "w"}, "tokens_sha256": "other"}


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
