"""Change points as text: a line for each, and below it what changed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.text import align, count, number, short, wrapped
from benchmarks.history.change_points import CALLS
from benchmarks.report import verdict_markdown, verdict_table
from benchmarks.sessions import commit, instants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.history.change_points import ChangePoint

HEADER = ("since", "metric", "before", "", "after", "change", "interval", "p", "")
NAMED = 4  # of what changed with it; the JSON has all
MOST = 60  # rows of Markdown


def lines(points: Sequence[ChangePoint], notes: Sequence[str]) -> list[str]:
    """Return a line for each change point, and below it what changed with it."""
    rows = align([HEADER, *map(cells, points)], left=(0, 1, 8)) if points else []
    found = [*notes, *rows[:1]]
    for row, below in zip(rows[1:], _all_below(points), strict=True):
        found += [row, *(line for each in below for line in wrapped(each, indent=4))]
    return found


def markdown(points: Sequence[ChangePoint], notes: Sequence[str]) -> str:
    """Return the same as Markdown, for the summary of a nightly job."""
    parts = ["### Change points", *map(verdict_markdown.text, notes)]
    if points:
        table = [HEADER, ("---",) * len(HEADER), *map(_escaped, points[:MOST])]
        if len(points) > MOST:
            table.append((f"… and {len(points) - MOST} more", *[""] * (len(HEADER) - 1)))
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in table))
        parts += map(_listed, points[:MOST], _all_below(points[:MOST]))
    return "\n\n".join(filter(None, parts)) + "\n"


def _escaped(point: ChangePoint) -> tuple[str, ...]:
    return tuple(map(verdict_markdown.text, cells(point)))


def _listed(point: ChangePoint, below: Sequence[str]) -> str:
    when, metric, *_ = cells(point)
    what = verdict_markdown.text(f"{when}, {metric}")
    nested = [f"  - {verdict_markdown.text(each)}" for each in below]
    return "\n".join([f"- {what}", *nested]) if nested else ""


def cells(point: ChangePoint) -> tuple[str, ...]:
    """Return the cells of a change point, in the order of `HEADER`."""
    _, metric, *figures = verdict_table.cells(point.verdict)
    return instants.to_the_minute(point.after.when), metric, *figures


def sides(point: ChangePoint) -> str:
    """Return the two sessions between which a change point lies, and their commits."""
    before, after = (each.name.rpartition("/")[2] for each in (point.before, point.after))
    names = f"{before} -> {after}" if before != after else point.after.name
    commits = ((commit.known(each) or "unknown")[:10] for each in (point.before, point.after))
    return f"{names}; commits {' -> '.join(commits)}"


def came_with(point: ChangePoint) -> list[str]:
    """Return what else changed between the two sessions: versions, machine, counters, calls."""
    found = [_changed(each) for each in (point.versions, point.hardware, point.counters) if each]
    if point.calls:
        kinds = ", ".join(f"{number} {CALLS[kind]}" for kind, number in point.calls.items())
        found.append(f"called more or less often: {kinds}")
    return found


def _all_below(points: Sequence[ChangePoint]) -> list[list[str]]:
    """Return what is said below each line: what several of one session have in common, once."""
    said: set[tuple[str, str]] = set()
    found = []
    for point in points:
        new = [each for each in _below(point) if (point.after.name, each) not in said]
        said |= {(point.after.name, each) for each in new}
        found.append(new)
    return found


def _below(point: ChangePoint) -> Iterator[str]:
    """Yield between which sessions it lies, and what changed with it."""
    older, newer = count(point.sessions_before, "session"), point.sessions_after
    yield f"{short(point.verdict.benchmark)}: {older} at the level before, {newer} at this one"
    yield sides(point)
    yield from came_with(point)
    yield from point.verdict.reasons
    if point.shared:
        yield f"the same in {count(len(point.shared), 'more benchmark')}"


def _changed(changed: Mapping[str, tuple[object, object]]) -> str:
    shown = [
        f"{name} {_fact(then)} -> {_fact(now)}"
        for name, (then, now) in list(changed.items())[:NAMED]
    ]
    more = len(changed) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _fact(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return str(value)
