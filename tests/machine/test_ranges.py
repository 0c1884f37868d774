"""Ranges: what runs has its name in a profiler; and without --nvtx nothing of it is called."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import clock
from benchmarks.machine import ranges as ranges_module
from benchmarks.machine.ranges import RangedMarks, Ranges, inside, named
from benchmarks.measure.rounds import generation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

STEPS = ["prefill", "decode step 1", "decode step 2", "decode step 3"]
CPU = torch.device("cpu")


@pytest.fixture
def marked(engine: Engine) -> Iterator[Engine]:
    """Return the engine as it is with --nvtx."""
    engine.ranges = Ranges(engine.device)
    yield engine
    engine.ranges = None


def tree(trace: Any) -> dict[str, tuple[str, ...]]:
    """Return, by the name of each range in a trace, the names of those around it."""
    found = {}
    nodes = [(node, ()) for node in trace.profiler.kineto_results.experimental_event_tree()]
    while nodes:
        node, around = nodes.pop(0)
        mine = node.name.startswith(("round", "warm-up", "prefill", "decode", "a test"))
        if mine:
            found[node.name] = around
        inner = (*around, node.name) if mine else around
        nodes += [(each, inner) for each in node.children]
    return found


def test_rounds_and_steps_are_in_torchs_profiler(marked: Engine, workload: Workload) -> None:
    """Each round holds its prefill and its decode steps, which hold what they ran."""
    generate = generation_of(marked)
    with profile(activities=[ProfilerActivity.CPU]) as trace, inside(marked.ranges, "a test"):
        generate(workload, [])
    found = tree(trace)
    assert found["round 1"] == ("a test",)
    assert {name: found[name] for name in STEPS} == dict.fromkeys(STEPS, ("a test", "round 1"))
    names = {each.name for each in _below(trace, "decode step 2")}
    assert "MatMul8bitLt" in names
    assert "decode step 3" not in names


def _below(trace: Any, name: str) -> list[Any]:
    nodes = list(trace.profiler.kineto_results.experimental_event_tree())
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.name == name:
            found = list(node.children)
            for each in found:
                found += each.children
            return found
    return []


def test_a_warm_up_has_no_steps(marked: Engine, workload: Workload) -> None:
    """A profiler that waits for a step's name meets it in a timed round first."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        marked.warm_up(workload, marked.generated(workload) + 1)
    assert tree(trace) == {"warm-up": ()}
    assert marked.new_marks is clock.StepMarks


def test_a_round_that_fails_leaves_no_range_open(marked: Engine, workload: Workload) -> None:
    """What comes after it stands where it belongs."""

    def fail(*_: Any) -> None:
        raise RuntimeError("a kernel failed")

    hook = marked.model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        generation_of(marked)(workload, [])
    hook.remove()
    assert marked.ranges
    assert marked.ranges._open == []
    assert marked.new_marks is clock.StepMarks


def test_without_ranges_nothing_of_them_is_called(engine: Engine, workload: Workload) -> None:
    """What is timed is the engine's own method, and no function of this module is called in it."""
    assert generation_of(engine) == engine.generate
    assert engine.new_marks is clock.StepMarks
    files: set[str] = set()

    def seen(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    sys.setprofile(seen)
    try:
        generation_of(engine)(workload, [])
    finally:
        sys.setprofile(None)
    assert clock.__file__ in files
    assert ranges_module.__file__ not in files


def test_on_a_gpu_each_range_waits_for_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVTX has the same names, and what the GPU does for a step ends before its name does."""
    said: list[str] = []
    nvtx = SimpleNamespace(range_push=said.append, range_pop=lambda: said.append("pop"))
    monkeypatch.setattr(torch.cuda, "nvtx", nvtx)
    monkeypatch.setattr(clock, "now", lambda: said.append("wait"))
    monkeypatch.setattr(clock.StepMarks, "mark", lambda self: self._marks.append(0.0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)
    marks = RangedMarks(Ranges(torch.device("cuda")), 2, torch.device("cuda"))
    for _ in range(3):  # a pass more, whose token transformers drops
        marks("ids", "scores")  # type: ignore[arg-type]
    marks.mark()
    assert said == ["prefill", "wait", "pop", "decode step 1", "wait", "pop"]


def test_a_single_token_is_a_prefill_alone() -> None:
    """There is no decode step to name, and the range is closed by its logits."""
    ranges = Ranges(CPU)
    marks = RangedMarks(ranges, 1, CPU)
    assert len(ranges._open) == 1
    marks(torch.zeros(1), torch.zeros(1))
    marks.mark()
    assert ranges._open == []
    assert len(marks.elapsed_s()) == 2


def test_a_method_is_named_if_its_object_has_ranges() -> None:
    """It gets its arguments, and gives its result, either way."""

    class Thing:
        ranges: Ranges | None = None

        @named("warm-up")
        def double(self, number: int, *, more: int = 0) -> int:
            """Return twice as much, and some more."""
            return 2 * number + more

    thing = Thing()
    assert thing.double(3, more=1) == 7
    thing.ranges = Ranges(CPU)
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        assert thing.double(2) == 4
    assert "warm-up" in tree(trace)
