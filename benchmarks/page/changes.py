"""The change points of each metric over time, in the words that a chart shows beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.history import change_points, levels, series
from benchmarks.report import change_points as shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.history.change_points import ChangePoint
    from benchmarks.history.series import Place
    from benchmarks.sessions.session import Session

    Changes = Sequence[tuple[str, Mapping[str, str]]]  # the name of a session, and what is said


def changes(sessions: Iterable[Session]) -> dict[Place, dict[str, Changes]]:
    """Return the first session of each new level, and its change in words, by place and metric.

    Nothing if the package that splits series is missing.
    """
    found: dict[Place, dict[str, Changes]] = {}
    for each in series.gather(sessions) if levels.can_split() else ():
        if points := change_points.of_one(each):
            words = [(point.after.name, _words(point)) for point in points]
            found.setdefault(each.place, {})[each.metric] = words
    return found


def _words(point: ChangePoint) -> Mapping[str, str]:
    """Return a change point as a tooltip has it; what is empty isn't shown there."""
    when, _, before, _, after, change, interval, p, outcome = shown.cells(point)
    words = {
        "outcome": outcome,
        "short": change,
        "level": f"{before} -> {after}",
        "change": " ".join(filter(None, (change, interval, p and f"p = {p}"))).replace("= <", "< "),
        "since": when,
        "between": shown.sides(point),
        "with": "; ".join(shown.came_with(point)),
    }
    return {name: says.replace("->", "→") for name, says in words.items()}  # which never breaks
