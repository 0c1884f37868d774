"""What holds the memory at the peaks of a real generation, and what is said if that isn't known."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
import torch

from benchmarks.allocator import on_cpu, peaks
from benchmarks.allocator.replay import CACHE, WEIGHTS, Event, Held, History, Peaks, Recorded
from benchmarks.common.quantity import ONE_TOKEN, Unmeasured
from benchmarks.model import footprint

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine


def recorded(allocated: int, requested: int) -> Recorded:
    """Return a phase that holds 900 bytes of weights and 70 of the cache at its peak."""
    history = History({1: Held(900, WEIGHTS)}, [Event(2, 70, CACHE), Event(2, 0)])
    return Recorded(range(6, 8), [history], Peaks(allocated, requested), b"snapshot")


def test_parts_of_a_generation_are_what_the_model_and_its_cache_hold(
    engine: Engine, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and cache to the byte; all of it is what torch itself counted meanwhile.

    But for garbage of tests before, which may be given back in between: torch counts that as well.
    """
    counted = []
    events = on_cpu.cpu_events

    def spy(trace: Any) -> list[list[Event]]:
        counted.extend(_counted(trace))
        return events(trace)

    monkeypatch.setattr(on_cpu, "cpu_events", spy)
    found = peaks.measure(engine, workload, None)
    weights = footprint.weights_bytes(engine.model)
    per_token = footprint.cache_bytes(engine.model).per_token
    totals = []
    for phase, tokens in (("prefill", 16), ("decode", 18)):
        parts = found[phase]["parts"]
        assert parts["weights_bytes"] == weights
        assert parts["kv_cache_bytes"] == 8 * tokens * per_token
        assert parts["activations_bytes"] > 8 * 64 * 2
        assert parts["workspace_bytes"] > 0  # of LLM.int8()
        totals.append(sum(parts.values()))
    assert max(totals) - weights == pytest.approx(max(counted), rel=0.02)
    assert found["prefill"]["decode_steps"] is None
    assert found["decode"]["decode_steps"] == [1, 3]
    assert found["decode"]["peak_allocated_bytes"] is None  # nobody measured it


def _counted(trace: Any) -> list[int]:
    """Return the running total of torch's own allocator, from the start of the recording."""
    nodes = list(trace.profiler.kineto_results.experimental_event_tree())
    found = []
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if hasattr(node.extra_fields, "total_allocated"):
            found.append((node.start_time_ns, node.extra_fields))
    _, first = min(found, key=lambda each: each[0])
    start = first.total_allocated - first.alloc_size
    return [each.total_allocated - start for _, each in found]


class Node:
    """An event of torch's profiler, as far as it is read."""

    def __init__(self, kind: str, at: int, name: str | None = None, **fields: Any) -> None:
        self.tag = SimpleNamespace(name=kind)
        self.start_time_ns = at
        self.extra_fields = SimpleNamespace(**fields)
        self.children: list[Node] = []
        self._name = name

    @property
    def name(self) -> str:
        """Its name, if it is text."""
        return b"\xa0".decode() if self._name is None else self._name


def test_a_name_that_is_no_text_hides_nothing() -> None:
    """torch gives such names for a few functions in C; what they take is counted all the same."""
    cache = Node("PyCall", 1, "transformers/cache_utils.py(1): update")
    unreadable = [Node(kind, 2) for kind in ("PyCCall", "PyCall")]
    for number, each in enumerate(unreadable):
        each.children = [Node("Allocation", 3 + number, ptr=number, alloc_size=8)]
    mark = Node("TorchOp", 9, on_cpu.DECODE)
    roots = [cache, mark]
    cache.children = list(unreadable)
    results = SimpleNamespace(experimental_event_tree=lambda: roots)
    trace = SimpleNamespace(profiler=SimpleNamespace(kineto_results=results))
    assert on_cpu.cpu_events(trace) == [[Event(0, 8, CACHE), Event(1, 8, CACHE)], []]


def test_a_single_token_has_no_decode_step(engine: Engine, workload: Workload) -> None:
    """So there is nothing to say of its peak, and that is said."""
    short = dataclasses.replace(workload, new_tokens=1)
    engine.prepare(short)
    found = peaks.measure(engine, short, None)
    assert found["prefill"]["parts"]["weights_bytes"] > 0
    assert found["decode"] == ONE_TOKEN


def test_a_generation_that_fails_leaves_nothing_recording(
    engine: Engine, workload: Workload
) -> None:
    """The next recording works; while another profiler runs, the reason is stored."""
    late = Mock(side_effect=[None, RuntimeError("a kernel failed")])
    hook = engine.model.register_forward_pre_hook(late)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        peaks.measure(engine, workload, None)
    hook.remove()
    assert not torch._C._autograd._profiler_enabled()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        found = peaks.measure(engine, workload, None)
    assert found["prefill"] == Unmeasured("another profiler is active in this process")


def test_parts_add_up_to_the_measured_peak() -> None:
    """What the allocator rounds up is a part of its own, and one that is empty is 0."""
    found = peaks.summary(recorded(allocated=1000, requested=970))
    assert found["peak_allocated_bytes"] == 1000
    assert sum(found["parts"].values()) == 1000
    assert found["parts"]["rounding_bytes"] == 30
    assert found["parts"]["workspace_bytes"] == 0
    assert found["decode_steps"] == [6, 8]


def test_parts_that_do_not_add_up_are_not_shown() -> None:
    """Two percent off is the most: the history was of something else, or is not whole."""
    assert isinstance(peaks.summary(recorded(1000, 985)), dict)
    found = peaks.summary(recorded(1000, 995))
    assert isinstance(found, Unmeasured)
    assert "add up to 975 bytes" in found.reason
    assert "measured is 1,000" in found.reason


def test_snapshots_are_written_by_phase(tmp_path: Path) -> None:
    """A file for each phase that has one, and no folder for none."""
    found = {"prefill": recorded(1, 1), "decode": Recorded(None, [])}
    peaks.write(found, tmp_path / "a")
    (file,) = (tmp_path / "a").iterdir()
    assert (file.name, file.read_bytes()) == ("prefill.memory.pickle", b"snapshot")
    peaks.write({"decode": Recorded(None, [])}, tmp_path / "b")
    assert not (tmp_path / "b").exists()
