"""The table of the gate's trial on a GPU, for a page of docs/results.

python -m tests.tools.trials gpu-check/gate.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sessions.outcome import Outcome, moved
from tests.tools import stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEVICE = ("decode_device_s", "prefill_device_s")
CALLS = "decode.python_calls"
HEAD = ("pull request", "status", "decode, device", "prefill, device", "Python calls", "round", "s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each pull request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="of the step `gate`")
    print(*table(stored.read(parser.parse_args(arguments).file)), sep="\n")


def table(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table in Markdown: changes, and verdicts but for NO CHANGE.

    The last column has the seconds from the start of the job to its verdict.
    """
    lines = [f"| {' | '.join(HEAD)} |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, each in found["pull_requests"].items():
        known = {one["metric"]: one for one in each["verdicts"]}
        shown = [*DEVICE, CALLS, "round_s"]
        cells = [_cell(known.get(metric)) for metric in shown]
        row = [name, str(each["status"]), *cells, f"{each['seconds']:.0f}"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _cell(verdict: Mapping[str, Any] | None) -> str:
    """Return a change and its interval in percent, and what it is called."""
    if verdict is None:
        return "-"
    called = "" if verdict["outcome"] == Outcome.NO_CHANGE.value else f" {verdict['outcome']}"
    if verdict["change"] is None:
        return called.strip()
    if not verdict["change"]:
        return f"the same{called}"
    digits = 1 if verdict["low"] is None else 2 if verdict["kind"] == "device" else 0
    return moved(*(verdict[end] for end in ("change", "low", "high")), digits) + called


if __name__ == "__main__":
    main()
