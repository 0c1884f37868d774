"""Watch the machine in several spans of time: a worker's rounds, and not its partner's between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.harness.host import Reading
from benchmarks.harness.metrics import Unmeasured
from benchmarks.harness.observe import Observations
from benchmarks.harness.watch import Watch

LAST = ("load_average",)  # a state, not a counter: the last reading counts


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
