"""What `ci --gate=work` makes of a session: its work decides, and its wall only screens."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.common.exit_status import ExitStatus, first
from benchmarks.report import github
from benchmarks.report.summary import failures
from benchmarks.sessions.outcome import COMPARED, Outcome, Verdict, from_record
from benchmarks.verdicts import judgement

if TYPE_CHECKING:
    from benchmarks.sessions.session import Session

# For the session, which would annotate as an error what a duet has yet to decide.
QUIET = {"GITHUB_ACTIONS": ""}


def screened(session: Session) -> Session:
    """Return a session in which a slower wall is suspicious, however much slower it is."""
    found = [_screened(each).as_record() for each in _verdicts(session)]
    return replace(session, saved={**session.saved, "verdicts": found})


def status(session: Session) -> int:
    """Return the status by the verdicts on work, and 11 if nothing but the wall is suspicious."""
    found = _verdicts(session)
    by_work = judgement.exit_status([each for each in found if each.kind != "time"])
    suspicious = any(each.suspicious for each in _open_wall(found))
    return first(by_work, ExitStatus.UNDECIDED) if suspicious else by_work


def unjudged(session: Session) -> list[str]:
    """Return what is said of times of the wall that could not be judged."""
    found = _open_wall(_verdicts(session))
    return sorted({each.outcome.value for each in found if each.outcome not in COMPARED})


def annotated(session: Session) -> list[str]:
    """Return what the session would have annotated, had it known that its wall only screens."""
    return github.lines(_verdicts(session), os.environ, failures(session.failed))


def _verdicts(session: Session) -> list[Verdict]:
    return [from_record(each) for each in session.verdicts]


def _open_wall(verdicts: list[Verdict]) -> list[Verdict]:
    return [each for each in verdicts if each.kind == "time" and each.acknowledged is None]


def _screened(verdict: Verdict) -> Verdict:
    regressed = verdict.outcome is Outcome.REGRESSED and verdict.acknowledged is None
    if verdict.kind != "time" or not regressed:
        return verdict
    says = "; ".join(filter(None, (verdict.detail, "a duet decides it")))
    outcome = Outcome.INCONCLUSIVE
    return replace(verdict, outcome=outcome, suspicious=True, detail=f"suspicious: {says}")
