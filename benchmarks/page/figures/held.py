"""What holds the memory at the peaks of prefill and decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.page.figures.kit import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    VERMILION,
    Figure,
    Table,
    bars,
)
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Named = Sequence[tuple[str, Mapping[str, Any]]]

PARTS = {  # as they are stored, and how they are shown
    "weights_bytes": ("weights", BLUE),
    "kv_cache_bytes": ("KV cache", ORANGE),
    "activations_bytes": ("activations", GREEN),
    "workspace_bytes": ("workspace of the quantization", VERMILION),
    "other_bytes": ("other", PURPLE),
    "rounding_bytes": ("rounding of the allocator", MUTED),
}


def figure(records: Named) -> Figure | None:
    """Show the parts of each peak, once for benchmarks that share them; None without any."""
    known = _peaks(records)
    if not known:
        return None
    totals = [sum(peak["parts"].values()) for peak in known.values()]
    unit = columns.unit("x_bytes", totals)
    groups, marks, rows = [], [], []
    for number, (name, peak) in enumerate(known.items()):
        parts = [
            (title, peak["parts"].get(part) or 0, columns.text(part, peak["parts"][part]))
            for part, (title, _) in PARTS.items()
            if peak["parts"].get(part) is not None
        ]
        groups.append((name, [(title, value / unit.factor, text) for title, value, text in parts]))
        texts = {title: text for title, _, text in parts}
        measured = peak["peak_allocated_bytes"]
        if measured is not None:
            says = columns.text("x_bytes", measured)
            marks.append((number, measured / unit.factor, f"measured: {says}"))
        rows.append(
            (
                name,
                *(texts.get(title, columns.UNMEASURED) for title, _ in PARTS.values()),
                columns.text("x_bytes", totals[number]),
                columns.UNMEASURED if measured is None else says,
            )
        )
    seen = {title for _, parts in groups for title, _, _ in parts}
    colours = {title: colour for title, colour in PARTS.values() if title in seen}
    line = "; the upright line is the peak as the allocator measured it" if marks else ""
    return Figure(
        "What holds the memory",
        f"At the peaks of the prefill and of two decode steps{line}",
        [bars(groups, colours, unit.name, stacked=True, marks=marks)],
        Table(
            ("peak", *(title for title, _ in PARTS.values()), "together", "measured"),
            rows,
        ),
    )


def _peaks(records: Named) -> dict[str, Mapping[str, Any]]:
    """Return each peak that is known, by benchmark and phase."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, info in records:
        for phase, peak in (info.get("memory") or {}).items():
            if peak and peak not in found.values():
                found[f"{name}, {phase}"] = peak
    return found
