"""Where the time goes: operators as sorted bars, and flame graphs out of folded stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.text import duration, percent
from benchmarks.page.figures.kit import BLUE, MOST_NAME, ORANGE, Figure, Table, bars
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping

BARS = 12


def hotspots(phase: str, profile: Mapping[str, Any]) -> Figure | None:
    """Show the operators of a phase by their own time on the device and on the host."""
    operators = profile["operators"]
    if not operators:
        return None
    colours = {"device": ORANGE, "host": BLUE}
    fields = {"device": "self_device_s", "host": "self_host_s"}
    present = [part for part in fields if any(each[fields[part]] for each in operators)]
    top = operators[:BARS]
    unit = columns.unit("x_s", [each[fields[part]] for each in top for part in present])
    groups = [
        (
            each["name"][:MOST_NAME],
            [
                (part, each[fields[part]] / unit.factor, duration(each[fields[part]]))
                for part in present
            ],
        )
        for each in top
    ]
    table = Table(
        ("operator", "share", *present, "calls"),
        [
            (
                each["name"][:MOST_NAME],
                percent(each["share"]),
                *(duration(each[fields[part]]) if each[fields[part]] else "0" for part in present),
                f"{each['calls']:,}",
            )
            for each in operators
        ],
    )
    steps = profile.get("decode_steps")
    window = f"{phase}, decode steps {steps[0]} to {steps[1] - 1}" if steps else phase
    says = f"{window}: {duration(profile['wall_s'])} profiled; time of the operators themselves"
    colours = {part: colours[part] for part in present}
    return Figure(f"Hotspots: {phase}", says, [bars(groups, colours, unit.name)], table)
