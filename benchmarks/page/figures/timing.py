"""How the rounds of one benchmark went: in order, and gap by gap."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import percentile
from benchmarks.page.figures import kit
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.report.columns import Unit

    Record = Mapping[str, Any]
    Point = tuple[int, int, float]  # round, token, seconds of the gap before it

MOST_POINTS = 4000  # that a figure of gaps draws
LEAST_REACH = 0.05  # of the median: so quiet rounds look quiet
ALL_POINTS = 20_000  # that those of a page draw together: a page stays small
KINDS = {"counted": kit.BLUE, "warm-up": kit.ORANGE, "refused": kit.VERMILION}
SHAPES = {"counted": "circle", "warm-up": "square", "refused": "cross"}


def reach(info: Record, cold: Record | None) -> float:
    """Return by what share the rounds are away from their median at most."""
    middle = median(each["round_s"] for each in info["rounds"])
    return max(abs(float(each["round_s"] / middle) - 1) for _, _, each in _in_turn(info, cold))


def _in_turn(info: Record, cold: Record | None) -> list[tuple[str, str, Record]]:
    """Return the kind, the label and the record of each round, in order."""
    shown: list[tuple[str, str, Record]] = []
    for n, each in enumerate(cold["rounds"] if cold else (), 1):
        shown.append(("warm-up", f"w{n}", each))
    for attempt in info.get("refused") or ():
        shown += [("refused", f"r{n}", each) for n, each in enumerate(attempt["rounds"], 1)]
    return [*shown, *(("counted", str(n), each) for n, each in enumerate(info["rounds"], 1))]


def rounds(info: Record, cold: Record | None, share: float = LEAST_REACH) -> kit.Figure:
    """Show the rounds in order; apart, refused ones and `cold`, the warm-up of this workload.

    The axis reaches from the median by this share to both sides, so that rounds of several
    benchmarks can be compared by eye.
    """
    shown = _in_turn(info, cold)
    share = max(share, LEAST_REACH)
    seconds = [each["round_s"] for each in info["rounds"]]
    middle = median(seconds)
    table = kit.Table(
        ("round", "kind", "took", "first token", "decode"),
        [
            (label, kind, *(columns.text("x_s", value) for value in _split(each)))
            for kind, label, each in shown
        ],
        left=(0, 1),
    )
    says = f"{len(seconds)} rounds, median {columns.text('round_s', middle)}"
    if len(seconds) > 1:
        says += f" (dashed), slowest {columns.change(max(seconds) / middle - 1)}"
    if untimed := info.get("warmup_rounds"):
        says += f"; {untimed} untimed rounds came before"
    return kit.Figure("Rounds in order", says, [_in_order(shown, middle, share)], table)


def _in_order(shown: Sequence[tuple[str, str, Record]], middle: float, share: float) -> kit.Spec:
    """Return a point for each round, and the median of those that count as a dashed line."""
    unit = columns.unit("round_s", [each["round_s"] for _, _, each in shown])
    rows = [
        {
            "order": n,
            "label": label,
            "kind": kind,
            "value": each["round_s"] / unit.factor,
            "text": columns.text("round_s", each["round_s"]),
            "ttft": columns.text("ttft_s", each["ttft_s"]),
        }
        for n, (kind, label, each) in enumerate(shown, 1)
    ]
    present = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    x: kit.Spec = {
        "field": "label",
        "type": "ordinal",
        "sort": None,
        "title": "round",
        "axis": {"labelAngle": 0, "labelOverlap": True},
    }
    ends = [max(0.0, 1 - 1.1 * share), 1 + 1.1 * share]
    domain = [middle / unit.factor * each for each in ends]

    def y(field: str) -> kit.Spec:
        return kit.axis(field, unit.name, scale={"domain": domain, "nice": False})

    dashed = {"strokeDash": [4, 4], "color": kit.INK, "opacity": 0.6}
    layers = [
        kit.layer("rule", dashed, [{"y": middle / unit.factor}], y=y("y")),
        kit.layer(
            "point",
            {"filled": False},
            x=x,
            y=y("value"),
            color=kit.kinds("kind", {kind: KINDS[kind] for kind in present}),
            shape=kit.kinds("kind", {kind: SHAPES[kind] for kind in present}),
            tooltip=kit.hover(
                {"round": "label", "kind": "kind", "took": "text", "first token": "ttft"}
            ),
        ),
    ]
    return kit.plot(layers, height=150, rows=rows)


def gaps(info: Record, most: int = MOST_POINTS) -> kit.Figure | None:
    """Show each gap between two tokens, a line for each round; None without any.

    Of more than `most` gaps the longest of neighbours are drawn, so that no hiccup is lost.
    """
    lines = [each["step_s"] for each in info["rounds"]]
    if not any(lines):
        return None
    every = -(-sum(map(len, lines)) // most)
    points = [
        (n, token, gap) for n, line in enumerate(lines, 1) for token, gap in _thinned(line, every)
    ]
    n, token, gap = worst = max(points, key=lambda point: point[2])
    says = (
        "The gap before each token, a line for each round; the longest is "
        f"{columns.text('itl_s', gap)} before token {token} of round {n}"
    )
    if every > 1:
        says += f". Of each {every} neighbours the longest is drawn"
    table = kit.Table(
        ("round", "p50", "p95", "longest", "before token"),
        [
            (
                str(n),
                *(columns.text("itl_s", percentile(line, q)) for q in (50, 95, 100)),
                str(line.index(max(line)) + 2),
            )
            for n, line in enumerate(lines, 1)
            if line
        ],
    )
    unit = columns.unit("itl_s", [percentile([gap for line in lines for gap in line], 50)])
    plots = [_gaps(points, worst, len(lines), unit)]
    return kit.Figure("Inter-token gaps over the generated tokens", says, plots, table)


def _gaps(points: Sequence[Point], worst: Point, count: int, unit: Unit) -> kit.Spec:
    """Return a line for each of `count` rounds, and the longest gap with its label."""
    rows, longest = (
        [{"round": str(n), "token": token, "value": gap / unit.factor} for n, token, gap in some]
        for some in (points, [worst])
    )
    longest[0]["label"] = f"longest: {columns.text('itl_s', worst[2])}"
    colours = {str(n): kit.SERIES[(n - 1) % len(kit.SERIES)] for n in range(1, count + 1)}
    colour = kit.kinds("round", colours, title="round", titleOrient="left")
    if count > len(kit.SERIES):
        colour["legend"] = None
    ticks = {"tickMinStep": 1, "format": "d"}
    x = kit.axis("token", "generated token", scale={"nice": False}, axis=ticks)
    y = kit.axis("value", unit.name)
    gap = {"field": "value", "title": f"gap, {unit.name}", "type": "quantitative"}
    tooltip = [*kit.hover({"round": "round", "before token": "token"}), {**gap, "format": ".3~r"}]
    at_left = worst[1] < points[-1][1] / 2
    beside = {"align": "left", "dx": 7} if at_left else {"align": "right", "dx": -7}
    unseen = {"size": 40, "filled": True, "opacity": 0}  # a target for the mouse
    layers = [
        kit.layer("line", {"strokeWidth": 1.2, "opacity": 0.85}, x=x, y=y, color=colour),
        kit.layer("point", unseen, x=x, y=y, tooltip=tooltip),
        kit.layer("text", {**beside, "dy": 1}, longest, x=x, y=y, text="label"),
    ]
    return kit.plot(layers, height=170, rows=rows)


def _split(each: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return seconds of a round, of its prefill, and of its decode steps."""
    return each["round_s"], each["ttft_s"], sum(each["step_s"])


def _thinned(line: Sequence[float], every: int) -> list[tuple[int, float]]:
    """Return the longest gap of every `every` neighbours, with the token that it came before."""
    numbered = list(enumerate(line, 2))
    parts = (numbered[n : n + every] for n in range(0, len(numbered), every))
    return [max(part, key=lambda pair: pair[1]) for part in parts]
