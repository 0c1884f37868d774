"""Which of the sessions a page shows whole, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.harness import baseline, verdict
from benchmarks.harness.errors import InputError
from benchmarks.harness.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness.sessions import Session


@dataclass(frozen=True)
class Sides:
    """A session, what it is compared with, and the verdicts: None where nothing was compared."""

    head: Session
    base: Session | None = None  # of which counters and operators are compared
    verdicts: Sequence[Verdict] | None = None
    basis: str = ""  # what was compared with what, in a sentence


def sides(sessions: Sequence[Session]) -> Sides:
    """Return the newest session, with its verdicts as far as there are any.

    Of a duet all restarts are judged, and the last of each side is shown. Otherwise the verdicts
    are those that the session was saved with, or else are given on the baselines that are there.
    """
    duet = {side: _restarts(sessions, side) for side in ("base", "head")}
    if sessions[-1].saved.get("duet") and all(duet.values()):
        return _duet(duet["base"], duet["head"])
    head = sessions[-1]
    earlier = [each for each in sessions[:-1] if "passed" in each.saved]
    known = baseline.baselines(earlier, head) if not head.saved.get("duet") else []
    base = known[-1] if known else None
    if (saved := head.saved.get("verdicts")) is not None:
        basis = "As the session itself judged its results, when it was measured"
        return Sides(head, base, [_verdict(each) for each in saved], basis)
    if not known:
        return Sides(head)
    basis = f"Judged now against {len(known)} baselines: no verdicts were saved with the session"
    return Sides(head, base, verdict.judge(known, [head]), basis)


def _duet(base: Mapping[Any, Session], head: Mapping[Any, Session]) -> Sides:
    both = [restart for restart in base if restart in head]
    if not both:
        raise InputError(
            "expected both sides of a duet's restarts, got restarts without a partner; "
            "give all files of the duet"
        )
    pairs = [base[n] for n in both], [head[n] for n in both]
    basis = f"A duet of {len(both)} restarts; base is {_versions(pairs[0][-1])}, head is "
    basis += f"{_versions(pairs[1][-1])}. What follows is the last restart of head"
    return Sides(pairs[1][-1], pairs[0][-1], verdict.judge(*pairs, paired=True), basis)


def _restarts(sessions: Sequence[Session], side: str) -> dict[Any, Session]:
    """Return the sessions of one side of a duet by restart, in order."""
    found = {
        duet["restart"]: each
        for each in sessions
        if (duet := each.saved.get("duet")) and duet["side"] == side
    }
    return dict(sorted(found.items()))


def _versions(session: Session) -> str:
    software = session.machine.get("software") or {}
    names = ("torch", "transformers", "bitsandbytes")
    return ", ".join(f"{name} {software[name]}" for name in names if name in software) or "unknown"


def _verdict(record: Mapping[str, Any]) -> Verdict:
    """Return a verdict as it was before it was stored."""
    known = {name: record[name] for name in Verdict.__dataclass_fields__ if name in record}
    return Verdict(
        **{
            **known,
            "outcome": Outcome(record["outcome"]),
            "reasons": tuple(record["reasons"]),
        }
    )
