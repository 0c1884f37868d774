"""What of a benchmark may be compared, and why the rest may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.sessions import comparable, doubts
from benchmarks.sessions.outcome import Cause, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.sessions.session import Measured, Session


class LeftOut(NamedTuple):
    """Why a record, or its times, don't count; `short` is without the next step."""

    outcome: Outcome  # if no other record is left
    says: str
    short: str
    cause: Cause | None = None


def _left_out(outcome: Outcome, says: str, cause: Cause | None = None) -> LeftOut:
    return LeftOut(outcome, says, says, cause)


HALF = _left_out(Outcome.MISSING, "gone: a restart has it on one side only", Cause.GONE)


@dataclass(frozen=True)
class Record:
    """One benchmark of one session."""

    session: Session
    measured: Measured


@dataclass(frozen=True)
class ComparableRecords:
    """The records of one benchmark that may be compared, and why others were left out.

    Of a duet (`paired`) the i-th records of both sides are one restart.
    """

    benchmark: str
    base: Sequence[Record]
    head: Sequence[Record]
    left_out: Sequence[LeftOut]
    paired: bool = False

    def timed(self) -> ComparableRecords:
        """Return it without the records that measured work only."""
        base, head = (
            [each for each in side if not each.measured.work_only]
            for side in (self.base, self.head)
        )
        return replace(self, base=base, head=head)

    def trusted(self) -> tuple[list[Measured], list[Measured], list[LeftOut]]:
        """Return the records whose times can be trusted, and why others can't, head's first.

        Of a restart both sides can, or neither: they shared the machine.
        """
        base, head = ([each.measured for each in side] for side in (self.base, self.head))
        of_base, of_head = ([_doubts(each) for each in side] for side in (base, head))
        told = of_head + of_base
        if self.paired:
            told = of_base = of_head = [a + b for a, b in zip(of_head, of_base, strict=True)]
        return (
            [each for each, why in zip(base, of_base, strict=True) if not why],
            [each for each, why in zip(head, of_head, strict=True) if not why],
            [_first(why) for why in told if why],
        )


def collect(
    benchmark: str, base: Sequence[Session], head: Sequence[Session], *, paired: bool
) -> ComparableRecords:
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
    return ComparableRecords(benchmark, kept, now, left_out)


def _of_duet(benchmark: str, restarts: Iterable[tuple[Session, Session]]) -> ComparableRecords:
    base, head, left_out = [], [], []
    for sides in restarts:
        found = [Record(s, s.measured[benchmark]) for s in sides if benchmark in s.measured]
        why = _obstacle(found[0], found[1:]) if len(found) == len(sides) else HALF
        if failed := [says for each in sides if (says := comparable.failure(each))]:
            why = _left_out(Outcome.INVALID, failed[0])
        if why is None:
            base.append(found[0])
            head.append(found[1])
        elif found:
            left_out.append(why)
    return ComparableRecords(benchmark, base, head, left_out, paired=True)


def verdict_without_data(
    records: ComparableRecords,
    base: Sequence[Session],
    head: Sequence[Session],
    absent: Mapping[str, Cause],
) -> Verdict | None:
    """Return the verdict on a benchmark if nothing of it can be compared; None if something can.

    `absent`: why benchmarks have no result in head, by full name.
    """
    name = records.benchmark
    if not any(name in each.measured for each in base):
        says = "new: no baseline has it; promote a session that has it"
        why = _left_out(Outcome.MISSING, says, Cause.NEW)
    elif not any(name in each.measured for each in head):
        cause = absent.get(name, Cause.GONE)
        gone = "a baseline has it, and it didn't run now"
        says = f"{cause}: {gone if cause is Cause.GONE else 'it has no result now'}"
        why = _left_out(Outcome.MISSING, says, cause)
    elif records.base and records.head:
        return None
    else:
        why = max(records.left_out, key=lambda each: each[:2])  # NOT COMPARABLE, if there is one
    return Verdict(name, "-", "-", why.outcome, detail=why.says, cause=why.cause)


def _doubts(measured: Measured) -> list[tuple[str, str]]:
    """Return why times can't be trusted, with and without the next steps."""
    short = doubts.in_short(measured.validity) if measured.doubts else []
    return list(zip(measured.doubts, short, strict=True))


def _first(reasons: Sequence[tuple[str, str]]) -> LeftOut:
    """Return the first reason, and how many more there are."""
    (says, short), more = reasons[0], len(reasons) - 1
    others = f"; and {more} more reason{'s' if more > 1 else ''}" if more else ""
    return LeftOut(Outcome.INVALID, says + others, short)


def _obstacle(base: Record, heads: Sequence[Record]) -> LeftOut | None:
    """Return why a record must not be compared with these; None if it may."""
    for head in heads:
        if differ := comparable.machine_differences(base.session, head.session):
            return _left_out(Outcome.NOT_COMPARABLE, f"another machine: {', '.join(differ)}")
        if differ := comparable.workload_differences(base.measured, head.measured):
            return _left_out(Outcome.NOT_COMPARABLE, f"another workload: {', '.join(differ)}")
    failed = comparable.failure(base.session)
    return _left_out(Outcome.INVALID, failed) if failed else None
