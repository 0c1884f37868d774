"""One benchmark as a page shows it: what it says, its figures, its profile, and its facts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmarks.common.text import short
from benchmarks.page import facts
from benchmarks.page.figures import distribution, flame_graph, gpu_samples, timing, work
from benchmarks.page.figures.hotspots import hotspots
from benchmarks.report.lines import (
    evidence_line,
    headline,
    placement_line,
    replicas_line,
    timed_after_profiler,
)
from benchmarks.sessions import doubts, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.page.figures.flame_graph import Flame
    from benchmarks.page.figures.kit import Figure, Table
    from benchmarks.sessions.session import Measured, Session

    Info = Mapping[str, Any]

FILES = {  # what a profile leaves beside its stacks, and what opens it
    "trace.json.gz": "trace, for ui.perfetto.dev",
    "table.txt": "table of all operators",
    "host.stacks.txt": "folded stacks of the host, for speedscope.app",
    "device.stacks.txt": "folded stacks of the device, for speedscope.app",
}
MISFITS = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Scale:
    """What the figures of all benchmarks of a page have in common."""

    most: int  # points of a figure
    reach: float  # of the rounds, from their median: a share


@dataclass(frozen=True)
class View:
    """A benchmark as a page shows it."""

    name: str
    headline: str
    valid: bool | None  # None if the machine wasn't judged
    doubts: Sequence[str]
    notes: Sequence[str]
    figures: Sequence[Figure]
    profiles: Sequence[tuple[str, Sequence[Figure], Sequence[Flame], Sequence[tuple[str, str]]]]
    facts: Sequence[tuple[str, Table | str]]  # a table, or the benchmark that has the same


def views(session: Session, artifacts: Path | None, out: Path) -> list[View]:
    """Return each benchmark; links to files of `artifacts` are relative to the page `out`."""
    cold = {
        _key(measured): measured.info
        for measured in session.measured.values()
        if "cold_process" in measured.info
    }
    known: dict[str, str] = {}
    scale = Scale(
        most=min(timing.MOST_POINTS, timing.ALL_POINTS // len(session.measured)),
        reach=max(
            (
                timing.reach(each.info, _first(each, cold))
                for each in session.measured.values()
                if each.info["rounds"]
            ),
            default=0.0,
        ),
    )
    return [
        _view(measured, _first(measured, cold), known, scale, artifacts, out)
        for measured in session.measured.values()
    ]


def _first(measured: Measured, cold: Mapping[str, Info]) -> Info | None:
    """Return the cold start of the same workload, unless this is it."""
    return None if "cold_process" in measured.info else cold.get(_key(measured))


def _view(
    measured: Measured,
    first: Info | None,
    known: dict[str, str],
    scale: Scale,
    artifacts: Path | None,
    out: Path,
) -> View:
    info, name = measured.info, short(measured.fullname)
    validity = info.get("validity")
    shown: list[Figure | None] = []
    if info["rounds"]:
        shown = [
            timing.rounds(info, first, scale.reach),
            timing.gaps(info, scale.most),
            distribution.figure(info),
        ]
    if known.setdefault(work.same(measured), name) == name:  # the others have the same work
        shown += work.figures(None, measured)
    folder = artifacts / measured.fullname.rpartition("::")[2] if artifacts else None
    return View(
        name=name,
        headline=_headline(info),
        valid=_valid(validity),
        doubts=[] if measured.work_only else list(_doubts(validity)),
        notes=list(_notes(info)),
        figures=[figure for figure in (*shown, gpu_samples.gpu(info)) if figure],
        profiles=[
            (
                phase,
                [figure] if (figure := hotspots(phase, profile)) else [],
                list(flame_graph.flames(folder, phase)) if folder else [],
                list(_files(folder, phase, out)) if folder else [],
            )
            for phase, profile in (info.get("profile") or {}).items()
        ],
        facts=[
            (title, table if same == name else same)
            for title, table in facts.tables(info)
            if table.rows and (same := known.setdefault(str(table), name))
        ],
    )


def _valid(validity: Info | None) -> bool | None:
    """Return whether the machine could be trusted; None if that wasn't judged in full."""
    if not validity or (validity["valid"] and unchecked.of_records([validity])):
        return None
    return bool(validity["valid"])


def _doubts(validity: Info | None) -> Iterator[str]:
    if not validity:
        yield "the machine was not judged"
        return
    yield from doubts.of_one(validity)


def _headline(info: Info) -> str:
    needed = ("tokens_per_s", "ttft_s")
    if info.get("work_only"):
        return headline(info)
    if any(info["metrics"].get(name) is None for name in needed):
        return ""
    return headline({"metrics": {"tpot_s": None, **info["metrics"]}})


def _notes(info: Info) -> Iterator[str]:
    if timed_after_profiler(info):
        yield "Timed after a profiler had run in this process."
    for refused in info.get("refused") or ():
        yield f"Measured again: {'; '.join(doubts.in_short(refused.get('validity')))}"
    if info.get("attestation") and (checked := _evidence(info)):
        yield f"Checked: {checked}."
    if replicas := info.get("replicas"):
        yield f"Replicas: {replicas_line(replicas)}."
    if placed := placement_line(info):
        yield f"Placed: {placed}."


def _evidence(info: Info) -> str | None:
    try:
        return evidence_line(info)
    except MISFITS:  # evidence of another release; the facts below have it all
        return None


def _files(folder: Path, phase: str, out: Path) -> Iterator[tuple[str, str]]:
    for end, says in FILES.items():
        path = folder / f"{phase}.{end}"
        if path.is_file():
            yield says, quote(os.path.relpath(path.resolve(), out.resolve().parent))


def _key(measured: Measured) -> str:
    return str(sorted(measured.info["workload"].items(), key=lambda pair: pair[0]))
