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
from benchmarks.config import values
from benchmarks.report import columns
from benchmarks.sessions import baseline
from benchmarks.sessions.measures import DEVICE_TIMES
from benchmarks.sessions.outcome import Outcome
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
    parser.add_argument("--repeats", help="of device time, the first so many (default: all)")
    parser.add_argument("--baselines", help="how many (default: half of the sessions)")
    asked = parser.parse_args(arguments)
    try:
        for line in lines(asked.folder, asked.repeats, asked.baselines):
            print(line)
    except InputError as error:
        parser.error(str(error))


def lines(folder: Path, repeats: str | None, baselines: str | None) -> Iterator[str]:
    """Return what is printed. Raises InputError for options or sessions that can't be used."""
    stored = baseline.stored(folder)
    if stored.damaged:
        raise InputError("; ".join(stored.damaged))
    check(stored.sessions, folder)
    count = values.optional_count("--repeats", repeats)
    sessions = [with_repeats(each, count) for each in stored.sessions]
    several = values.optional_count("--baselines", baselines) or len(sessions) // 2
    if several >= len(sessions):
        raise InputError(f"--baselines: expected less than {len(sessions)} sessions; got {several}")
    yield from spreads(sessions)
    kinds: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for verdict in split_verdicts(sessions, several):
        kinds.setdefault(verdict.kind, Counter())[verdict.outcome.value] += 1
        if verdict.outcome is not Outcome.NO_CHANGE:
            others[f"{verdict.benchmark} {verdict.metric} {verdict.outcome.value}"] += 1
    yield ""
    for kind, outcomes in sorted(kinds.items()):
        yield f"{kind}: {', '.join(f'{name} {count:,}' for name, count in outcomes.items())}"
    yield from (f"  {name}: {count:,}" for name, count in others.items())
    if table := detection_table(sessions, several):
        yield from ("", *table)


def check(sessions: Sequence[Session], folder: Path) -> None:
    """Raise InputError unless these are sessions of the same code, on the same card."""
    if len(sessions) < 2:
        raise InputError(f"{folder}: expected at least 2 sessions, got {len(sessions)}")
    first = sessions[0]
    for each in sessions[1:]:
        for what, ours, theirs in (
            ("commit", each.commit.get("id"), first.commit.get("id")),
            ("card", each.hardware.get("card"), first.hardware.get("card")),
            ("benchmarks", sorted(each.measured), sorted(first.measured)),
        ):
            if ours != theirs:
                raise InputError(
                    f"{each.name}: expected the {what} of {first.name}, {theirs}; got {ours}"
                )


def spreads(sessions: Sequence[Session]) -> list[str]:
    """Return the lines of a table in Markdown: medians, and largest less smallest of all.

    Python calls are those of a decode step; "differ" if a session has others.
    """
    table = [f"| {' | '.join(HEAD)} |", "|---|" + "--:|" * (len(HEAD) - 1)]
    for name, first in sessions[0].measured.items():
        same = [each.measured[name] for each in sessions]
        cells = [str(first.workload["quantization"])]
        for metric in DEVICE:
            cells += _spread([each.metrics[metric] for each in same])
        calls = {columns.figure(each.info, "decode.python_calls") for each in same}
        cells.append(f"{calls.pop():,.2f} in each" if len(calls) == 1 else "differ")
        table.append(f"| {' | '.join(cells)} |")
    return table


def _spread(values_s: Sequence[float | None]) -> list[str]:
    """Return the median, and the largest less the smallest as a share of it: without a GPU none."""
    known = [each for each in values_s if each is not None]
    if len(known) < len(values_s):
        return ["-", "-"]
    middle = median(known)
    return [duration(middle, 5), percent((max(known) - min(known)) / middle)]


def detection_table(sessions: Sequence[Session], baselines: int) -> list[str]:
    """Return the lines of a table in Markdown: how often one session is REGRESSED, of all splits.

    A column for each share by which its decode steps take the GPU longer. Empty without a GPU.
    """
    table = [f"| quantization | {' | '.join(f'+{percent(share)}' for share in SLOWER)} |"]
    table.append("|---|" + "--:|" * len(SLOWER))
    for name, first in sessions[0].measured.items():
        if not first.device_time:
            return []
        alone = [replace(each, measured={name: each.measured[name]}) for each in sessions]
        cells = (percent(_found_share(alone, baselines, share)) for share in SLOWER)
        table.append(f"| {first.workload['quantization']} | {' | '.join(cells)} |")
    return table


def _found_share(sessions: Sequence[Session], baselines: int, share: float) -> float:
    hits = []
    for base, others in splits(sessions, baselines):
        for head in others:
            verdicts = judge(base, [made_slower(head, share)], gate="work")
            (decode,) = (each for each in verdicts if each.metric == "decode_device_s")
            hits.append(decode.outcome is Outcome.REGRESSED)
    return sum(hits) / len(hits)


def made_slower(session: Session, share: float) -> Session:
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
        for phase, metric in DEVICE_TIMES.items():
            repeats = change(phase, device[phase]["repeats_s"])
            device[phase] = {**device[phase], "repeats_s": repeats}
            metrics[metric] = median(repeats)
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
