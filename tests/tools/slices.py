"""What a decode step waits for if another process works on the same GPU, beside one that is alone.

python -m tests.tools.slices --quantization int8-decomp --json slices.json

Without MPS a GPU gives two processes time in turns. This shows what a turn costs: how long calls
wait for the GPU, and how its kernels follow each other, in decode steps that are traced.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks import __main__ as door
from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.common.files import write_json
from benchmarks.evidence import kineto, tracing
from benchmarks.evidence.tracing import DECODE_STEPS
from benchmarks.machine import clock
from benchmarks.model import loading
from benchmarks.model.target import find_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.kineto import Event
    from benchmarks.model.engine import Engine

TRACES, GENERATIONS = 2, 4
READY = "ready"
LOAD_S = 300.0  # in which the other process must be ready


def main(arguments: Sequence[str] | None = None) -> None:
    """Trace decode steps alone, then beside another process that generates without a pause."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = door.Parser()
    measuring.add_arguments(parser)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--other", action="store_true", help="be the other process")
    asked = parser.parse_args(given)
    settings = measuring.conditions(asked).settings
    target = find_target(settings, lambda _: None)
    with loading.load(target, settings.quantizations[0], cold=False) as engine:
        workload = target.workload(settings.batch_sizes[0], 16)
        engine.prepare(workload)
        engine.generate(workload)
        if asked.other:
            _keep_busy(engine, workload)
            return
        found = {"quantization": engine.quantization, "batch_size": workload.batch_size}
        found["alone"] = _measure(engine, workload)
        with beside(given):
            found["together"] = _measure(engine, workload)
    for name in ("alone", "together"):
        print(f"{name}: {_line(found[name])}")
    if asked.json:
        write_json(asked.json, found)


def _keep_busy(engine: Engine, workload: Workload) -> None:
    """Say that this process is ready, and generate until its input is closed."""
    print(READY, flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        engine.generate(workload)


@contextmanager
def beside(given: Sequence[str], gpu: str | None = None) -> Iterator[None]:
    """Be beside another process that has the same model, and generates: on a GPU of this name.

    Raises InputError if it isn't ready in time.
    """
    other = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.slices", *given, "--other"],
        env=os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdin
    assert other.stdout
    try:
        if not clock.wait(other.stdout.fileno(), LOAD_S) or READY not in _said(other.stdout):
            raise InputError("expected a second process on the GPU; it isn't ready")
        yield
    finally:
        other.stdin.close()
        other.wait()


def _said(stream: Any) -> str:
    return os.read(stream.fileno(), 1000).decode()


def _measure(engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return the median seconds of a decode step that isn't traced, and what traces show."""
    steps: list[float] = []
    for _ in range(GENERATIONS):
        marks = engine.generate(workload).marks.elapsed_s()
        steps += [end - start for start, end in pairwise(marks[2:])]
    return {
        "step_s": median(steps),
        "traces": [figures(_traced(engine, workload)) for _ in range(TRACES)],
    }


def _traced(engine: Engine, workload: Workload) -> list[Event]:
    """Return what CUPTI recorded of the decode steps that the suite counts."""
    from torch.profiler import ProfilerActivity, profile

    activity = getattr(ProfilerActivity, engine.device.type.upper())
    trace = profile(activities=[activity])
    tracing.decode_within(engine, workload, DECODE_STEPS, tracing.recording(trace))
    return kineto.read(trace)


def figures(events: Sequence[Event]) -> dict[str, Any]:
    """Return how long kernels took, the GPU paused between them, and calls waited for it."""
    launched = [each.start_ns for each in events if kineto.LAUNCH.match(each.name)]
    start, end = min(launched, default=0), max(launched, default=0)
    # Around them are waits of the recording's own.
    calls = [each for each in events if each.is_call and start <= each.start_ns <= end]
    return {
        "steps": len(DECODE_STEPS),
        "damage": kineto.damage(events),
        "kernels": spread([each.duration_ns for each in events if each.is_work]),
        "pauses": spread(pauses(events)),
        "waits": spread([each.duration_ns for each in calls if "Synchronize" in each.name]),
        "launches": spread([each.duration_ns for each in calls if kineto.LAUNCH.match(each.name)]),
    }


def pauses(events: Sequence[Event]) -> list[int]:
    """Return the nanoseconds between the end of what the GPU did and the start of the next."""
    found, end = [], None
    for each in sorted((one for one in events if one.is_work), key=lambda one: one.start_ns):
        if end is not None and each.start_ns > end:
            found.append(each.start_ns - end)
        end = max(end or 0, each.start_ns + each.duration_ns)
    return found


def spread(durations_ns: Sequence[int]) -> dict[str, float]:
    """Return number, total seconds, and percentiles in microseconds."""
    found: dict[str, float] = {"count": len(durations_ns), "total_s": sum(durations_ns) / 1e9}
    if len(durations_ns) > 1:
        cuts = quantiles(durations_ns, n=20, method="inclusive")
        found |= {f"p{p}_us": cuts[p // 5 - 1] / 1e3 for p in (5, 50, 95)}
    return found


def _line(found: dict[str, Any]) -> str:
    """Return the first trace in a line."""
    trace = found["traces"][0]
    waits, kernels, between = trace["waits"], trace["kernels"], trace["pauses"]
    shown = (each.get("p50_us", float("nan")) for each in (waits, between))
    return (
        f"{found['step_s'] * 1e3:.1f} ms a step, {waits['count'] / trace['steps']:.1f} waits, "
        "median {:.1f} us; median pause {:.1f} us; ".format(*shown)
        + f"{kernels['total_s'] / trace['steps'] * 1e3:.2f} ms of the GPU"
    )


if __name__ == "__main__":
    main()
