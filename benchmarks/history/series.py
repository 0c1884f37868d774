"""The metrics of stored sessions as series: one for each machine, workload and metric. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.sessions import comparable, measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.sessions.session import Session

    Place = tuple[str, str]  # a machine, and a benchmark with its workload


@dataclass(frozen=True)
class Series:
    """One metric of one benchmark on one machine: the sessions that have it, oldest first."""

    place: Place
    benchmark: str
    metric: str
    sessions: Sequence[Session]
    values: Sequence[float]

    @property
    def is_judged(self) -> bool:
        """Whether sessions are judged by its metric."""
        return measures.is_judged(self.sessions[-1].measured[self.benchmark], self.metric)


def gather(sessions: Iterable[Session]) -> list[Series]:
    """Return the series of sessions, work first.

    Sides of duets, and sessions that failed, are left out; so are figures that can't be trusted.
    """
    found: dict[tuple[Place, str, str], list[tuple[Session, float]]] = {}
    alone = (each for each in sessions if not each.duet and not comparable.failure(each))
    for session in sorted(alone, key=lambda each: (each.when, each.name)):
        machine = comparable.machine_key(session)
        for name, measured in session.measured.items():
            place = machine, comparable.workload_key(measured)
            for metric, value in measures.trusted(measured).items():
                found.setdefault((place, name, metric), []).append((session, value))
    every = [Series(*which, *zip(*points, strict=True)) for which, points in found.items()]
    return sorted(every, key=_work_first)


def _work_first(each: Series) -> tuple[int, str, str]:
    return measures.KINDS.index(measures.kind(each.metric)), each.benchmark, each.metric
