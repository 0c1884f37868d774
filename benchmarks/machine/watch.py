"""Watch the machine around the timed rounds of one benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Reading, Unmeasured, as_stored
from benchmarks.machine import clock, host
from benchmarks.machine.nvml import INTERVAL_S, Gpu, Sampler
from benchmarks.machine.readings import Observations

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


LAST = ("load_average",)  # a state, not a counter: the last reading counts


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


class Spans:
    """Rounds that are watched one by one, and looked at together as a `Watch` is."""

    def __init__(self, new_watch: Callable[[], Watch]) -> None:
        """Prepare; `new_watch` makes the watch of one round."""
        self._new_watch = new_watch
        self._watches: list[Watch] = []

    @property
    def start_s(self) -> float:
        """When the first span began, on the steady clock."""
        return self._watches[0].start_s

    @contextmanager
    def span(self) -> Iterator[None]:
        """Watch what happens inside; a span that fails isn't kept."""
        watch = self._new_watch()
        with watch:
            self._watches.append(watch)
            try:
                yield
            except BaseException:
                self._watches.pop()
                raise

    def observations(self, rounds_s: Sequence[float], *, cold: bool = False) -> Observations:
        """Return what was seen in all spans; `cold` rounds needn't be steady."""
        return joined([watch.observations(rounds_s, cold=cold) for watch in self._watches])

    def series(self) -> dict[str, list[Any]] | None:
        """Return the GPU's samples of all spans as columns, in seconds since the first began."""
        columns: dict[str, list[Any]] = {}
        for watch in self._watches:
            for name, values in (watch.series() or {}).items():
                shift = watch.start_s - self.start_s if name == "t_s" else None
                columns.setdefault(name, []).extend(
                    values if shift is None else [value + shift for value in values]
                )
        return columns or None


def joined(seen: Sequence[Observations]) -> Observations:
    """Return several observations as one: what was counted is added up, without the gaps."""
    first, last = seen[0], seen[-1]
    return replace(
        last,
        before=dict.fromkeys(last.before, 0),
        after={name: _total(name, seen) for name in last.after},
        samples=tuple(sample for each in seen for sample in each.samples),
        facts={**first.facts, **last.facts},
    )


def _total(name: str, seen: Sequence[Observations]) -> Reading:
    if name in LAST:
        return seen[-1].after[name]
    total: float = 0
    for each in seen:
        change = _change(name, each.before, each.after)
        if isinstance(change, Unmeasured):
            return change
        total += change
    return total


def _change(
    name: str, before: Mapping[str, Reading], after: Mapping[str, Reading]
) -> float | Unmeasured:
    then, now = before.get(name, Unmeasured("not read")), after[name]
    for value in (then, now):
        if isinstance(value, Unmeasured):
            return value
    return now - then  # type: ignore[operator]
