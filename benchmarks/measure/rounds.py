"""The rounds of one benchmark: timed by pytest-benchmark, and once more if the machine moved."""

from __future__ import annotations

import gc
import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Metric, Unmeasured
from benchmarks.machine import clock, validity
from benchmarks.machine.ranges import RangedMarks
from benchmarks.measure import memory
from benchmarks.measure.metrics import SHORTEST_ENERGY_S, Peaks, Round, split_round
from benchmarks.modes import attested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.machine.bounds import Bounds
    from benchmarks.machine.ranges import Ranges
    from benchmarks.machine.validity import Validity
    from benchmarks.machine.watch import Watch
    from benchmarks.model.engine import Engine, Generation


@dataclass
class Attempt:
    """One set of rounds, where its tensors were, and whether the machine could be trusted."""

    watch: Watch
    generations: list[Generation] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)  # of the rounds, on the watch's clock
    placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    validity: Validity | None = None  # None if nothing was timed
    more: bool = False  # generations than were timed, all of them under watch
    peaks: Peaks = field(init=False)

    @property
    def energy_joules(self) -> Metric:
        """What the GPUs used over the rounds; their counters are too coarse for a short one."""
        if self.more:
            return Unmeasured("--benchmark-cprofile ran a round more, which is not timed")
        shortest_s = min((each.round_s for each in self.rounds), default=0.0)
        if self.watch.blocks > 1 and shortest_s < SHORTEST_ENERGY_S:
            return Unmeasured(
                f"rounds are watched one by one, and took below {SHORTEST_ENERGY_S} s"
            )
        return self.validity.readings["energy_joules"] if self.validity else NO_GPU  # type: ignore[return-value]

    def begin(self) -> None:
        """Keep when a round begins."""
        self.starts_s.append(clock.read() - self.watch.start_s)

    def time(self, generate: Callable[..., Generation], workload: Workload) -> float:
        """Keep one more generation, and return its seconds."""
        self.begin()
        start = clock.now()
        generate(workload, self.generations)
        return clock.now() - start

    def record(self) -> dict[str, Any]:
        """Return rounds, each with its start in seconds of the watch, validity and samples."""
        judged = self.validity.as_record() if self.validity else None
        return {
            "rounds": [
                {"start_s": start_s, **each.record()}
                for start_s, each in zip(self.starts_s, self.rounds, strict=True)
            ],
            "validity": judged and {**judged, "samples": self.watch.series()},
        }


@dataclass
class Measurement:
    """Times the generations of one benchmark under watch, and keeps what every attempt saw.

    `again_within_s`: rounds that took less than these seconds in all are timed once more if the
    machine couldn't be trusted. `cold` rounds can't be: the process is warm afterwards.
    """

    benchmark: Any
    engine: Engine
    workload: Workload
    new_watch: Callable[[], Watch]
    bounds: Bounds
    again_within_s: float
    cold: bool
    disable_gc: bool
    show: Callable[..., None]
    warmup_rounds: int = 0  # generations of this workload that came before the first round
    attempts: list[Attempt] = field(default_factory=list)

    def __call__(self, rounds: int) -> list[Generation]:
        """Time so many rounds, and return the generations of those that count."""
        self.warmup_rounds = self.engine.generated(self.workload)
        with self._attempt() as attempt:
            self.benchmark.pedantic(
                generation_of(self.engine),
                args=(self.workload, attempt.generations),
                rounds=rounds,
                setup=lambda: self._start(attempt),
            )
            times = self.benchmark.stats.stats.data if self.benchmark.stats else []
            attempt.more = len(attempt.generations) > rounds  # one, for --benchmark-cprofile
            del attempt.generations[rounds:], attempt.starts_s[rounds:]
        self._judge(attempt, times)
        if self._worth_again(attempt):
            with self._attempt() as second:
                generate = generation_of(self.engine)
                times[:] = [self._time(second, generate) for _ in range(rounds)]
            self._judge(second, times)
        return self.attempts[-1].generations

    @contextmanager
    def _attempt(self) -> Iterator[Attempt]:
        watch = self.new_watch()
        attempt = Attempt(watch)
        with watch:
            self.engine.reset_peaks()
            yield attempt
            attempt.placement = memory.place(self.engine.model)
            attempt.peaks = memory.peaks(self.engine, attempt.placement)
        self.attempts.append(attempt)

    def _start(self, attempt: Attempt) -> None:
        self.show(None)
        attempt.begin()

    def _time(self, attempt: Attempt, generate: Callable[..., Generation]) -> float:
        """Time a generation as pytest-benchmark does, whose fixture can be used only once."""
        self.show(f"again, round {len(attempt.starts_s) + 1}")
        collecting = gc.isenabled() and self.disable_gc
        if collecting:
            gc.disable()
        try:
            return attempt.time(generate, self.workload)
        finally:
            if collecting:
                gc.enable()

    def _judge(self, attempt: Attempt, times: list[float]) -> None:
        """Split the rounds, and judge them; under --benchmark-disable there are no times.

        Raises WorkError if something was compiled in a round that should be warm.
        """
        rounds_s = times or [each.seconds for each in attempt.generations]
        pairs = zip(attempt.generations, rounds_s, strict=True)
        attempt.rounds = [round_of(*pair, cold=self.cold) for pair in pairs]
        if times:
            seen = attempt.watch.observations(times, cold=self.cold)
            attempt.validity = validity.judge(seen, self.bounds)

    def _worth_again(self, attempt: Attempt) -> bool:
        return (
            attempt.validity is not None
            and not attempt.validity.valid
            and not self.cold
            and sum(each.round_s for each in attempt.rounds) < self.again_within_s
        )


def generation_of(engine: Engine) -> Callable[..., Generation]:
    """Return what is timed as a round: the engine's own method, unless its parts have names."""
    return _named(engine, engine.ranges) if engine.ranges else engine.generate


def _named(engine: Engine, ranges: Ranges) -> Callable[..., Generation]:
    numbers = itertools.count(1)

    def generate(workload: Workload, log: list[Generation]) -> Generation:
        engine.new_marks = partial(RangedMarks, ranges, workload.new_tokens)
        try:
            with ranges.inside(f"round {next(numbers)}"):
                return engine.generate(workload, log)
        finally:
            engine.new_marks = clock.StepMarks

    return generate


def round_of(generation: Generation, round_s: float, *, cold: bool = False) -> Round:
    """Return its times; `round_s` is what the benchmark's clock saw.

    Raises WorkError if something was compiled meanwhile, but in a `cold` round.
    """
    if not cold:
        attested.check_recompiled(generation.compiled)
    return split_round(round_s, generation.marks.elapsed_s())


def cold_start_ratio(generations: Sequence[Generation], *, cold: bool) -> Metric:
    """Return how many times longer a process's first generation took than the last of these."""
    if not cold:
        return Unmeasured("other generations came before in this process")
    if len(generations) < 3:
        return Unmeasured("there are fewer than three generations")
    return generations[0].seconds / generations[-1].seconds
