"""Sessions as series: one for each benchmark, workload and machine, oldest session first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.page import labels
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.measures import Measure
    from benchmarks.sessions.session import Measured, Session


@dataclass(frozen=True)
class Point:
    """What one session says of a series: a measure by the name of each metric."""

    session: Session
    measured: Measured
    measures: dict[str, Measure]


def of_sessions(sessions: Sequence[Session]) -> list[list[Point]]:
    """Return the series of sessions; sides of duets are none, since they aren't of one code.

    A session of which nothing can be trusted is no point.
    """
    found: dict[tuple[str, str], list[Point]] = {}
    for session in sessions:
        if session.duet:
            continue
        known: dict[str, dict[str, Measure]] = {}
        for each in measures.of_session(session):
            known.setdefault(each.benchmark, {})[each.metric] = each
        for name, by_metric in known.items():
            measured = session.measured[name]
            key = labels.machine_key(session), labels.workload_key(measured)
            found.setdefault(key, []).append(Point(session, measured, by_metric))
    return list(found.values())
