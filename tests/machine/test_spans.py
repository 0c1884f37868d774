"""What is watched in several spans counts as one, without what happened between them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.stats import Stats

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine.readings import Observations, readings_of
from benchmarks.machine.watch import Spans, Watch, joined
from benchmarks.sessions import pytest_format
from tests.waiting import PATIENCE_S


def test_idle_time_between_rounds_is_not_time_without_a_core(machine):
    """A worker that waits for its partner is not taken for one that lacks the processor."""
    spans = Spans(lambda: Watch("cpu", threads=1, control=None))
    for _ in range(3):
        with spans.span():
            machine.spend(0.2)
        machine.rest(0.4)
    readings = readings_of(spans.observations([0.2] * 3))
    assert readings["wall_s"] == pytest.approx(0.6, rel=1e-3)
    assert readings["off_core_share"] == pytest.approx(0, abs=1e-3)
    assert spans.series() is None


def test_a_round_that_fails_is_not_among_them():
    """What counts is what was timed."""
    spans = Spans(lambda: Watch("cpu", threads=1, control=None))
    with spans.span():
        pass
    with pytest.raises(ValueError, match="failed"), spans.span():
        raise ValueError("failed")
    assert len(spans.observations([0.1]).after) > 0
    assert len(spans._watches) == 1


def test_counts_are_added_and_states_are_not():
    """Counters add up; the load average is that of the end; what one span lacks is unmeasured."""

    def seen(before, after):
        return Observations("cpu", (1.0,), {}, before, after)

    gone = Unmeasured("gone")
    found = joined(
        [
            seen({"n": 5, "x": 0, "load_average": 9}, {"n": 7, "x": 1, "load_average": 1}),
            seen({"n": 10, "x": gone, "load_average": 9}, {"n": 13, "x": 1, "load_average": 2}),
        ]
    )
    assert found.before["n"] == 0
    assert found.after == {"n": 5, "x": gone, "load_average": 2}


@pytest.mark.parametrize("data", [[0.5], [1.0, 2.0], [0.1, 0.2, 0.3, 0.4, 9.0]])
def test_statistics_have_the_fields_of_pytest_benchmark(data):
    """Every field that its files have; quartiles may be chosen otherwise."""
    theirs = Stats()
    for each in data:
        theirs.update(each)
    ours = pytest_format.statistics(data)
    assert ours.keys() == theirs.as_dict().keys()
    for name in ("min", "max", "mean", "median", "stddev", "rounds", "total", "ops"):
        assert ours[name] == pytest.approx(getattr(theirs, name))


def test_a_worker_imports_nothing_of_the_tests_environment():
    """A foreign interpreter needs torch, transformers and bitsandbytes, not pytest or scipy."""
    script = (
        "import sys; import benchmarks.duet.worker, benchmarks.config.settings, "
        "benchmarks.measure.extra_info, benchmarks.evidence.gathering, benchmarks.measure.rounds, "
        "benchmarks.machine.watch, benchmarks.evidence.counters; "
        "print(sorted({'pytest', 'scipy', 'pytest_benchmark', 'hypothesis'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == "[]"
