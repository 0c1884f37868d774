"""Which saved sessions are baselines, and which of them a new session is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.sessions import comparable, doubts, outcome
from benchmarks.sessions.session import read_session, unchecked_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from benchmarks.sessions.session import Measured, Record, Session

CONFIRMED = 3  # baselines of a new level, before the old one stops to count
OTHERS = {"verdicts.json", "selftest.json", "tried.json"}  # what commands save beside sessions
OLDEST = 5  # baselines of a level: as many as `baselines record` makes at once
MOST = 20  # baselines of one benchmark: those of last year say little of today's machine


@dataclass(frozen=True)
class Stored:
    """What a folder holds: its sessions, oldest first, and a line for each file that is none."""

    sessions: tuple[Session, ...]
    damaged: tuple[str, ...]

    @property
    def ahead(self) -> list[str]:
        """A line for each session that is dated in the future."""
        return comparable.dated_ahead(self.sessions)


def stored(folder: Path) -> Stored:
    """Read all sessions below a folder.

    Damaged files, those without raw data, and those that this suite didn't write are named.
    """
    read = [_read(path) for path in files(folder)]
    sessions = [each for each in read if not isinstance(each, str)]
    damaged = [each for each in read if isinstance(each, str)]
    return Stored(tuple(sorted(sessions, key=_age)), tuple(damaged))


def _read(path: Path) -> Session | str:
    """Return a session, or the line that says why the file holds none."""
    try:
        return own(read_session(path))
    except InputError as error:
        return f"skipped {error}"


def files(folder: Path) -> list[Path]:
    """Return the saved sessions below a folder, sorted; hidden files are none."""
    return sorted(
        path
        for path in folder.rglob("*.json")
        if path.is_file()
        and path.name not in OTHERS
        and not any(part[0] == "." for part in path.relative_to(folder).parts)
    )


def named(folder: Path, name: str) -> list[Path]:
    """Return the saved files that --benchmark-compare=NAME means: a file, or a pattern of names.

    Raises InputError if there is none.
    """
    path, pattern = Path(name), f"{name.rstrip('*')}*.json"
    if path.is_file():
        return [path]
    found = [
        each
        for each in (files(folder) if folder.is_dir() else [])
        if fnmatchcase(each.name, pattern)
        or fnmatchcase(each.relative_to(folder).as_posix(), pattern)
    ]
    if not found:
        raise InputError(
            f"--benchmark-compare={name}: expected a saved session, got none of that name in "
            f"{folder}; see what is there with `pytest-benchmark list`, or leave the name out"
        )
    return found


def own(session: Session) -> Session:
    """Return the session, or raise InputError if another suite, or an older one, saved it."""
    if not isinstance(session.saved.get("passed"), bool):
        raise InputError(
            f"{session.name}: expected a session of this suite, got one that doesn't say whether "
            "it passed (another suite's, or an older file); measure again"
        )
    return session


def objections(session: Session) -> list[str]:
    """Return why a session should not become a baseline; nothing if it may."""
    found = [] if session.measured else ["it measured nothing"]
    found += untrusted(session)
    if regressed := [each for each in session.verdicts if each["outcome"] == "REGRESSED"]:
        found.append(f"REGRESSED: {_figures(regressed)}")
    if gone := [name for name in _judged(session, "MISSING") if name not in session.measured]:
        found.append(f"its baselines have benchmarks that it lacks: {_some(gone)}")
    if suspicious := [each for each in session.verdicts if each.get("suspicious")]:
        found.append(f"suspicious: {_figures(suspicious)}; let a duet decide")
    if session.duet:
        found.append("it is one side of a duet")
    return found


def is_trusted(session: Session) -> bool:
    """Whether the machine could be trusted during all that it measured."""
    return all(map(_valid, session.measured.values()))


def untrusted(session: Session) -> list[str]:
    """Return why the figures of a session say little, whatever they are compared with."""
    found = []
    if session.saved.get("passed") is False:
        status = session.saved.get("exit_status")
        found.append(
            "tests failed, or it was interrupted" + (f" (exit status {status})" if status else "")
        )
    if invalid := [name for name, each in session.measured.items() if not _valid(each)]:
        why = _doubt(session.measured[invalid[0]])
        found.append(f"{doubts.UNKNOWN} during {_some(invalid)}{why}")
    return found + unchecked_of(session).lines()


def is_baseline(session: Session) -> bool:
    """Whether a session was promoted, and passed, checked in full and valid unless forced."""
    if not session.promoted:
        return False
    good = _passed(session) and not unchecked_of(session)
    return good or bool(session.promoted.get("forced"))


def is_loose(session: Session) -> bool:
    """Whether it would be a baseline, had its bounds not been lifted or widened."""
    loose = bool(session.promoted and unchecked_of(session))
    return loose and _passed(session) and not is_baseline(session)


def baselines(known: Iterable[Session], current: Session) -> list[Session]:
    """Return the baselines to judge a session by, oldest first.

    Each session keeps only the benchmarks measured on the current machine with the current
    workload. If a benchmark has no such baseline, the newest other one is kept, so that the verdict
    can say what differs. Older baselines of a benchmark are ignored once a new level is accepted: a
    forced regression, a benchmark that was given up, an improvement that later baselines confirm.
    Of the rest the newest count.
    """
    return _kept(known, current, MOST)


def level(known: Iterable[Session], current: Session) -> list[Session]:
    """Return all baselines of the level that was accepted, oldest first, however many there are."""
    return _kept(known, current, None)


def _kept(known: Iterable[Session], current: Session, most: int | None) -> list[Session]:
    newest_first = sorted(filter(is_baseline, known), key=_age, reverse=True)
    names = dict.fromkeys(name for each in newest_first for name in each.measured)
    chosen = {name: _of_benchmark(name, newest_first, current, most) for name in names}
    kept = []
    for index, session in reversed(list(enumerate(newest_first))):
        counts = {
            name: measured for name, measured in session.measured.items() if index in chosen[name]
        }
        if counts:
            kept.append(replace(session, measured=counts))
    return kept


def _of_benchmark(
    name: str, newest_first: Sequence[Session], current: Session, most: int | None
) -> set[int]:
    """Return which sessions count for one benchmark, by their index; all of its level, or most."""
    alike: set[int] = set()
    other: set[int] = set()
    timed = 0  # of those alike: a session of work only takes none of their places
    for index, session in enumerate(newest_first):
        if name in session.measured:
            short = session.measured[name].work_only
            if _differs(name, session, current):
                other.add(index)
            elif not short or most is None or len(alike) - timed < most:
                alike.add(index)
                timed += not short
        if _accepted(name, session) or timed == most:
            break
        later = {"device": len(alike), "time": timed}
        sure = {kind for kind, number in later.items() if number >= CONFIRMED}
        if _improved(name, session, sure):
            break
    return alike or set(sorted(other)[:1])


def _differs(name: str, base: Session, current: Session) -> bool:
    """Whether a benchmark of two sessions measured something else, or on another machine."""
    if comparable.machine_differences(base, current):
        return True
    return name in current.measured and bool(
        comparable.workload_differences(base.measured[name], current.measured[name])
    )


def _accepted(name: str, session: Session) -> bool:
    """Whether promoting the session gave something up: a level, or the benchmark itself."""
    return name in _judged(session, "REGRESSED" if name in session.measured else "MISSING")


def _improved(name: str, session: Session, sure: Collection[str]) -> bool:
    """Whether a new level began here: by a counter, or by a kind that later baselines confirm.

    One lucky session is no new level: by it alone the next ordinary one would be REGRESSED.
    """
    kinds = {
        each.get("kind")
        for each in session.verdicts
        if each["benchmark"] == name and each["outcome"] == "IMPROVED"
    }
    return bool(kinds - ({"time", "device"} - set(sure)))


def _judged(session: Session, outcome: str) -> list[str]:
    """Return the benchmarks of which the session's own verdicts say this."""
    return _benchmarks(each for each in session.verdicts if each["outcome"] == outcome)


