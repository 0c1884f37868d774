"""Device time: how long the GPU works for a phase, by kernel and by operator. Not the host's time.

From CUPTI's records of untimed runs. A host that is busy makes the GPU wait, not work longer; so
this varies by 0.05 to 0.25 % from process to process, while the wall time varies by 15 %.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Unmeasured
from benchmarks.evidence import kineto, tracing
from benchmarks.evidence.calls import uncollected
from benchmarks.machine import validity
from benchmarks.machine.bounds import Bounds
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.readings import Observations
from benchmarks.machine.watch import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchmarks.common.quantity import Reading
    from benchmarks.evidence.counters import Run
    from benchmarks.evidence.kineto import Event

# Kernels and operators that are stored, those that took longest. LLM.int8() has 60 names of
# kernels: of a new one that takes half a percent the name would be lost among thirty.
TOP = 100
ATTEMPTS = 3  # to record a repeat that is complete


INTERVAL_S = 0.02  # between samples of the clocks: a repeat takes a tenth of a second and more
# Kernels take longer at a lower clock, nearly in proportion, and a step of the clock is 15 MHz.
CLOCK_DROP = 0.02
# Of one step's device time, over the repeats of a process: 0.1 to 0.6 % on H200s.
DISAGREEMENT = 0.02
# As ncclDevKernel_AllReduce_Sum_f16_RING_LL(...): it works until the slowest process is there.
COLLECTIVE = re.compile(r"nccl\w*Kernel")
CLOCKS = ("sm_clock_hz", "memory_clock_hz", "power_watts")


@dataclass
class Spent:
    """Calls and nanoseconds by name."""

    calls: Counter[str] = field(default_factory=Counter)
    ns: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, ns: int) -> None:
        """Add one of this name."""
        self.calls[name] += 1
        self.ns[name] += ns

    def record(self) -> dict[str, Any]:
        """Return the longest, `top`, by name, and the `rest`, each as calls and seconds."""
        order = sorted(self.ns, key=lambda name: (-self.ns[name], name))
        return {
            "top": [
                {"name": name, "calls": self.calls[name], "device_s": self.ns[name] / 1e9}
                for name in order[:TOP]
            ],
            "rest": {
                "names": len(order[TOP:]),
                "calls": sum(self.calls[name] for name in order[TOP:]),
                "device_s": sum(self.ns[name] for name in order[TOP:]) / 1e9,
            },
        }


@dataclass(frozen=True)
class Repeat:
    """What the GPU did in one recorded run of a phase."""

    kernels: Spent  # copies and memsets as well
    operators: Spent  # that asked for it; empty if the recording had no operators
    devices: Counter[int]  # nanoseconds by index of the GPU

    @property
    def seconds(self) -> float:
        """The durations of all of it, summed."""
        return sum(self.devices.values()) / 1e9

    @property
    def collectives_s(self) -> float:
        """Those of collectives, in which the waiting for other processes is."""
        spent = self.kernels.ns.items()
        return sum(ns for name, ns in spent if COLLECTIVE.match(name)) / 1e9


def repeat(events: Iterable[Event]) -> Repeat:
    """Sum what the GPU did, from the events of one recording."""
    events = list(events)
    names = {each.id: each.name for each in events if each.is_operator}
    kernels, operators, devices = Spent(), Spent(), Counter[int]()
    for each in events:
        if each.is_work:
            kernels.add(each.name, each.duration_ns)
            devices[each.device] += each.duration_ns
            if names:
                operators.add(names.get(each.operator, "(no operator)"), each.duration_ns)
    return Repeat(kernels, operators, devices)


def repeats(
    record: Callable[[], list[Event]], count: int, first: Repeat
) -> tuple[list[Repeat], str | None]:
    """Return `count` repeats of a phase, and why they can't be trusted; None if they can.

    `first` is recorded already, complete and with operators; `record` records another. One that
    isn't complete, or did other work than the first, is recorded again, ATTEMPTS times at most.
    If collectives waited in one and not in another, so many more are recorded at most, and those
    that waited least are returned.
    """
    # Recording operators slows the host down. A copy between GPUs takes longer if the host is
    # slow, by 4 % of a step on H200s; nothing else does. So of several GPUs it is no repeat.
    found = [] if len(first.devices) > 1 else [first]
    while len(found) < count:
        one, why = _another(record, first)
        if one is None:
            return found, f"repeat {len(found) + 1} of {count}, recorded {ATTEMPTS} times: {why}"
        found.append(one)
    for _ in range(ATTEMPTS):
        if not _waited(found):
            break
        one, _ = _another(record, first)
        if one:
            found = sorted([*found, one], key=lambda each: each.collectives_s)[:count]
    return found, None


def _another(record: Callable[[], list[Event]], first: Repeat) -> tuple[Repeat | None, str | None]:
    """Return one more repeat, or None and what was wrong with the last that was recorded."""
    for _ in range(ATTEMPTS):
        events = record()
        one = repeat(events)
        why = kineto.damage(events) or other_work(first, one)
        if why is None:
            return one, None
    return None, why


def _waited(found: Sequence[Repeat]) -> bool:
    """Whether repeats disagree, and nothing but the time of their collectives makes them."""
    bound = DISAGREEMENT * min(each.seconds for each in found)
    collectives = [each.collectives_s for each in found]
    rest = [each.seconds - each.collectives_s for each in found]
    return max(collectives) - min(collectives) > bound >= max(rest) - min(rest)


def other_work(first: Repeat, other: Repeat) -> str | None:
    """Return in what a repeat did other work than the first one; None if it did the same."""
    gained = {
        name: other.kernels.calls[name] - first.kernels.calls[name]
        for name in {**first.kernels.calls, **other.kernels.calls}
        if other.kernels.calls[name] != first.kernels.calls[name]
    }
    if not gained:
        return None
    name = max(gained, key=lambda each: (abs(gained[each]), each))
    return f"other work than in the first repeat: {gained[name]:+,} calls of {name[:60]}"


def record_of(found: Sequence[Repeat], steps: int, operators: Spent) -> dict[str, Any]:
    """Return what is stored of the repeats of a phase; `steps` are those that each one covers.

    `repeats_s` are seconds of a step. `kernels` are over all steps of one repeat, whose total is
    the median; `operators` over those of the recording that knows them.
    """
    middle = sorted(found, key=lambda each: each.seconds)[len(found) // 2]
    total = sum(middle.devices.values()) or 1
    return {
        "steps": steps,
        "repeats_s": [each.seconds / steps for each in found],
        "kernels": middle.kernels.record(),
        "operators": operators.record(),
        "share_by_gpu": {str(index): ns / total for index, ns in sorted(middle.devices.items())},
    }


def middle_s(record: Mapping[str, Any]) -> float:
    """Return the seconds of a step, from what is stored of a phase: the median of the repeats."""
    return float(median(record["repeats_s"]))


def measure(
    phases: Mapping[str, Run],
    steps: Mapping[str, int],
    first: Mapping[str, Sequence[Event]],
    *,
    gpu: Gpu | Unmeasured | None,
    count: int,
    bounds: Bounds,
) -> dict[str, Any] | Unmeasured:
    """Return the device time of each phase as it is stored, or why it can't be had.

    `phases` run each phase once; `steps` are those that each covers; `first` are the events of a
    run of each that is recorded already, with operators. On one GPU it is the first of `count`
    repeats.
    `gpu`, if NVML can be used, is watched while it works: its clocks, throttling, and other
    processes.
    """
    stored: dict[str, Any] = {}
    samples: dict[str, list[Mapping[str, Reading]]] = {}
    for phase, run in phases.items():
        samples[phase] = []
        known = repeat(first[phase])
        with uncollected():
            found, why = repeats(partial(_record, run, gpu, samples[phase]), count, known)
        if why:
            return Unmeasured(f"{phase}: {why}")
        stored[phase] = record_of(found, steps[phase], known.operators)
    no_gpu = gpu if isinstance(gpu, Unmeasured) else NO_GPU
    repeats_s = {phase: each["repeats_s"] for phase, each in stored.items()}
    return {**stored, **judged(repeats_s, samples, no_gpu, bounds)}


def judged(
    repeats_s: Mapping[str, Sequence[float]],
    samples: Mapping[str, Sequence[Mapping[str, Reading]]],
    no_gpu: Unmeasured,
    bounds: Bounds | None,
) -> dict[str, Any]:
    """Return whether these repeats can be trusted, and the clocks and power of the decode steps.

    Only what moves the work of the GPU counts. A busy host doesn't. Each phase is judged by
    itself: their clocks may differ.
    """
    bounds = bounds or Bounds()
    bounds = replace(bounds, clock_drop=min(bounds.clock_drop, CLOCK_DROP))
    reasons: list[str] = []
    for phase, each in repeats_s.items():
        taken = samples.get(phase, ())
        seen = Observations("cuda", (), {}, {}, samples=taken, cold=True, no_gpu=no_gpu)
        found = validity.judge(seen, bounds).as_record()
        reasons += [f"{phase}: {reason}" for reason in found["reasons"]]
        spread = (max(each) - min(each)) / median(each) if each else inf
        if spread > DISAGREEMENT:
            reasons.append(
                f"repeats of the {phase} disagree by {spread:.2%}, bound {DISAGREEMENT:.0%}; "
                "measure again when the GPU is steady"
            )
    clocks = {name: found["readings"].get(name) for name in CLOCKS}
    checked = {name: found[name] for name in ("bounds_lifted", "bounds_widened")}
    return {"clocks": clocks, "validity": {"valid": not reasons, "reasons": reasons, **checked}}


def _record(
    run: Run, gpu: Gpu | Unmeasured | None, seen: list[Mapping[str, Reading]]
) -> list[Event]:
    """Record what the GPU does in one run, and the calls that asked for it; no operators.

    Samples of the GPU that were taken meanwhile, and not while it idles afterwards, go to `seen`.
    """
    from torch.profiler import ProfilerActivity, profile

    trace = profile(activities=[ProfilerActivity.CUDA])
    sampler = Sampler(gpu.sample, INTERVAL_S) if isinstance(gpu, Gpu) else None

    @contextmanager
    def window() -> Iterator[None]:
        with tracing.recording(trace):
            if sampler:
                sampler.start()
            try:
                yield
            finally:
                if sampler:
                    sampler.stop()
                    seen.extend(sampler.samples)

    run(window())
    return kineto.read(trace)
