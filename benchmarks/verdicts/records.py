"""What of a benchmark may be compared, and why the rest may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.sessions import comparable
from benchmarks.sessions.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.sessions.session import Measured, Session


HALF = (Outcome.MISSING, "gone: a restart has it on one side only")


@dataclass(frozen=True)
class Record:
    """One benchmark of one session."""

    session: Session
    measured: Measured


@dataclass(frozen=True)
class Material:
    """The records of one benchmark that may be compared, and why others were left out.

    Of a duet (`paired`) the i-th records of both sides are one restart.
    """

    benchmark: str
    base: Sequence[Record]
    head: Sequence[Record]
    left_out: Sequence[tuple[Outcome, str]]
    paired: bool = False

    def timed(self) -> Material:
        """Return it without the records that were played for their work only."""
        base, head = (
            [each for each in side if not each.measured.work_only]
            for side in (self.base, self.head)
        )
        return replace(self, base=base, head=head)

    def trusted(self) -> tuple[list[Measured], list[Measured], list[str]]:
        """Return the records whose times can be trusted, and why others can't, head's first.

        Of a restart both sides can, or neither: they shared the machine.
        """
        base, head = ([each.measured for each in side] for side in (self.base, self.head))
        doubts, doubts_now = ([comparable.doubts(each) for each in side] for side in (base, head))
        told = doubts_now + doubts
        if self.paired:
            told = doubts = doubts_now = [a + b for a, b in zip(doubts_now, doubts, strict=True)]
        return (
            [each for each, why in zip(base, doubts, strict=True) if not why],
            [each for each, why in zip(head, doubts_now, strict=True) if not why],
            [_in_short(why) for why in told if why],
        )


def gather(
    benchmark: str, base: Sequence[Session], head: Sequence[Session], *, paired: bool
) -> Material:
    """Return the records of a benchmark that may be compared with each other."""
    if paired:
        return _of_duet(benchmark, zip(base, head, strict=True))
    then, now = (
        [Record(each, each.measured[benchmark]) for each in side if benchmark in each.measured]
        for side in (base, head)
    )
    obstacles = [_obstacle(each, now) for each in then]
    kept = [each for each, why in zip(then, obstacles, strict=True) if why is None]
    left_out = [why for why in obstacles if why]
    return Material(benchmark, kept, now, left_out)


def _of_duet(benchmark: str, restarts: Iterable[tuple[Session, Session]]) -> Material:
    base, head, left_out = [], [], []
    for sides in restarts:
        found = [Record(s, s.measured[benchmark]) for s in sides if benchmark in s.measured]
        why = _obstacle(found[0], found[1:]) if len(found) == len(sides) else HALF
        if failed := [says for each in sides if (says := comparable.failure(each))]:
            why = Outcome.INVALID, failed[0]
        if why is None:
            base.append(found[0])
            head.append(found[1])
        elif found:
            left_out.append(why)
    return Material(benchmark, base, head, left_out, paired=True)


def nothing(
    material: Material, base: Sequence[Session], head: Sequence[Session], absent: Mapping[str, str]
) -> Verdict | None:
    """Return the verdict where nothing of a benchmark can be compared; None where something can.

    `absent`: why benchmarks have no result in head, by full name.
    """
    name = material.benchmark
    outcome = Outcome.MISSING
    if not any(name in each.measured for each in base):
        says = "new: no baseline has it; promote a session that has"
    elif not any(name in each.measured for each in head):
        says = absent.get(name) or "gone: a baseline has it, and it didn't run now"
    elif material.base and material.head:
        return None
    else:
        outcome, says = max(material.left_out)  # NOT COMPARABLE, where there is one
    return Verdict(name, "-", "-", outcome, detail=says)


def _in_short(reasons: Sequence[str]) -> str:
    """Return the first reason, and how many more there are."""
    more = len(reasons) - 1
    return reasons[0] + (f"; and {more} more reason{'s' if more > 1 else ''}" if more else "")


def _obstacle(base: Record, heads: Sequence[Record]) -> tuple[Outcome, str] | None:
    """Return why a record must not be compared with these; None where it may."""
    for head in heads:
        if differ := comparable.machine_differences(base.session, head.session):
            return Outcome.NOT_COMPARABLE, f"another machine: {', '.join(differ)}"
        if differ := comparable.workload_differences(base.measured, head.measured):
            return Outcome.NOT_COMPARABLE, f"another workload: {', '.join(differ)}"
    failed = comparable.failure(base.session)
    return (Outcome.INVALID, failed) if failed else None
