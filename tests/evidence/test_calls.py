"""Host work: calls of Python and C functions, equal every time."""

from __future__ import annotations

import cProfile
import gc
import sys

import pytest

from benchmarks.evidence import counters
from benchmarks.evidence.calls import Calls, collected
from benchmarks.evidence.tracing import DECODE_STEPS


def helper():
    """Do nothing."""


def work(times=3):
    """Call a function of Python so often, and one of C as often."""
    for number in range(times):
        helper()
        abs(number)


def counted(run):
    """Return the calls of `run`."""
    calls = Calls()
    with collected(), calls:
        run()
    return calls.record()


def test_each_call_is_counted_by_its_name():
    """Functions of Python by module and qualified name, those of C by theirs."""
    found = counted(work)
    own = {name: n for name, n in found["functions"].items() if name.startswith(__name__)}
    assert own == {f"{__name__}.helper": 3, f"{__name__}.work": 1}
    assert found["python_calls"] == sum(found["functions"].values())
    assert found["c_functions"]["builtins.abs"] == 3
    more = counted(lambda: work(5))
    assert more["python_calls"] - found["python_calls"] == 3  # two calls, and the lambda


def test_the_suites_own_functions_dont_count():
    """A change of the suite is none of the work under test."""
    exec_in = {"__name__": "benchmarks.somewhere"}
    exec("def ours(work):\n    work()", exec_in)  # noqa: S102 (a function of such a module)
    found = counted(lambda: exec_in["ours"](work))
    assert not any("ours" in name for name in found["functions"])
    assert found["functions"][f"{__name__}.helper"] == 3


def test_the_collector_waits_and_then_goes_on():
    """What it would call depends on what happened before."""
    assert gc.isenabled()
    enabled = []
    counted(lambda: enabled.append(gc.isenabled()))
    assert enabled == [False]
    assert gc.isenabled()
    assert sys.getprofile() is None


def test_a_failure_ends_the_counting():
    """Nothing stays behind in the interpreter."""

    def fail():
        raise ValueError("a kernel failed")

    with pytest.raises(ValueError, match="a kernel failed"):
        counted(fail)
    assert sys.getprofile() is None
    assert gc.isenabled()


def test_beside_another_profiler_there_is_no_count():
    """An interpreter has one profiler: the count is null, and says which is in the way."""
    other = cProfile.Profile()
    other.enable()
    try:
        assert counted(work) == {}
        assert Calls().other is not None
        assert sys.getprofile() is other  # left as it was
    finally:
        other.disable()


def calls_of(run):
    """Return the calls of a phase."""
    calls = Calls()
    with collected():
        run(calls)
    return calls.record()


def test_generations_are_counted_alike_each_time(engine, workload):
    """Prefill and decode steps of the real model, to the last call."""

    def once():
        steps = DECODE_STEPS
        return {
            phase: calls_of(run) for phase, run in counters.phases(engine, workload, steps).items()
        }

    engine.run(workload, DECODE_STEPS.stop)
    first = once()
    assert once() == first
    assert first["decode"]["python_calls"] > first["prefill"]["python_calls"] > 1000
    assert any("bitsandbytes" in name for name in first["decode"]["functions"])


def test_one_call_more_in_each_linear_is_seen_and_named(engine, workload):
    """28 linears in four steps: 112 calls more, of the function that was added."""
    steps = DECODE_STEPS
    run = counters.phases(engine, workload, steps)["decode"]

    def added(*_):
        """Do nothing, once in each linear."""

    before = calls_of(run)
    linears = [each for each in engine.model.modules() if type(each).__name__ == "Linear8bitLt"]
    hooks = [each.register_forward_pre_hook(added) for each in linears]
    try:
        after = calls_of(run)
    finally:
        for each in hooks:
            each.remove()
    gained = after["functions"][f"{__name__}.{added.__qualname__}"]
    assert gained == len(linears) * len(steps)
    assert after["python_calls"] > before["python_calls"]
