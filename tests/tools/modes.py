"""The table of quantizations, batch sizes and modes, and each against 16 bits: for docs/results.

python -m tests.tools.modes gpu-check/modes.json
python -m tests.tools.modes gpu-check/sessions/main.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import columns, half_lines
from tests.tools import stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORK = {
    "decode_device_s": "device",
    "prefill_device_s": "prefill, device",
    "peak_allocated_bytes": "peak memory",
}
CALLS = ("decode.python_calls", "decode.kernel_launches")
WALL = {  # it says less
    "tokens_per_s": "tokens/s",
    "tpot_s": "TPOT",
    "decode_busy_share": "busy",
    "compile_s": "compile",
}
OF_ROUNDS = ("tokens_per_s", "tpot_s", "decode_busy_share")
NO_ROWS = ("test_warmup", "test_profile")  # the same work, in rounds of another kind
PLACE = ("quantization", "batch", "mode")
HEAD = (*PLACE, *WORK.values(), "Python calls", "launches", *WALL.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each combination of quantization, batch size and mode, then the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="of the steps `main` and `modes`")
    asked = parser.parse_args(arguments)
    found = benchmarks(asked.files)
    print(*table([info for _, info in found]), "", sep="\n")
    print(*(f"- {line}" for line in half_lines.lines(found)), sep="\n")
    if lines := energy([info for _, info in found]):
        print("", *lines, sep="\n")


def benchmarks(files: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Return what was measured of each combination, by its name."""
    found: list[tuple[str, dict[str, Any]]] = []
    for file in files:
        content = stored.read(file)
        found += [
            (f"throughput[{name}]", info) for name, info in content.get("measured", {}).items()
        ]
        found += [
            (each["name"], each["extra_info"])
            for each in content.get("benchmarks", ())
            if not each["name"].startswith(NO_ROWS)
        ]
    return found


def table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table in Markdown; `!` marks times that are INVALID.

    Python calls and launches are those of a decode step, on average of those counted.
    """
    lines = [f"| {' | '.join(HEAD)} |", "|---|--:|---|" + "--:|" * (len(HEAD) - 3)]
    for info in found:
        metrics, work = info["metrics"], info["workload"]
        spent = [columns.shown(name, info) for name in WORK]
        mark = "" if info["validity"]["valid"] else " !"
        wall = (
            columns.cell(name, metrics.get(name)) + (mark if name in OF_ROUNDS else "")
            for name in WALL
        )
        calls = (f"{columns.figure(info, key):,.1f}".removesuffix(".0") for key in CALLS)
        where = (work["quantization"], str(work["batch_size"]), work.get("generation", "dynamic"))
        lines.append(f"| {' | '.join((*where, *spent, *calls, *wall))} |")
    return lines


def energy(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of J/token by batch size; nothing if a row has none.

    `!` marks what is INVALID: energy has the idle power of each round in it.
    """
    cells: dict[str, dict[int, str]] = {}
    for info in found:
        work, joules = info["workload"], info["metrics"].get("joules_per_token")
        if joules is None:
            return []
        mark = "" if info["validity"]["valid"] else " !"
        row = cells.setdefault(work["quantization"], {})
        row[work["batch_size"]] = columns.cell("joules_per_token", joules) + mark
    sizes = sorted({size for row in cells.values() for size in row})
    head = ["J/token", *(f"batch {size}" for size in sizes)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * len(sizes)]
    for name, row in cells.items():
        lines.append(f"| {' | '.join([name, *(row.get(size, '-') for size in sizes)])} |")
    return lines


if __name__ == "__main__":
    main()
