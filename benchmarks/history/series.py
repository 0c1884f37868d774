"""The metrics of stored sessions as series: one for each machine, workload and metric. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.sessions import comparable
from benchmarks.verdicts import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.sessions.session import Session

KINDS = ("device", "counter", "memory", "time")  # work before the wall


@dataclass(frozen=True)
class Series:
    """One metric of one benchmark on one machine: the sessions that have it, oldest first."""

    benchmark: str
    metric: str
    kind: str
    sessions: Sequence[Session]
    values: Sequence[float]


def gather(sessions: Iterable[Session]) -> list[Series]:
    """Return the series of sessions, work first.

    Sides of duets, and sessions that failed, are left out; so are figures that can't be trusted.
    """
    found: dict[tuple[str, ...], list[tuple[Session, float]]] = {}
    alone = (each for each in sessions if not each.duet and not comparable.failure(each))
    for session in sorted(alone, key=lambda each: (each.when, each.name)):
        machine = comparable.machine_key(session)
        for measured in session.measured.values():
            place = machine, comparable.workload_key(measured), measured.fullname
            for kind, values in figures.of(measured).items():
                for metric, value in values.items():
                    found.setdefault((*place, kind, metric), []).append((session, value))
    every = [
        Series(name, metric, kind, *zip(*points, strict=True))
        for (_, _, name, kind, metric), points in found.items()
    ]
    return sorted(every, key=lambda each: (KINDS.index(each.kind), each.benchmark, each.metric))
