"""How identical code is judged: sessions of it, in every split into baselines and new ones.

python -m tests.tools.splits gpu-check/identical

Some of the sessions are baselines, half of them by default; each other one is judged against these
alone, and all together. Then the device time of the new ones is made longer by a share, to see
what of it is found.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.common.text import duration, percent
from benchmarks.sessions import baseline
from benchmarks.sessions.outcome import Outcome
from benchmarks.sessions.session import PHASES
from benchmarks.verdicts.judgement import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Measured, Session

DEVICE = {"decode_device_s": "decode, device", "prefill_device_s": "prefill, device"}
SLOWER = (0.0025, 0.005, 0.01, 0.02)
HEAD = ("quantization", *(each for name in DEVICE.values() for each in (name, "spread")), "calls")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how much the sessions differ, and what their splits are called."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of sessions of the same code: step `identical`")
    parser.add_argument("--repeats", type=int, help="of device time, the first ones (default: all)")
    parser.add_argument("--baselines", type=int, help="how many (default: half of the sessions)")
    asked = parser.parse_args(arguments)
    sessions = [
        with_repeats(each, asked.repeats) for each in baseline.stored(asked.folder).sessions
    ]
    if len(sessions) < 2:
        parser.error(f"{asked.folder}: expected at least 2 sessions, got {len(sessions)}")
    baselines = asked.baselines or len(sessions) // 2
    if not 0 < baselines < len(sessions):
        parser.error(f"--baselines: expected 1 to {len(sessions) - 1}, got {baselines}")
    print(*spreads(sessions), "", sep="\n")
    outcomes: Counter[str] = Counter()
    for verdict in split_verdicts(sessions, baselines):
        outcomes[verdict.outcome.value] += 1
        if verdict.outcome.value != "NO CHANGE":
            outcomes[f"  {verdict.benchmark} {verdict.metric} {verdict.outcome.value}"] += 1
    print(*(f"{name}: {count:,}" for name, count in sorted(outcomes.items())), sep="\n")
    if table := found(sessions, baselines):
        print("", *table, sep="\n")


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


def found(sessions: Sequence[Session], baselines: int) -> list[str]:
    """Return the lines of a table in Markdown: how often one session is REGRESSED, of all splits.

    A column for each share by which its decode steps take the GPU longer. Empty without a GPU.
    """
    lines = [f"| quantization | {' | '.join(f'+{percent(share)}' for share in SLOWER)} |"]
    lines.append("|---|" + "--:|" * len(SLOWER))
    for name, first in sessions[0].measured.items():
        if not first.device_time:
            return []
        alone = [replace(each, measured={name: each.measured[name]}) for each in sessions]
        cells = (percent(_found_share(alone, baselines, share)) for share in SLOWER)
        lines.append(f"| {first.workload['quantization']} | {' | '.join(cells)} |")
    return lines


def _found_share(sessions: Sequence[Session], baselines: int, share: float) -> float:
    hits = []
    for base, others in splits(sessions, baselines):
        for head in others:
            verdicts = judge(base, [slower(head, share)], gate="work")
            (decode,) = (each for each in verdicts if each.metric == "decode_device_s")
            hits.append(decode.outcome is Outcome.REGRESSED)
    return sum(hits) / len(hits)


def slower(session: Session, share: float) -> Session:
    """Return a session whose decode steps take the GPU longer by a share of themselves."""
    return _changed(
        session,
        lambda phase, repeats: (
            [each * (1 + share) for each in repeats] if phase == "decode" else repeats
        ),
    )


def with_repeats(session: Session, count: int | None) -> Session:
    """Return a session as if its device time had been recorded fewer times."""
    return _changed(session, lambda _, repeats: repeats[:count])


def _changed(session: Session, change: Callable[[str, list[float]], list[float]]) -> Session:
    """Return a session with other repeats of device time, from its benchmarks that have any."""

    def changed(one: Measured) -> Measured:
        if not one.device_time:
            return one
        device, metrics = dict(one.device_time), dict(one.metrics)
        for phase in PHASES:
            repeats = change(phase, device[phase]["repeats_s"])
            device[phase] = {**device[phase], "repeats_s": repeats}
            metrics[f"{phase}_device_s"] = median(repeats)
        return replace(one, info={**one.info, "device_time": device, "metrics": metrics})

    return replace(session, measured={k: changed(each) for k, each in session.measured.items()})


def split_verdicts(sessions: Sequence[Session], baselines: int) -> Iterator[Verdict]:
    """Return all verdicts on work, of each new session alone, and of all together."""
    for base, others in splits(sessions, baselines):
        for head in (*([each] for each in others), others):
            yield from judge(base, head, gate="work")


def splits(
    sessions: Sequence[Session], baselines: int
) -> Iterator[tuple[list[Session], list[Session]]]:
    """Return every choice of so many sessions as baselines, and the new ones beside it."""
    for chosen in combinations(range(len(sessions)), baselines):
        yield (
            [sessions[index] for index in chosen],
            [each for index, each in enumerate(sessions) if index not in chosen],
        )


if __name__ == "__main__":
    main()
