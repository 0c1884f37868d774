"""Device time of the same work on several cards, with and without latencies, for docs/results.

python -m tests.tools.cards */sessions/main.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.text import duration
from benchmarks.sessions.session import parse_session
from benchmarks.verdicts.device_times import without_latency
from tests.tools import stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.sessions.session import Measured, Session

BATCH_SIZE = 8
QUANTIZATIONS = ("int8-decomp", "int8", "fp16", "nf4")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each phase, with a row for each card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="sessions, plain or compressed")
    files = parser.parse_args(arguments).files
    sessions = [parse_session(stored.read(file), file.name) for file in files]
    for phase in ("decode", "prefill"):
        print(f"{phase}:", *table(sessions, phase), "", sep="\n")


def table(sessions: Iterable[Session], phase: str) -> list[str]:
    """Return the lines of a table in Markdown: medians of eight rows, each of a single GPU.

    Of each quantization without latencies; those of the first one have a column.
    """
    cards: dict[str, dict[str, list[Measured]]] = {}
    for session in sessions:
        mine: dict[str, Measured] = {}  # several benchmarks of a session share their work
        for each in session.measured.values():
            work, spent = each.workload, each.device_time
            alone = spent and len(spent["decode"]["share_by_gpu"]) == 1
            if alone and work["batch_size"] == BATCH_SIZE:
                mine.setdefault(work["quantization"], each)
        for quantization, each in mine.items():
            card = cards.setdefault(session.hardware["card"][:4], {})
            card.setdefault(quantization, []).append(each)
    first, *others = QUANTIZATIONS
    lines = [f"| card | {' | '.join((first, 'its latencies', *others))} |"]
    lines.append("|---|" + "--:|" * (len(QUANTIZATIONS) + 1))
    for card, measured in cards.items():
        times = {name: _times(measured.get(name, ()), phase) for name in QUANTIZATIONS}
        cells = [f"`{card}`", *times[first], *(times[name][0] for name in others)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _times(measured: Sequence[Measured], phase: str) -> tuple[str, str]:
    """Return the device time without latencies, and these; dashes if it wasn't measured."""
    if not measured:
        return "-", "-"
    spent = [each.device_time[phase] for each in measured]
    whole = median(median(each["repeats_s"]) for each in spent)
    without = median(median(without_latency(each)["repeats_s"]) for each in spent)
    return duration(without, 4), duration(whole - without, 4)


if __name__ == "__main__":
    main()
