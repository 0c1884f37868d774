"""All benchmarks of a session side by side: phases, memory, and distance to the ceiling."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.page.figures.kit import BLUE, GREEN, ORANGE, PURPLE, Figure, Table, bars
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Named = Sequence[tuple[str, Mapping[str, Any]]]

SEEN = 1.02  # times as much, before bars of memory say something
HOST = "peak_resident_bytes"  # moves with what the process loaded before
MEMORY = {
    "weights_bytes": BLUE,
    "peak_allocated_bytes": ORANGE,
    "peak_reserved_bytes": GREEN,
    HOST: PURPLE,
}


def phases(records: Named) -> Figure | None:
    """Show the median round of each benchmark, split into prefill and decode; None without any."""
    splits = [
        (
            name,
            median(each["ttft_s"] for each in info["rounds"]),
            median(sum(each["step_s"]) for each in info["rounds"]),
        )
        for name, info in records
        if info["rounds"]
    ]
    if not splits:
        return None
    unit = columns.unit("round_s", [first + rest for _, first, rest in splits])
    groups, rows = [], []
    for name, *seconds in splits:
        texts = [columns.text("x_s", value) if value else "none" for value in seconds]
        parts = zip(("prefill", "decode"), seconds, texts, strict=True)
        groups.append(
            (name, [(part, value / unit.factor, text) for part, value, text in parts if value])
        )
        rows.append((name, *texts, columns.text("x_share", seconds[0] / sum(seconds))))
    return Figure(
        "Time of a round: prefill and decode",
        "Medians over the rounds of each benchmark",
        [bars(groups, {"prefill": ORANGE, "decode": BLUE}, unit.name, stacked=True)],
        Table(("benchmark", "prefill", "decode", "share of prefill"), rows),
    )


def memory(records: Named) -> Figure | None:
    """Show weights and peaks of memory of each benchmark; None if all need the same."""
    present = [
        name for name in MEMORY if any(info["metrics"].get(name) is not None for _, info in records)
    ]
    telling = [name for name in present if name != HOST]
    if not any(_differ(info["metrics"].get(name) for _, info in records) for name in telling):
        return None
    values = [info["metrics"].get(name) or 0 for _, info in records for name in present]
    unit = columns.unit("x_bytes", values)
    groups = [
        (
            benchmark,
            [
                (columns.title(name), value / unit.factor, columns.text(name, value))
                for name in present
                if (value := info["metrics"].get(name)) is not None
            ],
        )
        for benchmark, info in records
    ]
    table = Table(
        ("benchmark", *map(columns.title, MEMORY)),
        [
            (benchmark, *(_text(name, info["metrics"].get(name)) for name in MEMORY))
            for benchmark, info in records
        ],
    )
    colours = {columns.title(name): MEMORY[name] for name in present}
    return Figure("Memory", "Weights and peaks", [bars(groups, colours, unit.name)], table)


def _differ(values: Iterable[float | None]) -> bool:
    """Whether some of these differ by so much that a bar is seen to be longer."""
    known = [each for each in values if each is not None]
    return bool(known) and max(known) > SEEN * min(known)


def _text(name: str, value: float | None) -> str:
    return columns.UNMEASURED if value is None else columns.text(name, value)


def light(records: Named) -> Figure | None:
    """Show how far TPOT is from the ceiling that bandwidth sets; None if it isn't known."""
    known = [
        (name, metrics["tpot_s"], metrics["speed_of_light_tpot_s"], metrics.get("mbu"))
        for name, info in records
        if (metrics := info["metrics"]).get("speed_of_light_tpot_s") and metrics.get("tpot_s")
    ]
    if not known:
        return None
    unit = columns.unit("tpot_s", [tpot for _, tpot, _, _ in known])
    groups = [
        (name, [("TPOT", tpot / unit.factor, columns.text("tpot_s", tpot))])
        for name, tpot, _, _ in known
    ]
    marks = [
        (n, ceiling / unit.factor, f"speed of light: {columns.text('tpot_s', ceiling)}")
        for n, (_, _, ceiling, _) in enumerate(known)
    ]
    table = Table(
        ("benchmark", "TPOT", "speed of light", "TPOT ÷ light", "MBU"),
        [
            (
                name,
                columns.text("tpot_s", tpot),
                columns.text("tpot_s", ceiling),
                f"{tpot / ceiling:.3g}x",
                _text("mbu", mbu),
            )
            for name, tpot, ceiling, mbu in known
        ],
    )
    return Figure(
        "Distance to the speed of light",
        "TPOT as a bar; no TPOT can be shorter than the upright line, which bytes and peak "
        "bandwidth set",
        [bars(groups, {"TPOT": BLUE}, unit.name, marks=marks)],
        table,
    )
