"""The change points of stored sessions: when a level changed, by how much, and what came with it.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.history import levels
from benchmarks.sessions import commit, comparable, measures
from benchmarks.sessions.measures import Better
from benchmarks.sessions.outcome import Outcome, Verdict
from benchmarks.sessions.session import PHASES
from benchmarks.verdicts import exact, reasons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.history.series import Series
    from benchmarks.sessions.comparable import Changes
    from benchmarks.sessions.session import Measured, Session

CALLS = {"functions": "Python functions", "c_functions": "C functions", "operators": "operators"}


@dataclass(frozen=True)
class ChangePoint:
    """A lasting change of one metric, between two sessions that follow each other.

    `verdict` holds the metric, both levels, the change with its interval, p, and the kernels or
    functions that it is about.
    """

    verdict: Verdict
    before: Session  # the last one of the old level
    after: Session  # the first one of the new level
    sessions_before: int  # of the old level
    sessions_after: int  # of the new level
    since: int  # sessions of this series from `after` on
    versions: Changes = field(default_factory=dict)
    hardware: Changes = field(default_factory=dict)  # another card, driver, power limit
    counters: Changes = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)  # functions whose calls changed, by kind
    shared: Sequence[str] = ()  # other benchmarks with the same change

    @property
    def is_regression(self) -> bool:
        """Whether it got worse."""
        return self.verdict.outcome is Outcome.REGRESSED

    def as_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        names = ("benchmark", "metric", "kind", "base", "head", "change", "low", "high", "p")
        verdict = self.verdict.as_record()
        changed = {
            name: {each: list(sides) for each, sides in getattr(self, name).items()}
            for name in ("versions", "hardware", "counters")
        }
        return {
            **{name: verdict[name] for name in (*names, "outcome", "reasons")},
            "before": {**_place(self.before), "sessions": self.sessions_before},
            "after": {**_place(self.after), "sessions": self.sessions_after},
            "since": self.since,
            **changed,
            "calls": dict(self.calls),
            "shared": list(self.shared),
        }


def _place(session: Session) -> dict[str, Any]:
    return {"session": session.name, "when": session.when, "commit": commit.known(session)}


def of_series(every: Sequence[Series], metrics: Sequence[str] = ()) -> list[ChangePoint]:
    """Return the change points of these series, the newest first.

    Of these metrics, or else of those that sessions are judged by: others mostly follow them.
    Benchmarks of one model share their counters and device time, so what they have in common is
    one change point.
    """
    shared: dict[Any, list[ChangePoint]] = {}
    for each in wanted(every, metrics):
        for point in of_one(each):
            shared.setdefault(_same(point), []).append(point)
    points = [
        replace(first, shared=tuple(each.verdict.benchmark for each in others))
        for first, *others in shared.values()
    ]
    return sorted(points, key=lambda each: (each.after.when, each.after.name), reverse=True)


def wanted(every: Sequence[Series], metrics: Sequence[str]) -> list[Series]:
    """Return the series of these metrics; without any, of those that sessions are judged by."""
    return [each for each in every if (each.metric in metrics if metrics else each.is_judged)]


def _same(point: ChangePoint) -> tuple[Any, ...]:
    """Return what is equal for change points of several benchmarks that are one."""
    verdict = point.verdict
    name = verdict.benchmark if verdict.kind == "time" else ""
    places = point.before.name, point.after.name
    return name, verdict.metric, verdict.base, verdict.head, *places


def of_one(one: Series) -> list[ChangePoint]:
    """Return the change points of one series, oldest first; none if no way of it is better."""
    if measures.better(one.metric) is Better.NEITHER:
        return []
    points = [point for each in _by_card(one) for point in _points(each)]
    return sorted(points, key=lambda each: (each.after.when, each.after.name))


def _by_card(one: Series) -> list[Series]:
    """Return a series; of device time its parts on one card each, since cards of a kind differ."""
    if measures.kind(one.metric) != "device":
        return [one]
    cards: dict[str | None, list[tuple[Session, float]]] = {}
    for session, value in zip(one.sessions, one.values, strict=True):
        cards.setdefault(session.hardware.get("card"), []).append((session, value))
    return [
        replace(one, sessions=sessions, values=values)
        for sessions, values in (zip(*each, strict=True) for each in cards.values())
    ]


def _points(one: Series) -> list[ChangePoint]:
    found = _changes(one.metric, one.values)
    starts = [0, *(each.at for each in found), len(one.values)]
    return [
        _point(one, change, change.at - start, stop - change.at)
        for start, change, stop in zip(starts, found, starts[2:], strict=False)
    ]


def _changes(metric: str, values: Sequence[float]) -> list[levels.Change]:
    kind = measures.kind(metric)
    if kind == "agreement":
        return levels.exact(values, room=exact.AGREEMENT[metric])
    if measures.has_noise(metric):
        return levels.noisy(values)
    rounded = kind == "memory" or metric.endswith("_calls")
    return levels.exact(values, levels.SMALLEST if rounded else 0.0)


def _point(one: Series, change: levels.Change, earlier: int, later: int) -> ChangePoint:
    """Return a change with all that is known of it."""
    before, after = one.sessions[change.at - 1], one.sessions[change.at]
    kind, less = measures.kind(one.metric), change.after < change.before
    good = less is (measures.better(one.metric) is Better.LESS)
    verdict = Verdict(
        benchmark=one.benchmark,
        metric=one.metric,
        kind=kind,
        outcome=Outcome.IMPROVED if good else Outcome.REGRESSED,
        base=change.before,
        head=change.after,
        change=change.share,
        low=change.low,
        high=change.high,
        p=change.p,
    )
    point = ChangePoint(verdict, before, after, earlier, later, len(one.values) - change.at)
    then, now = (each.measured[one.benchmark] for each in (before, after))
    if kind == "device":
        phase = measures.DEVICE_PHASES[verdict.metric]
        sides = (each.device_time.get(phase) for each in (then, now))
        point = replace(point, verdict=reasons.explain_device(verdict, *sides))
    elif kind == "counter":
        point = replace(point, verdict=reasons.explain_counter(verdict, then, now))
    counted = (_counters(each) for each in (then, now))
    counters = {
        name: sides for name, sides in comparable.changed(*counted).items() if None not in sides
    }
    calls = {
        kind: sum(len(comparable.changed_calls(then, now, phase, kind)) for phase in PHASES)
        for kind in CALLS
    }
    return replace(
        point,
        versions=comparable.changed(before.software, after.software),
        hardware=comparable.changed(before.hardware, after.hardware),
        counters=counters,
        calls={kind: number for kind, number in calls.items() if number},
    )


def _counters(measured: Measured) -> dict[str, float]:
    found = measures.values(measured).items()
    return {name: value for name, value in found if measures.kind(name) == "counter"}
