"""How a stored session becomes a baseline, or stops being one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions import baseline, doubts, instants, storage
from benchmarks.sessions.outcome import Cause
from benchmarks.sessions.session import read_session

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from benchmarks.sessions.session import Session

BY_VERDICTS = ("REGRESSED", "suspicious", "its baselines have")  # objections that judging found


@dataclass(frozen=True)
class Judged:
    """A session as its baselines judge it, and what speaks against promoting it."""

    session: Session
    base: Sequence[Session]
    objections: Sequence[str]

    @property
    def is_refused_for_its_wall(self) -> bool:
        """Whether nothing but its times speaks against it: the machine was busy, its GPU wasn't."""
        steady = all(
            each.device_validity.get("valid") is not False
            for each in self.session.measured.values()
        )
        busy = all(each.startswith(doubts.UNKNOWN) for each in self.objections)
        return bool(self.objections) and busy and steady

    @property
    def look(self) -> str:
        """The command that shows the verdicts; empty if no baseline judged it."""
        if not self.base:
            return ""
        base = shlex.join(_from_here(each) for each in self.base)
        head = shlex.join([_from_here(self.session)])
        return f"python -m benchmarks judge --base {base} --head {head}"


def promote(
    path: Path,
    *,
    reason: str | None = None,
    for_its_work: str | None = None,
    beside: Collection[Path] = (),
) -> None:
    """Make a stored session a baseline; with a reason, which is kept, whatever speaks against it.

    The session is judged once more, by the baselines in its folder: a slow
    one must not get in because nobody looked, or because it was judged by something else. Only
    those `beside` it don't judge it: sessions of the same code, measured to tell how much it
    varies. `for_its_work` is a reason that counts if nothing but its wall is refused. Raises
    InputError if the file is damaged, foreign or without raw data, which no reason helps, or if it
    is refused.
    """
    stored = baseline.own(read_session(path))
    judged = judge(stored, baseline.stored(path.resolve().parent).sessions, beside)
    if reason is None and judged.is_refused_for_its_wall:
        reason = for_its_work
    if judged.objections and not reason:
        by_verdicts = any(each.startswith(BY_VERDICTS) for each in judged.objections)
        look = f"; look: {judged.look}" if by_verdicts and judged.look else ""
        raise InputError(
            f"{path}: {'; '.join(judged.objections)}{look}; no baseline, unless --force "
            "says why it should be one"
        )
    verdicts = judged.session.saved.get("verdicts")

    def edit(content: dict[str, Any]) -> None:
        content["llm_int8"]["verdicts"] = verdicts
        content["llm_int8"]["promoted"] = {"when": _now(), "forced": reason}
        content["llm_int8"].pop("demoted", None)

    storage.change(path, edit)


def judge(stored: Session, known: Iterable[Session], beside: Collection[Path] = ()) -> Judged:
    """Judge a stored session by those of the known ones that are its baselines, itself left out."""
    out = {each.resolve() for each in (Path(stored.name), *beside)}  # given by links, perhaps
    promoted = filter(baseline.is_baseline, known)
    others = [each for each in promoted if Path(each.name).resolve() not in out]
    base = baseline.baselines(others, stored)
    level = baseline.level(others, stored) if base else []
    session = _judged(stored, base, level) if base else stored
    if any(each.get("cause") == Cause.CREEP.value for each in session.verdicts):
        base = level[: baseline.OLDEST]  # which show it
    found = baseline.objections(session)
    said = {each.partition(":")[0] for each in found}
    found += [each for each in baseline.objections(stored) if each.partition(":")[0] not in said]
    return Judged(session, base, list(dict.fromkeys(found)))


def demote(path: Path) -> None:
    """Let a stored session be no baseline any more. Raises InputError if it is no session."""
    baseline.own(read_session(path))
    mark = {"promoted": None, "demoted": {"when": _now()}}
    storage.change(path, lambda content: content["llm_int8"].update(mark))


def _now() -> str:
    return instants.now().isoformat(timespec="seconds")


def _from_here(session: Session) -> str:
    """Return the path of a session's file, without the folder that this process is in."""
    path, here = Path(session.name), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _judged(session: Session, base: Sequence[Session], level: Sequence[Session]) -> Session:
    from benchmarks.verdicts import creep, thresholds  # with scipy, which takes its time

    verdicts = creep.judge(base, level, [session], limits=thresholds.read(thresholds.FILE))
    return replace(
        session, saved={**session.saved, "verdicts": [each.as_record() for each in verdicts]}
    )
