"""Which of the sessions a page shows whole, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import count
from benchmarks.duet import saved_duets
from benchmarks.report import columns
from benchmarks.sessions import baseline, comparable
from benchmarks.sessions.outcome import Verdict, from_record
from benchmarks.verdicts import creep, judgement, thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.duet.saved_duets import Duet
    from benchmarks.sessions.session import Session

    Stored = Mapping[str, Sequence[Mapping[str, Any]]]  # verdicts by the folder that they lie in


@dataclass(frozen=True)
class Sides:
    """A session, what it is compared with, and the verdicts: None if nothing was compared."""

    head: Session
    baselines: Sequence[Session] = ()  # that it is compared with, oldest first; of a duet none
    base: Session | None = None  # of which counters and operators are compared
    verdicts: Sequence[Verdict] | None = None
    basis: str = ""  # what was compared with what, in sentences
    against: str = ""  # the same in a few words
    duet: Duet | None = None
    notes: Sequence[str] = field(default_factory=tuple)  # what of the files is not compared


def choose_sides(sessions: Sequence[Session], stored: Stored | None = None) -> Sides:
    """Return the newest session, with its verdicts as far as there are any.

    If the newest is of a duet, that duet is shown: its own verdicts if they are `stored`, or
    else all its restarts are judged; and of each side the newest restart with counters is
    shown whole. Otherwise the verdicts are those that the session was saved with, or else are
    given on the baselines that are there.
    """
    duets, notes = saved_duets.find(sessions)
    newest = sessions[-1]
    if newest.duet and duets:
        return _duet(duets, notes, stored or {})
    if newest.duet:
        return Sides(newest, notes=notes)
    earlier = [each for each in sessions[:-1] if "passed" in each.saved]
    known = baseline.baselines(earlier, newest)
    base = known[-1] if known else None
    against = count(len(known), "baseline") if known else "its baselines"
    if (saved := newest.saved.get("verdicts")) is not None:
        basis = "As the session itself judged its results, when it was measured"
        own = [from_record(each) for each in saved]
        return Sides(newest, known, base, own, basis, against, notes=notes)
    if not known:
        return Sides(newest, notes=notes)
    basis = f"Judged now against {against}: no verdicts were saved with the session"
    level, limits = baseline.level(earlier, newest), thresholds.read(thresholds.FILE)
    found = creep.judge(known, level, [newest], limits=limits)
    return Sides(newest, known, base, found, basis, against, notes=notes)


def _duet(found: Sequence[Duet], notes: Sequence[str], stored: Stored) -> Sides:
    """Return the newest duet, and name the others."""
    *others, duet = found
    if others:
        number = f"{len(others)} other duet{'s are' if len(others) > 1 else ' is'}"
        listed = "; ".join(map(str, others[::-1]))
        notes = [f"{number} in these files, and not shown: {listed}", *notes]
    base, head = saved_duets.telling(duet.base), saved_duets.telling(duet.head)
    beside = [each for each in others if each.folder == duet.folder and not each.slowdown]
    verdicts, whose = _verdicts(duet, {} if beside else stored)  # whose they are isn't known then
    slowed = f", slowed down on purpose by {columns.text('x_share', duet.slowdown)}"
    basis = (
        f"A duet of {count(len(duet.head), 'restart')}; base is {saved_duets.versions(base)}, "
        f"head is {saved_duets.versions(head)}{slowed if duet.slowdown else ''}. {whose}. Below "
        f"the verdicts, restart {head.duet['restart']:g} of head is shown: the newest "
        f"{'that has counters' if _counted(head) else 'one, since none has counters'}"
    )
    against = saved_duets.versions(base)
    if changed := comparable.changed(base.software, head.software):
        against = ", ".join(f"{name} {then or 'none'}" for name, (then, _) in changed.items())
    return Sides(head, (), base, verdicts, basis, against, duet, notes)


def _verdicts(duet: Duet, stored: Stored) -> tuple[Sequence[Verdict], str]:
    """Return the verdicts of a duet, and a sentence on who gave them."""
    if duet.folder in stored and not duet.slowdown:
        own = [from_record(each) for each in stored[duet.folder]]
        return own, "The verdicts are the duet's own, as it stored them"
    limits = thresholds.read(thresholds.FILE)
    found = judgement.judge(duet.base, duet.head, paired=True, alpha=duet.alpha, limits=limits)
    why = "no verdicts of it alone lie beside its files"
    return found, f"The verdicts are given now, as {why}; alpha is {duet.alpha:g}, the duet's"


def _counted(session: Session) -> bool:
    return any(each.has_counters for each in session.measured.values())
