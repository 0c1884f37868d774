"""How the gaps between tokens are distributed: a histogram, or dots if they are few."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import percentile
from benchmarks.page.figures import kit
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.report.columns import Unit

    Record = Mapping[str, Any]

BINS = 40
FEW = 50  # gaps: fewer make no histogram
STRIP_TOP, STRIP_LINE = 24, 12  # pixels
LABEL_LINE = 18  # pixels


def figure(info: Record) -> kit.Figure | None:
    """Show how the gaps of all rounds are distributed; None without any."""
    pooled = sorted(gap for each in info["rounds"] for gap in each["step_s"])
    if not pooled:
        return None
    if len(pooled) < FEW:
        return _strip(info)
    end = min(pooled[-1], 2 * percentile(pooled, 99) - percentile(pooled, 50))
    start, unit = pooled[0], columns.unit("itl_s", [percentile(pooled, 50)])  # that of all gaps
    width = (end - start) / BINS or end / BINS
    counts = [0] * BINS
    beyond = 0
    for gap in pooled:
        n = min(int((gap - start) / width), BINS - 1)
        counts[n] += gap <= end
        beyond += gap > end
    edges = [(start + n * width) / unit.factor for n in range(BINS + 1)]
    rows = [
        {"from": low, "to": high, "n": n, "text": f"{low:.4g} to {high:.4g} {unit.name}"}
        for n, (low, high) in zip(counts, pairwise(edges), strict=True)
    ]
    bins = kit.layer(
        "bar",
        {"color": kit.SKY, **kit.EDGED},
        x=kit.axis("from", unit.name, scale={"nice": False}),
        x2="to",
        y=kit.axis("n", "gaps", zero=True),
        y2={"datum": 0},
        tooltip=kit.hover({"gap": "text", "count": "n"}),
    )
    middle = (edges[0] + edges[-1]) / 2
    lines = _upright([(q, percentile(pooled, q)) for q in (50, 95, 99)], unit, middle)
    says = f"{len(pooled):,} gaps of all rounds"
    if beyond:
        says += f"; {beyond} longer than drawn, up to {columns.text('itl_s', pooled[-1])}"
    table = kit.Table(
        ("gap", "count"), [(row["text"], f"{row['n']:,}") for row in rows if row["n"]]
    )
    plots = [kit.plot([bins, *lines], height=150, rows=rows)]
    return kit.Figure("Distribution of inter-token gaps", says, plots, table)


def _strip(info: Record) -> kit.Figure:
    """Show gaps that are too few for a histogram, each as a dot, on a line for each round."""
    found = [
        (n, token, gap)
        for n, each in enumerate(info["rounds"], 1)
        for token, gap in enumerate(each["step_s"], 2)
    ]
    values = sorted(gap for _, _, gap in found)
    unit = columns.unit("itl_s", [values[-1]])
    rows = [
        {
            "round": str(n),
            "token": token,
            "value": gap / unit.factor,
            "text": columns.text("itl_s", gap),
            "y": STRIP_TOP + STRIP_LINE * (n - 1),
        }
        for n, token, gap in found
    ]
    height = STRIP_TOP + STRIP_LINE * len(info["rounds"])
    dots = kit.layer(
        "point",
        {"filled": True, "color": kit.BLUE, "opacity": 0.6},
        x=kit.axis("value", unit.name, scale={"nice": False}),
        y=kit.pixels(height),
        tooltip=kit.hover({"gap": "text", "round": "round", "before token": "token"}),
    )
    middle = (values[0] + values[-1]) / 2 / unit.factor
    lines = _upright([(50, percentile(values, 50))], unit, middle)
    table = kit.Table(
        ("round", "before token", "gap"),
        [(row["round"], str(row["token"]), row["text"]) for row in rows],
    )
    return kit.Figure(
        "Distribution of inter-token gaps",
        f"{len(values)} gaps, each a dot, and each round a line: too few for a histogram",
        [kit.plot([dots, *lines], height=height, rows=rows)],
        table,
    )


def _upright(marks: Sequence[tuple[int, float]], unit: Unit, middle: float) -> list[kit.Spec]:
    """Return lines at percentiles; their labels, below each other, are on top of all lines."""
    rules: list[kit.Spec] = []
    labels: list[kit.Spec] = []
    for line, (q, value) in enumerate(marks):
        at = value / unit.factor
        rows = [{"x": at, "label": f"p{q}: {columns.text('itl_s', value)}"}]
        x = kit.axis("x", unit.name, scale={"nice": False})
        dash = [[1, 0], [6, 3], [2, 2]][line]
        rules.append(kit.layer("rule", {"strokeDash": dash}, rows, x=x))
        side = {"align": "right", "dx": -5} if at > middle else {"align": "left", "dx": 5}
        y = {"value": 8 + LABEL_LINE * line}
        labels.append(kit.layer("text", side, rows, x=x, y=y, text="label"))
    return [*rules, *labels]