def _benchmarks(verdicts: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(each["benchmark"] for each in verdicts))


def _passed(session: Session) -> bool:
    return session.saved["passed"] and is_trusted(session)


def _valid(measured: Measured) -> bool:
    """Whether its device time can be trusted, if it has any, and its times, if any were wanted."""
    device = measured.device_validity.get("valid") is not False
    return device and (measured.work_only or bool(measured.validity.get("valid")))


def _doubt(measured: Measured) -> str:
    """Return why they can't, without what to do; empty if that isn't known."""
    judged = measured.device_time.get("validity") if measured.work_only else measured.validity
    why = doubts.in_short(judged)[0]
    return "" if why == doubts.UNKNOWN else f" ({why})"


def _age(session: Session) -> tuple[str, str]:
    return session.when, session.name


def _figures(verdicts: Sequence[Record]) -> str:
    """Return metric, change and interval of verdicts, the largest changes first."""
    found = sorted(verdicts, key=lambda each: -abs(each.get("change") or 0.0))
    return _some([_figure(each) for each in found])


def _figure(verdict: Record) -> str:
    name = f"{verdict['benchmark'].rpartition('::')[2]} {verdict['metric']}"
    if verdict.get("change") is None:
        return name
    digits = 2 if verdict["kind"] == "device" else 1
    ends = verdict.get("low"), verdict.get("high")
    return f"{name} {outcome.moved(verdict['change'], *ends, digits)}"


def _some(names: Sequence[str], most: int = 3) -> str:
    """Return the last part of the first names, and how many more there are."""
    short = [name.rpartition("::")[2] for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(short) + more
