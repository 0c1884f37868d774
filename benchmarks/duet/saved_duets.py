"""The duets among saved sessions, told apart: restarts of two of them are never one verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.packages import in_short
from benchmarks.common.text import count, percent
from benchmarks.sessions import instants
from benchmarks.verdicts import exact
from benchmarks.verdicts.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.sessions.session import Session

    Restarts = dict[float, Session]  # sessions of one side, by the number of the restart


@dataclass(frozen=True)
class Duet:
    """Both sides of a duet: the i-th sessions of base and head are one restart."""

    base: Sequence[Session]
    head: Sequence[Session]

    @property
    def id(self) -> str:
        """What its sessions have in common, and no others."""
        return str(self.head[-1].duet["id"])

    @property
    def when(self) -> str:
        """When its newest restart was saved."""
        return max(each.when for each in self.head)

    @property
    def folder(self) -> str:
        """Where its files are."""
        return folder(self.head[-1])

    @property
    def alpha(self) -> float:
        """The level that it is judged at."""
        return alpha_after(self.head)

    @property
    def slowdown(self) -> float:
        """The share by which head was slowed down on purpose, as a self-test does."""
        return float(self.head[-1].duet.get("injected_slowdown") or 0)

    def __str__(self) -> str:
        """Return what it compared, in a few words."""
        base, head = (_spec(side[-1]) for side in (self.base, self.head))
        slowed = f", slowed down by {percent(self.slowdown)}" if self.slowdown else ""
        when = f", saved {instants.to_the_minute(self.when)}" if self.when else ""
        return f"{head}{slowed} against {base} ({count(len(self.head), 'restart')}{when})"


def find(sessions: Iterable[Session]) -> tuple[list[Duet], list[str]]:
    """Return the duets, the newest last, and a line for all that can't be paired.

    Of a self-test every slowdown of head is a duet of its own against the base as it is. The same
    file twice is one restart.
    """
    bases: defaultdict[str, Restarts] = defaultdict(dict)
    heads: defaultdict[tuple[str, float], Restarts] = defaultdict(dict)
    for session in sessions:
        if whose := session.duet:
            slowdown = whose.get("injected_slowdown") or 0
            if whose["side"] == "head":
                heads[whose["id"], slowdown][whose["restart"]] = session
            elif not slowdown:
                bases[whose["id"]][whose["restart"]] = session
    duets: dict[tuple[str, float], Duet] = {}
    for (id_, slowdown), head in heads.items():
        if both := sorted(bases[id_].keys() & head.keys()):
            duets[id_, slowdown] = Duet([bases[id_][n] for n in both], [head[n] for n in both])
    unslowed = [head for (_, slowdown), head in heads.items() if not slowdown]
    paired = {id(side) for duet in duets.values() for side in (*duet.base, *duet.head)}
    problems = [
        f"{side.name}: expected both sides of a duet's restart, got one; give all its files"
        for restarts in (*bases.values(), *unslowed)
        for side in restarts.values()
        if id(side) not in paired
    ]
    newest: dict[str, str] = {}  # those of one self-test are as old as each other
    for (id_, _), duet in duets.items():
        newest[id_] = max(newest.get(id_, ""), duet.when)
    order = sorted(duets, key=lambda key: (newest[key[0]], -key[1]))
    return [duets[key] for key in order], problems


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


def _spec(session: Session) -> str:
    return str(session.duet.get("spec") or versions(session))


def alpha_after(restarts: Sequence[Session]) -> float:
    """Return the alpha of the analysis planned for this number of restarts of one side.

    The last planned one if the duet stopped early.
    """
    looks = {int(count): alpha for count, alpha in restarts[-1].duet["looks"].items()}
    return float(looks.get(len(restarts), looks[max(looks)]))
