"""How identical code is judged: sessions of it, in every split into baselines and new ones.

python -m tests.tools.splits gpu-check/identical

Half of the sessions are baselines; each other one is judged against them alone, and all together.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.common.text import duration, percent
from benchmarks.sessions import baseline
from benchmarks.verdicts.judgement import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Measured, Session

DEVICE = {"decode_device_s": "decode, device", "prefill_device_s": "prefill, device"}
HEAD = ("quantization", *(each for name in DEVICE.values() for each in (name, "spread")), "calls")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how much the sessions differ, and what their splits are called."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of sessions of the same code: step `identical`")
    asked = parser.parse_args(arguments)
    sessions = baseline.stored(asked.folder).sessions
    if len(sessions) < 2:
        parser.error(f"{asked.folder}: expected at least 2 sessions, got {len(sessions)}")
    print(*spreads(sessions), "", sep="\n")
    outcomes: Counter[str] = Counter()
    for verdict in split_verdicts(sessions):
        outcomes[verdict.outcome.value] += 1
        if verdict.outcome.value != "NO CHANGE":
            outcomes[f"  {verdict.benchmark} {verdict.metric} {verdict.outcome.value}"] += 1
    print(*(f"{name}: {count:,}" for name, count in sorted(outcomes.items())), sep="\n")


def spreads(sessions: Sequence[Session]) -> list[str]:
    """Return the lines of a table in Markdown: medians, and largest less smallest of all.

    Python calls are those of a decode step; "differ" if a session has others. Raises InputError if
    a session lacks a benchmark of the first.
    """
    lines = [f"| {' | '.join(HEAD)} |", "|---|" + "--:|" * (len(HEAD) - 1)]
    for name, first in sessions[0].measured.items():
        if lacking := [each.name for each in sessions if name not in each.measured]:
            raise InputError(f"{name}: expected it in each session; {lacking[0]} lacks it")
        same = [each.measured[name] for each in sessions]
        cells = [str(first.workload["quantization"])]
        for metric in DEVICE:
            cells += _spread([each.metrics[metric] for each in same])
        calls = {_calls(each) for each in same}
        cells.append(f"{calls.pop():,.2f} in each" if len(calls) == 1 else "differ")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _spread(values_s: Sequence[float | None]) -> list[str]:
    """Return the median, and the largest less the smallest as a share of it: without a GPU none."""
    known = [each for each in values_s if each is not None]
    if len(known) < len(values_s):
        return ["-", "-"]
    middle = median(known)
    return [duration(middle, 5), percent((max(known) - min(known)) / middle)]


def _calls(measured: Measured) -> float:
    first, last = measured.decode_steps or (0, 1)
    return measured.counters("decode")["python_calls"] / (last - first)


def split_verdicts(sessions: Sequence[Session]) -> Iterator[Verdict]:
    """Return all verdicts on work, of every choice of half of the sessions as baselines."""
    for chosen in combinations(range(len(sessions)), len(sessions) // 2):
        base = [sessions[index] for index in chosen]
        others = [each for index, each in enumerate(sessions) if index not in chosen]
        for head in (*([each] for each in others), others):
            yield from judge(base, head, gate="work")


if __name__ == "__main__":
    main()
