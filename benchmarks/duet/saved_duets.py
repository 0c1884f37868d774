"""The duets among saved sessions, told apart: restarts of two of them are never one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.packages import in_short
from benchmarks.common.text import percent
from benchmarks.verdicts import exact
from benchmarks.verdicts.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.sessions.session import Session

    Restarts = dict[float, Session]  # sessions of one side, by the number of the restart
    Groups = dict[tuple[Any, ...], Restarts]


@dataclass(frozen=True)
class Duet:
    """Both sides of a duet: the i-th sessions of base and head are one restart."""

    base: Sequence[Session]
    head: Sequence[Session]

    @property
    def when(self) -> str:
        """When its newest restart was saved."""
        return max(each.when for each in self.head)

    @property
    def folder(self) -> str:
        """Where its files are."""
        return folder(self.head[-1])

    @property
    def alpha(self) -> float | None:
        """The level that it is judged at; None where its files don't say so."""
        alpha = self.head[-1].duet.get("alpha")
        stored = alpha if alpha is not None and 0 < alpha < 1 else None
        return alpha_after(self.head) or stored

    @property
    def slowdown(self) -> float:
        """The share by which head was slowed down on purpose, as a self-test does."""
        return float(self.head[-1].duet.get("injected_slowdown") or 0)

    def __str__(self) -> str:
        """Return what it compared, in a few words."""
        base, head = (_spec(side[-1]) for side in (self.base, self.head))
        slowed = f", slowed down by {percent(self.slowdown)}" if self.slowdown else ""
        when = f", saved {self.when[:16].replace('T', ' ')}" if self.when else ""
        return f"{head}{slowed} against {base} ({_many(len(self.head))}{when})"


def find(sessions: Iterable[Session]) -> tuple[list[Duet], list[str]]:
    """Return the duets, the newest last, and a line for all that can't be paired.

    Of a self-test every slowdown of head is a duet of its own against the base as it is.
    """
    groups, mixed = _groups(sessions)
    found: list[Duet] = []
    problems = [
        f"{key[0]}: expected the restarts of one duet, got several of the same number; "
        "give the folders of the duets, not their files put together"
        for key in mixed
    ]
    for key, base in groups.items():
        whose, side, _, slowdown = key
        if side != "base" or slowdown or whose in mixed:
            continue
        for (other, against, _, _), head in groups.items():
            if other == whose and against == "head":
                both = sorted(base.keys() & head.keys())
                if both:
                    found.append(Duet([base[n] for n in both], [head[n] for n in both]))
    paired = {id(each) for duet in found for each in (*duet.base, *duet.head)}
    alone = [
        each
        for (whose, _, _, slowdown), restarts in groups.items()
        if whose not in mixed and not slowdown
        for each in restarts.values()
        if id(each) not in paired
    ]
    problems += [
        f"{each.name}: expected both sides of a duet's restart, got one; give all its files"
        for each in alone
    ]
    newest: dict[tuple[Any, ...], str] = {}
    for each in found:  # those of one self-test are as old as each other
        whose = _whose(each.head[-1])
        newest[whose] = max(newest.get(whose, ""), each.when)
    found.sort(key=lambda each: (newest[_whose(each.head[-1])], -each.slowdown))
    return found, problems


def folder(session: Session) -> str:
    """Return the folder of a session's file."""
    return str(Path(session.name).parent)


def telling(side: Sequence[Session]) -> Session:
    """Return the newest session that has counters: a duet gathers them in one restart only."""
    records = [Record(session, each) for session in side for each in session.measured.values()]
    return exact.with_evidence(records).session


def versions(session: Session) -> str:
    """Return the versions that a side ran with."""
    return in_short(session.software) or "unknown"


def _groups(sessions: Iterable[Session]) -> tuple[Groups, set[tuple[Any, ...]]]:
    """Return restarts by duet, side, SPEC and slowdown; and the duets that can't be told apart.

    The same file twice is one restart. Without an id, what has one folder and one seed is one
    duet, as long as it has one base, and each restart once.
    """
    groups: Groups = {}
    mixed = set()
    for each in sessions:
        if not (duet := each.duet):
            continue
        whose = _whose(each)
        key = whose, duet["side"], duet.get("spec"), duet.get("injected_slowdown") or 0
        known = groups.setdefault(key, {}).setdefault(duet["restart"], each)
        if known is not each and replace(known, name="") != replace(each, name=""):
            mixed.add(whose)
    bases = [(key[0], key[3]) for key in groups if key[1] == "base"]
    mixed |= {whose for whose, slowdown in bases if bases.count((whose, slowdown)) > 1}
    return groups, mixed


def _whose(session: Session) -> tuple[Any, ...]:
    """Return what is the same for all sessions of one duet, and of no other."""
    duet = session.duet
    if known := duet.get("id"):
        return (known,)
    return folder(session), duet.get("seed")


def _spec(session: Session) -> str:
    return str(session.duet.get("spec") or versions(session))


def _many(restarts: int) -> str:
    return f"{restarts} restart{'s' * (restarts != 1)}"


def alpha_after(restarts: Sequence[Session]) -> float | None:
    """Return the share of the error that the sessions of one side of a stored duet are judged by.

    That of the look after so many restarts, or of the last one, as where a duet was cut short.
    None where the files don't say.
    """
    duet = restarts[-1].duet if restarts else {}
    known = {int(count): float(alpha) for count, alpha in (duet.get("looks") or {}).items()}
    alpha = known.get(len(restarts), known[max(known)]) if known else 0
    return alpha if 0 < alpha < 1 else None
