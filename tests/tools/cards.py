"""Device time of the same work on several cards, with and without latencies, for docs/results.

python -m tests.tools.cards */sessions/table.json
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
HEAD = ("quantization", "card", "sessions")
HEAD += ("decode, device", "latency", "without")
HEAD += ("prefill, device", "latency", "without")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each quantization and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="sessions, plain or compressed")
    files = parser.parse_args(arguments).files
    print(*table([parse_session(stored.read(file), file.name) for file in files]), sep="\n")


def table(sessions: Iterable[Session]) -> list[str]:
    """Return the lines of a table in Markdown: medians of eight rows, each of a single GPU."""
    found: dict[str, dict[str, list[Measured]]] = {}
    for session in sessions:
        mine: dict[str, Measured] = {}  # several benchmarks of a session share their work
        for each in session.measured.values():
            work, spent = each.workload, each.device_time
            alone = spent and len(spent["decode"]["share_by_gpu"]) == 1
            if alone and work["batch_size"] == BATCH_SIZE:
                mine.setdefault(work["quantization"], each)
        for quantization, each in mine.items():
            cards = found.setdefault(quantization, {})
            cards.setdefault(session.hardware["card"], []).append(each)
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|" + "--:|" * (len(HEAD) - 2)]
    for quantization, cards in found.items():
        for card, measured in cards.items():
            cells = [quantization, f"`{card[:4]}`", str(len(measured)), *_times(measured)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _times(measured: Sequence[Measured]) -> list[str]:
    cells = []
    for phase in ("decode", "prefill"):
        spent = [each.device_time[phase] for each in measured]
        whole = median(median(each["repeats_s"]) for each in spent)
        without = median(median(without_latency(each)["repeats_s"]) for each in spent)
        cells += [duration(part, 4) for part in (whole, whole - without, without)]
    return cells


if __name__ == "__main__":
    main()
