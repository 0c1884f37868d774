"""Folded stacks for flame graphs, out of a Chrome trace with Python frames.

torch's own `export_stacks` writes an empty file in several releases; the trace is complete.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HOST = {"python_function", "cpu_op", "cuda_runtime", "cuda_driver", "user_annotation"}
DEVICE = {"kernel", "gpu_memcpy", "gpu_memset"}
ENGINE = "benchmarks/model/engine.py"  # what calls `generate`: stacks begin below it
PROFILER = "benchmarks/evidence/tracing.py"  # what starts and stops the trace: left out


def fold(events: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the host's and the device's time as lines of `frame;frame;frame microseconds`.

    `events` are a trace's `traceEvents`. A host frame counts the time spent in itself; a kernel
    counts below the operator that launched it.
    """
    events = [event for event in events if event.get("ph") == "X"]
    host: defaultdict[str, float] = defaultdict(float)
    launched_by: dict[int, str] = {}
    for stack, event, own in _walk(event for event in events if event.get("cat") in HOST):
        host[stack] += own
        if event["cat"] == "cpu_op":
            launched_by[event.get("args", {}).get("External id")] = stack
    device: defaultdict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") in DEVICE:
            operator = launched_by.get(event.get("args", {}).get("External id"), "unknown")
            device[f"{operator};{_name(event['name'])}"] += event["dur"]
    return _lines(host), _lines(device)


def _walk(
    events: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[str, Mapping[str, Any], float]]:
    """Yield each event with its stack and its own time, by nesting the events of each thread."""
    threads: defaultdict[tuple[Any, Any], list[Mapping[str, Any]]] = defaultdict(list)
    outside: str | None = ""  # a trace without Python frames has operators alone: keep them all
    for event in events:
        if ENGINE in event["name"]:
            outside = None
        threads[event["pid"], event["tid"]].append(event)
    for thread in threads.values():
        thread.sort(key=lambda event: (event["ts"], -event["dur"]))
        open_events: list[tuple[Mapping[str, Any], str | None, list[float]]] = []
        for event in thread:
            while open_events and event["ts"] >= _end(open_events[-1][0]):
                yield _closed(*open_events.pop())
            parent = open_events[-1][1] if open_events else outside
            if open_events:
                open_events[-1][2].append(event["dur"])
            open_events.append((event, _stack(parent, event["name"]), []))
        while open_events:
            yield _closed(*open_events.pop())


def _stack(parent: str | None, name: str) -> str | None:
    """Return a frame's stack: empty for the engine itself, None for what is not below it."""
    if ENGINE in name:
        return ""
    if PROFILER in name or parent is None:
        return None
    return f"{parent};{_name(name)}".lstrip(";")


def _closed(
    event: Mapping[str, Any], stack: str | None, children: list[float]
) -> tuple[str, Mapping[str, Any], float]:
    return stack or "", event, max(0.0, event["dur"] - sum(children))


def _end(event: Mapping[str, Any]) -> float:
    return float(event["ts"] + event["dur"])


def _name(name: str) -> str:
    """Return a frame's name without numbers of modules and addresses: layers add up."""
    if name.startswith("nn.Module: "):
        name = re.sub(r"_\d+$", "", name)
    name = re.sub(r"( of \S+)? object at 0x[0-9a-f]+", "", name)
    return name.replace(";", ",")


def _lines(totals: Mapping[str, float]) -> list[str]:
    return [f"{stack} {round(own)}" for stack, own in totals.items() if stack and round(own)]
