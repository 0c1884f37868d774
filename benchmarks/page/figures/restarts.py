"""Each restart of a duet as its verdict sees it, so that one that makes the verdict is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.quantity import percentile
from benchmarks.common.text import short
from benchmarks.page.figures import kit
from benchmarks.report import verdict_table
from benchmarks.verdicts import times
from benchmarks.verdicts.records import collect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.duet.saved_duets import Duet
    from benchmarks.sessions.outcome import Verdict

LABEL, LINE, SPACE = 20, 9, 8  # pixels: above the lines of one time, each line, below them
TALLEST = 700  # pixels; what has no room is in the table


@dataclass(frozen=True)
class Observation:
    """One restart of one time, in percent: the median of its pairs, and each pair."""

    restart: int
    change: float
    pairs: Sequence[float]
    counts: bool  # not if the machine couldn't be trusted


Observed = Sequence[tuple["Verdict", Sequence[Observation]]]


def observed(duet: Duet, verdicts: Sequence[Verdict]) -> Observed:
    """Return what each restart showed of the times of the wall, in the order of `verdicts`."""
    timed = [each for each in verdicts if each.kind == "time"]
    return [(each, seen) for each in timed if (seen := list(_observations(duet, each)))]


def reach(found: Observed) -> float:
    """Return how far the axis of changes reaches at least, in percent."""
    seen = [each for _, observations in found for each in observations]
    pairs = sorted(abs(pair) for each in seen for pair in each.pairs)
    return max(1.2 * max(abs(each.change) for each in seen), percentile(pairs, 75), 1.0)


def figure(found: Observed, end: float) -> kit.Figure | None:
    """Show the change of each restart, and of its pairs, on an axis that ends at `end` percent."""
    if not found:
        return None
    dots: list[kit.Spec] = []
    pairs: list[kit.Spec] = []
    labels: list[kit.Spec] = []
    spans: list[tuple[float, float]] = []
    top = 0
    for verdict, seen in found:
        height = LABEL + LINE * len(seen) + SPACE
        if labels and top + height > TALLEST:
            break
        labels.append({"y": top + LABEL / 2, "name": _name(verdict)})
        for n, each in enumerate(seen):
            y = top + LABEL + LINE * n + LINE / 2
            row = {"of": _name(verdict), "restart": each.restart, "y": y}
            text = f"{each.change:+.1f} %" + ("" if each.counts else ", doesn't count")
            dots.append({**row, "x": each.change, "text": text, "counts": each.counts})
            pairs += [{"y": y, "x": pair} for pair in each.pairs]
        spans.append((top + LABEL, top + height - SPACE))
        top += height
    return kit.Figure(
        "Each restart of the duet",
        _says(found, len(labels)),
        [_plot(dots, pairs, labels, kit.no_change(end, top, spans), end)],
        _table(found),
    )


def _observations(duet: Duet, verdict: Verdict) -> Iterator[Observation]:
    """Yield what the restarts say of a time, as `times.paired` takes it."""
    material = collect(verdict.benchmark, duet.base, duet.head, paired=True)
    for base, head in zip(material.base, material.head, strict=True):
        then, now = (times.series(each.measured).get(verdict.metric) for each in (base, head))
        if not then or not now:
            continue
        shifts = [log(after / before) for before, after in zip(then, now, strict=False)]
        doubts = base.measured.doubts or head.measured.doubts
        yield Observation(
            restart=head.session.duet["restart"],
            change=100 * expm1(median(shifts)),
            pairs=[100 * expm1(shift) for shift in shifts],
            counts=not doubts,
        )


def _plot(
    dots: Sequence[kit.Spec],
    pairs: Sequence[kit.Spec],
    labels: Sequence[kit.Spec],
    no_change: kit.Spec,
    end: float,
) -> kit.Spec:
    y = no_change["encoding"]["y"]
    x, height = kit.changes("x", end), y["scale"]["domain"][1]
    faint = {"filled": True, "size": 14, "color": kit.SKY, "opacity": 0.45}
    layers = [
        no_change,
        kit.layer("point", faint, pairs, x=x, y=y),
        kit.layer(
            "point",
            {"filled": True, "size": 55},
            x=x,
            y=y,
            color=_if_it_counts(kit.BLUE, kit.MUTED),
            shape=_if_it_counts("circle", "cross"),
            tooltip=kit.hover({"of": "of", "restart": "restart", "change": "text"}),
        ),
        kit.names(y, rows=labels),
    ]
    return kit.plot(layers, height=height, rows=dots)


def _if_it_counts(value: str, otherwise: str) -> kit.Spec:
    return {"condition": {"test": "datum.counts", "value": value}, "value": otherwise}


def _says(found: Observed, drawn: int) -> str:
    says = (
        "A dot is one restart, the first at the top: the median of its pairs, which is all that "
        "the verdict sees of it. Faint: the pairs, those beyond the axis at its end"
    )
    if not all(each.counts for _, seen in found for each in seen):
        says += ". A grey cross doesn't count: the machine couldn't be trusted"
    more = len(found) - drawn
    if more:
        says += f". {more} more time{'s are' if more > 1 else ' is'} in the table"
    return says


def _table(found: Observed) -> kit.Table:
    rows = [
        (
            _name(verdict),
            f"{each.restart:g}",
            f"{each.change:+.1f}",
            str(len(each.pairs)),
            " to ".join(f"{percentile(sorted(each.pairs), q):+.1f}" for q in (25, 75)),
            "yes" if each.counts else "no",
        )
        for verdict, seen in found
        for each in seen
    ]
    columns = ("benchmark and metric", "restart", "change, %", "pairs", "half of them, %", "counts")
    return kit.Table(columns, rows, left=(0,))


def _name(verdict: Verdict) -> str:
    change = verdict_table.cells(verdict)[5]
    name = f"{short(verdict.benchmark)}: {verdict.metric}"
    return name if verdict.change is None else f"{name}, {change}"
