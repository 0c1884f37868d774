"""What is watched in several spans counts as one, without what happened between them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from pytest_benchmark.stats import Stats

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import host
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.readings import readings_of
from benchmarks.machine.watch import Watch
from benchmarks.sessions import pytest_format
from tests.fake_nvml import FakeNvml, Steps
from tests.waiting import PATIENCE_S


def test_idle_time_between_rounds_is_not_time_without_a_core(machine):
    """A worker that waits for its partner is not taken for one that lacks the processor."""
    watch = Watch("cpu", threads=1, control=None)
    for _ in range(3):
        with watch:
            machine.spend(0.2)
        machine.rest(0.4)
    readings = readings_of(watch.observations([0.2] * 3))
    assert readings["wall_s"] == pytest.approx(0.6, rel=1e-3)
    assert readings["off_core_share"] == pytest.approx(0, abs=1e-3)
    assert watch.series() is None


def test_a_round_that_fails_is_not_among_them(machine):
    """What counts is what was timed."""
    watch = Watch("cpu", threads=1, control=None)
    with watch:
        machine.spend(0.2)
    with pytest.raises(ZeroDivisionError), watch:
        machine.spend(0.4) or 1 / 0
    assert watch.observations([0.2]).counts["wall_s"] == pytest.approx(0.2)
    assert watch.blocks == 1


def test_counts_are_added_and_states_are_not(monkeypatch):
    """Counters add up; the load average is that of the end; what one block lacks is unmeasured."""
    gone = Unmeasured("gone")
    readings = [(5, 0, 9), (7, 1, 1), (10, gone, 9), (13, 1, 2)]
    names = ("n", "x", "load_average")
    snapshots = iter([dict(zip(names, each, strict=True)) for each in readings])
    monkeypatch.setattr(host, "snapshot", lambda _: next(snapshots))
    watch = Watch("cpu", threads=1, control=None)
    for _ in range(2):
        with watch:
            pass
    assert watch.observations([1.0]).counts == {"n": 5, "x": gone, "load_average": 2}


def test_samples_of_all_blocks_are_kept_by_one_look_at_nvml():
    """Each block samples anew; their moments count from the start of the first."""
    watch = Watch("cuda", threads=1, control=None, gpu=Gpu(FakeNvml(pids=[os.getpid()]), "handle"))
    take = Steps(watch._sampler).take
    for _ in range(2):
        with watch:
            take(3)
    moments = watch.series()["t_s"]
    assert len(moments) == 6
    assert moments == sorted(moments)


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
