"""What a session measured: values, units, which way is better, and what can't be trusted."""

from __future__ import annotations

import pytest

from benchmarks.sessions import measures
from benchmarks.sessions.measures import Better
from benchmarks.verdicts import exact
from tests import builders

NAME = builders.THROUGHPUT


@pytest.mark.parametrize(
    ("metric", "unit", "better"),
    [
        ("tokens_per_s", "tokens/s", Better.MORE),
        ("tpot_s", "s", Better.LESS),
        ("speed_of_light_tpot_s", "s", Better.NEITHER),
        ("decode.peak_allocated_bytes", "B", Better.LESS),
        ("decode.kernel_launches", "count", Better.LESS),
        ("top1_agreement", "ratio", Better.MORE),
        ("mbu", "ratio", Better.MORE),
    ],
)
def test_a_metric_has_a_unit_and_a_direction(metric: str, unit: str, better: Better) -> None:
    """Other tools are told both: a rate that falls is worse, a time that falls is better."""
    assert (measures.unit(metric), measures.better(metric)) == (unit, better)


@pytest.mark.parametrize(
    ("metric", "kind", "judged", "noise"),
    [
        ("round_s", "time", True, True),
        ("itl_p99_s", "time", False, True),
        ("tokens_per_s", "time", False, True),
        ("decode_device_s", "device", True, True),
        ("decode.python_calls", "counter", True, False),
        ("prefill.peak_allocated_bytes", "memory", True, False),
        ("peak_resident_bytes", "memory", False, True),
        ("top1_agreement", "agreement", True, False),
    ],
)
def test_a_metric_is_of_a_kind(metric: str, kind: str, *, judged: bool, noise: bool) -> None:
    """Which says by what its changes are found, and whether a history looks at it unasked."""
    session = builders.session((NAME, builders.info([0.2])))
    assert measures.kind(metric) == kind
    assert measures.is_judged(session.measured[NAME], metric) is judged
    assert measures.has_noise(metric) is noise


def test_of_a_cold_process_only_its_first_round_is_judged() -> None:
    """What follows isn't steady yet."""
    session = builders.session((NAME, builders.info([0.3, 0.2], cold_process=True)))
    (measured,) = session.measured.values()
    assert measures.is_judged(measured, "cold_round_s")
    assert not measures.is_judged(measured, "round_s")


def test_counters_are_those_of_one_step_and_peaks_are_whole() -> None:
    """A count over four decode steps is divided by four, and synchronizations are one number."""
    session = builders.session((NAME, builders.info([0.2])))
    values = {each.metric: each.value for each in measures.of_session(session)}
    assert values["decode.kernel_launches"] == 10
    assert values["decode.synchronizations"] == 1.25
    assert values["prefill.kernel_launches"] == 40
    assert values["decode.peak_allocated_bytes"] == 8_000_000


def test_what_a_busy_machine_touched_is_left_out() -> None:
    """Work stands whatever the host does; times of the wall don't."""
    session = builders.session((NAME, builders.info([0.2], validity=builders.INVALID)))
    kept = {each.metric for each in measures.of_session(session)}
    assert {"weights_bytes", "decode.kernel_launches"} <= kept
    assert "round_s" not in kept
    assert measures.has_untrusted(session)


def test_judged_metrics_are_known_here() -> None:
    """Those of agreement are named once more, with their bounds."""
    assert tuple(exact.AGREEMENT) == measures.AGREEMENT
