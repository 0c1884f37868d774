"""How a stored session becomes a baseline, or stops being one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions import baseline, storage
from benchmarks.sessions.session import read_session

if TYPE_CHECKING:
    from benchmarks.sessions.session import Session


def promote(path: Path, *, when: str, reason: str | None = None) -> None:
    """Make a stored session a baseline; with a reason, which is kept, whatever speaks against it.

    `when` is ISO 8601. The session is judged once more, by the baselines in its folder: a slow
    one must not get in because nobody looked, or because it was judged by something else. Raises
    InputError if the file is damaged, foreign or without raw data, which no reason helps, and
    where it is refused.
    """
    stored = baseline.own(read_session(path))
    session = _judged(stored, path.resolve().parent)
    found = list(dict.fromkeys(baseline.objections(stored) + baseline.objections(session)))
    if found and not reason:
        raise InputError(
            f"{path}: {'; '.join(found)}; no baseline, unless --force says why it should be one"
        )
    verdicts = session.saved.get("verdicts")

    def edit(content: dict[str, Any]) -> None:
        content["llm_int8"]["verdicts"] = verdicts
        content["llm_int8"]["promoted"] = {"when": when, "forced": reason}
        content["llm_int8"].pop("demoted", None)

    storage.change(path, edit)


def demote(path: Path, *, when: str) -> None:
    """Let a stored session be no baseline any more. Raises InputError if it is no session."""
    baseline.own(read_session(path))
    mark = {"promoted": None, "demoted": {"when": when}}
    storage.change(path, lambda content: content["llm_int8"].update(mark))


def _judged(session: Session, folder: Path) -> Session:
    own = Path(session.name).resolve()  # which may have been given by a link
    stored = baseline.stored(folder).sessions
    known = [each for each in stored if Path(each.name).resolve() != own]
    if not (base := baseline.baselines(known, session)):
        return session
    from benchmarks.verdicts import judgement  # with scipy, which takes its time

    verdicts = judgement.judge(base, [session])
    return replace(
        session,
        saved={
            **session.saved,
            "verdicts": [each.as_record() for each in verdicts],
            "exit_status": judgement.exit_status(verdicts),
        },
    )
