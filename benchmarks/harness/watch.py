"""Watch the machine around the timed rounds of one benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import clock, host
from benchmarks.harness.gpu import INTERVAL_S, Gpu, Sampler
from benchmarks.harness.metrics import NO_GPU, Unmeasured, as_stored
from benchmarks.harness.observe import Observations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from benchmarks.harness.host import Reading

SERIES = (
    "sm_clock_hz",
    "temperature_celsius",
    "power_watts",
    "utilization",
    "memory_used_bytes",
    "clock_reasons",
)


class Watch:
    """Around timed rounds: control, counters, and on a GPU a sampling thread in between.

    `device` is its type, `threads` are torch's; `control()`, if any, returns the control's seconds,
    and `start` is what it returned at the start of the session. `gpu` is Unmeasured where NVML
    can't be used, and None where there is no GPU to watch: then no thread runs.
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
        self._before: dict[str, Reading] = {}
        self._after: dict[str, Reading] = {}
        self.start_s = 0.0  # on the steady clock, when the block began

    def __enter__(self) -> Watch:
        """Run the control, read everything once, and begin to sample."""
        self._run_control()
        self._look()
        if isinstance(self._gpu, Gpu):
            self._facts |= self._gpu.facts()
        self._before = self._count()
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
            self._after = self._count()
            if self._sampler:
                self._samples += self._sampler.samples
                if self._sampler.failure:
                    self._facts["gpu_sampler"] = self._sampler.failure
            self._look()
            self._run_control()

    def observations(self, rounds_s: Sequence[float], *, cold: bool = False) -> Observations:
        """Return what was seen, for `validity.judge`; `cold` rounds needn't be steady."""
        return Observations(
            device=self._device,
            rounds_s=tuple(rounds_s),
            facts=self._facts,
            before=self._before,
            after=self._after,
            samples=tuple(self._samples),
            controls=tuple(self._controls),
            cold=cold,
            no_gpu=self._gpu if isinstance(self._gpu, Unmeasured) else NO_GPU,
        )

    def series(self) -> dict[str, list[Any]] | None:
        """Return the GPU's samples as columns, in seconds since the block began; None without."""
        samples = [sample for sample in self._samples if "at_s" in sample]
        if not samples:
            return None
        rows = [as_stored(sample)[0] for sample in samples]  # type: ignore[arg-type]
        columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in SERIES}
        return {"t_s": [sample["at_s"] - self.start_s for sample in samples], **columns}  # type: ignore[operator]

    def _run_control(self) -> None:
        if self._control:
            self._controls.append(self._control())

    def _count(self) -> dict[str, Reading]:
        counters: dict[str, Reading] = {**host.snapshot(self._root)}
        return counters | (self._gpu.counters() if isinstance(self._gpu, Gpu) else {})

    def _look(self) -> None:
        """Keep who else is on the GPU; an idle moment says nothing of clocks."""
        if isinstance(self._gpu, Gpu):
            self._samples.append(self._gpu.others())
