"""The sessions that a page shows, out of files and folders of any kind, and what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.files import from_json
from benchmarks.common.quantity import IMPOSSIBLE
from benchmarks.duet import saved_duets
from benchmarks.sessions import baseline, schema
from benchmarks.sessions.schema import SCHEMA, difference
from benchmarks.sessions.session import read_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.sessions.session import Measured, Session


VERDICTS = "verdicts.json"  # that a duet leaves beside its sessions
CLOCKS = 1.01  # a token is timed by the device's clock, a round by that of --benchmark-timer


@dataclass(frozen=True)
class Intake:
    """Sessions whose records can be shown, oldest first, and a line for all that can't be."""

    sessions: tuple[Session, ...]
    left_out: tuple[str, ...] = ()
    verdicts: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # of duets, by folder


def gather(paths: Sequence[Path]) -> Intake:
    """Read files, and the JSON files below folders, each once.

    Raises InputError if a path doesn't exist, or if nothing at all can be shown.
    """
    found: dict[Path, None] = {}
    for path in paths:
        found.update((each.resolve(), None) for each in _files(path))
    read = [_read(path) for path in found if path.name != VERDICTS]
    usable = [each for each in read if not isinstance(each, str)]
    lines = [each for each in read if isinstance(each, str)]
    verdicts: dict[str, Sequence[Any]] = {}
    for folder in {saved_duets.folder(each): None for each in usable if each.saved.get("duet")}:
        stored = _verdicts(Path(folder) / VERDICTS)
        if isinstance(stored, str):
            lines.append(stored)
        elif stored is not None:
            verdicts[folder] = stored
    return replace(select(usable, lines), verdicts=verdicts)


def select(read: Sequence[Session], left_out: Sequence[str] = ()) -> Intake:
    """Keep what can be shown of sessions that were read. Raises InputError if nothing can."""
    kept, problems = [], list(left_out)
    for session in read:
        usable, reasons = _usable(session)
        problems += [f"{session.name}: {reason}" for reason in reasons]
        if usable.measured:
            kept.append(usable)
    if not kept:
        why = f": {problems[0]}" if problems else ""
        raise InputError(f"expected a saved session of this suite, got none{why}")
    # A terminal can't show half a character, as one of a file's name.
    lines = tuple(each.encode("utf-8", "replace").decode() for each in problems)
    return Intake(tuple(sorted(kept, key=lambda each: each.when)), lines)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: expected a saved session or a folder of them; got no file")
        yield path
        return
    files = baseline.files(path)
    if not files:
        raise InputError(f"{path}: expected saved sessions (*.json), got a folder without any")
    yield from files


def _read(path: Path) -> Session | str:
    """Return a session, or why it can't be read."""
    try:
        return read_session(path)
    except InputError as error:
        return str(error)


def _verdicts(path: Path) -> Sequence[Any] | str | None:
    """Return the verdicts that a duet stored, why they can't be shown, or None without any."""
    try:
        content = from_json(path.read_text(encoding="utf-8"))
        damaged = difference(content, schema.STORED)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        return f"{path}: expected JSON of this suite, got a damaged file ({error}); delete it"
    if damaged:
        return f"{path}: expected verdicts of this suite, got damaged ones ({damaged})"
    return list(content["verdicts"])


def _usable(session: Session) -> tuple[Session, list[str]]:
    """Return a session without the benchmarks that can't be shown, and the reasons."""
    reasons, kept = [], {}
    for name, measured in session.measured.items():
        reason = _unusable(measured)
        if reason is None:
            kept[name] = measured
        elif reason not in reasons:  # a foreign file has the same one for every benchmark
            reasons.append(reason)
    return replace(session, measured=kept), reasons


def _unusable(measured: Measured) -> str | None:
    number = measured.info.get("schema")
    if number is None:
        return "expected records of this suite, got another suite's; compare it by other means"
    if number != SCHEMA:
        return (
            f"expected records of schema {SCHEMA}, got schema {number!r}; "
            "use the version of the suite that wrote it"
        )
    if damaged := difference(measured.info, schema.RECORD):
        return f"{measured.fullname}: expected a record, got a damaged one ({damaged})"
    if measured.work_only:
        return None
    if max(measured.rounds_s) >= IMPOSSIBLE:
        return f"{measured.fullname}: expected seconds of rounds, got impossible ones"
    rounds = measured.info["rounds"]
    if not rounds or not all(0 < each["ttft_s"] <= CLOCKS * each["round_s"] for each in rounds):
        return f"{measured.fullname}: expected rounds longer than their first token, got others"
    return None
