"""Watch the machine around the timed rounds of one benchmark, and sample its GPUs meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Reading, Unmeasured, as_stored
from benchmarks.machine import clock, host
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.readings import Observations, combine

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SERIES = (
    "sm_clock_hz",
    "temperature_celsius",
    "power_watts",
    "utilization",
    "memory_used_bytes",
    "clock_reasons",
)
STOPPED_WITHIN_S = 10  # a sample takes microseconds, but the machine may stand still meanwhile
INTERVAL_S = 0.1  # on an H200 a sample takes 18 microseconds, so sampling costs 0.02 %
PROCESSES_EVERY = 10  # samples; listing processes, 31 microseconds, is the slowest of NVML's calls
MOST_SAMPLES = 36_000  # an hour of them; of more, the newest stay


class Sampler:
    """Takes a sample every `interval_s` in a thread of its own, and never raises.

    `read(processes=...)` returns a sample: `Gpu.sample`.
    """

    def __init__(
        self, read: Callable[..., Mapping[str, Reading]], interval_s: float = INTERVAL_S
    ) -> None:
        """Prepare; nothing is read before `start`."""
        self._read = read
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self.samples: deque[Mapping[str, Reading]] = deque(maxlen=MOST_SAMPLES)
        self.failure: Unmeasured | None = None

    def start(self) -> None:
        """Begin to sample, anew if it was stopped."""
        self._stopping.clear()
        self.samples.clear()
        self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system gives no more threads
            self.failure = Unmeasured(f"the sampler didn't start ({error})")

    def stop(self) -> None:
        """End the sampling, and wait for the sample that is being taken."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOPPED_WITHIN_S)
            if self._thread.is_alive():
                self.failure = Unmeasured("NVML hung while it was asked for a sample")

    def _run(self) -> None:
        taken = 0
        while not self._stopping.wait(self._interval_s):
            try:
                sample = self._read(processes=taken % PROCESSES_EVERY == 0)
                self.samples.append({"at_s": clock.read(), **sample})
            except Exception as error:  # whatever it is, it must not reach the benchmark
                self.failure = Unmeasured(f"a sample failed ({type(error).__name__}: {error})")
            taken += 1


class Watch:
    """Around timed rounds: control, counters, and on a GPU a sampling thread in between.

    Several blocks may be watched, one after the other. They count as one, without what happened
    between them; one that fails doesn't count.

    `device` is its type, `threads` are torch's; `control()`, if any, returns the control's seconds,
    and `start` is what it returned at the start of the session. `gpu` is Unmeasured if NVML
    can't be used, and None if there is no GPU to watch: then no thread runs.
    """

    def __init__(
        self,
        device: str,
        *,
        threads: int,
        control: Callable[[], Mapping[str, float]] | None,
        start: Mapping[str, float] | None = None,
        gpu: Gpu | Unmeasured | None = None,
        interval_s: float = INTERVAL_S,
        root: Path = host.ROOT,
    ) -> None:
        """Prepare; nothing is read before the block begins."""
        self._device = device
        self._control = control
        self._controls = [] if start is None else [start]
        self._gpu = gpu
        self._root = root
        self._facts: dict[str, Reading] = host.facts(threads, root)
        self._samples: list[Mapping[str, Reading]] = []
        self._sampler = Sampler(gpu.sample, interval_s) if isinstance(gpu, Gpu) else None
        self._neighbours: list[Mapping[str, Reading]] = []  # when the block began
        self._before: dict[str, Reading] = {}
        self._counts: dict[str, Reading] = {}
        self.blocks = 0  # that were watched to their end
        self.start_s = 0.0  # on the steady clock, when the first block began

    def __enter__(self) -> Watch:
        """Run the control, read everything once, and begin to sample."""
        self._run_control()
        self._neighbours = self._others()
        if isinstance(self._gpu, Gpu):
            self._facts |= self._gpu.facts()
        self._before = self._read()
        if not self.blocks:
            self.start_s = clock.read()
        if self._sampler:
            self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop sampling, and read everything again; rounds that failed are not looked at."""
        if self._sampler:
            self._sampler.stop()
        if error is None:
            self._count(self._read())
            self._samples += self._neighbours
            if self._sampler:
                self._samples += self._sampler.samples
                if self._sampler.failure:
                    self._facts["gpu_sampler"] = self._sampler.failure
            self._samples += self._others()
            self._run_control()
            self.blocks += 1

    def observations(self, rounds_s: Sequence[float], *, cold: bool = False) -> Observations:
        """Return what was seen, for `validity.judge`; `cold` rounds needn't be steady."""
        return Observations(
            device=self._device,
            rounds_s=tuple(rounds_s),
            facts=self._facts,
            counts=self._counts,
            samples=tuple(self._samples),
            controls=tuple(self._controls),
            cold=cold,
            no_gpu=self._gpu if isinstance(self._gpu, Unmeasured) else NO_GPU,
        )

    def series(self) -> dict[str, list[Any]] | None:
        """Return the GPU's samples as columns, in seconds since the first block began."""
        samples = [sample for sample in self._samples if "at_s" in sample]
        if not samples:
            return None
        rows = [as_stored(sample)[0] for sample in samples]  # type: ignore[arg-type]
        columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in SERIES}
        return {"t_s": [sample["at_s"] - self.start_s for sample in samples], **columns}  # type: ignore[operator]

    def _run_control(self) -> None:
        if self._control:
            self._controls.append(self._control())

    def _read(self) -> dict[str, Reading]:
        counters: dict[str, Reading] = {**host.snapshot(self._root)}
        return counters | (self._gpu.counters() if isinstance(self._gpu, Gpu) else {})

    def _count(self, now: Mapping[str, Reading]) -> None:
        """Add what was counted in this block; the load average is a state: the last one counts."""
        for name, value in now.items():
            sum_, then = self._counts.get(name, 0), self._before[name]
            self._counts[name] = combine(
                lambda sum_, then, now: sum_ + now - then, sum_, then, value
            )
        self._counts["load_average"] = now["load_average"]

    def _others(self) -> list[Mapping[str, Reading]]:
        """Return who else is on the GPU; an idle moment says nothing of clocks."""
        return [self._gpu.others()] if isinstance(self._gpu, Gpu) else []
