"""Saved sessions: what one process measured, read back from pytest-benchmark's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.common.errors import InputError
from benchmarks.common.files import from_json
from benchmarks.machine.bounds import UNSTEADY
from benchmarks.sessions import instants, schema
from benchmarks.sessions.doubts import of_one
from benchmarks.sessions.unchecked import Unchecked, of_records

Record = Mapping[str, Any]

PHASES = ("prefill", "decode")


@dataclass(frozen=True)
class Measured:
    """One benchmark of a session: its rounds, and all that was stored beside them.

    What a record lacks is empty: one of another suite, or of a session that was interrupted.
    """

    fullname: str
    rounds_s: tuple[float, ...]
    info: Record = field(default_factory=dict)  # extra_info; {} in a foreign file
    positions: tuple[int, ...] = ()  # of each round in its pair of a duet, if that is known

    @property
    def workload(self) -> Record:
        """What was measured."""
        return self.info.get("workload") or {}

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The metrics by name; None if one could not be measured."""
        return self.info.get("metrics") or {}

    @property
    def validity(self) -> Record:
        """Whether the machine could be trusted; empty if that wasn't judged."""
        return self.info.get("validity") or {}

    @property
    def doubts(self) -> list[str]:
        """Why its times can't be trusted; empty if they can."""
        return of_one(self.validity)

    @property
    def attestation(self) -> Record:
        """What really ran."""
        return self.info.get("attestation") or {}

    @property
    def profile(self) -> Mapping[str, Record]:
        """The profiled phases by name."""
        return self.info.get("profile") or {}

    @property
    def steps(self) -> Sequence[Record]:
        """The rounds, each with its `ttft_s` and the `step_s` of every further token."""
        return [each for each in self.info.get("rounds") or () if each["step_s"]]

    @property
    def decode_steps(self) -> list[int] | None:
        """The first decode step that was counted, and the one after the last."""
        return (self.info.get("counters") or {}).get("decode_steps")

    @property
    def has_counters(self) -> bool:
        """Whether anything was counted."""
        return bool(self.info.get("counters"))

    def counters(self, phase: str) -> dict[str, int]:
        """Return the counters of a phase by dotted names, without operators and functions."""
        flat: dict[str, int] = {}
        for name, value in self._counted(phase).items():
            if isinstance(value, Mapping) and not name.endswith(("operators", "functions")):
                flat |= {f"{name}.{part}": count for part, count in value.items()}
            elif isinstance(value, int):
                flat[name] = value
        return flat

    def calls(self, phase: str, what: str = "operators") -> Mapping[str, int] | None:
        """Return how often each was called in a phase: operators, functions or c_functions.

        None if that was not counted: what isn't in it then was not called 0 times.
        """
        return self._counted(phase).get(what)

    def _counted(self, phase: str) -> Record:
        return (self.info.get("counters") or {}).get(phase) or {}

    @property
    def device_time(self) -> Record:
        """What the GPU did in both phases, and for how long; empty without a GPU."""
        return self.info.get("device_time") or {}

    @property
    def device_validity(self) -> Record:
        """Whether device time could be trusted; empty without a GPU."""
        return self.device_time.get("validity") or {}

    def why_null(self, name: str) -> str:
        """Return why a metric or a counter could not be measured; empty if that isn't known."""
        return (self.info.get("unmeasured") or {}).get(name) or ""

    @property
    def is_of_its_own(self) -> bool:
        """Whether it times what work alone has none of: a cold start, a profile, or several."""
        several = self.info.get("replicas") or self.info.get("ranks")
        return bool("cold_process" in self.info or self.profile or several)

    @property
    def work_only(self) -> bool:
        """Whether it measured work only: then it has no rounds."""
        return bool(self.info.get("work_only"))


@dataclass(frozen=True)
class Session:
    """What one process measured, by the full name of each benchmark."""

    name: str  # of its file, or "this session"
    measured: Mapping[str, Measured]
    machine: Record = field(default_factory=dict)  # machine_info
    commit: Record = field(default_factory=dict)  # commit_info
    when: str = ""  # ISO 8601 in UTC, so that texts have the order of instants
    saved: Record = field(default_factory=dict)  # what this suite adds to the file

    @property
    def hardware(self) -> Record:
        """The facts that make a machine this one."""
        return self.machine.get("hardware") or {}

    @property
    def software(self) -> Record:
        """The versions by name."""
        return self.machine.get("software") or {}

    @property
    def verdicts(self) -> Sequence[Record]:
        """The verdicts that were stored with it, as JSON has them."""
        return self.saved.get("verdicts") or ()

    @property
    def failed(self) -> Mapping[str, str]:
        """Why benchmarks have no result, by their full names."""
        return self.saved.get("failed") or {}

    @property
    def promoted(self) -> Record:
        """When, and by which force, it was made a baseline; empty if it never was."""
        return self.saved.get("promoted") or {}

    @property
    def duet(self) -> Record:
        """Which side of which duet it is; empty if it is of none."""
        return self.saved.get("duet") or {}


def read_session(path: Path) -> Session:
    """Read a file that pytest-benchmark saved with raw data.

    Raises InputError, in one line that names the file, if it is none.
    """
    try:
        content = from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't read it ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected JSON of pytest-benchmark, got a damaged or foreign file ({error}); "
            "delete it, or measure again"
        ) from error
    return parse_session(content, str(path))


def parse_session(content: Any, name: str) -> Session:
    """Return the session in the content of a file; `name` is what errors call it.

    Raises InputError if it isn't pytest-benchmark's, or has no raw data.
    """
    if damaged := schema.difference(content, schema.FILE):
        raise _damaged(name, damaged)
    try:
        when = instants.in_utc(content.get("datetime") or "")
    except ValueError as error:
        raise _damaged(name, f"datetime: {error}") from error
    saved = content.get("llm_int8") or {}
    positions = (saved.get("duet") or {}).get("position_in_pair") or ()
    measured = [_measured(each, tuple(positions), name) for each in content["benchmarks"]]
    session = Session(
        name=name,
        measured={each.fullname: each for each in measured},
        machine=content.get("machine_info") or {},
        commit=content.get("commit_info") or {},
        when=when,
        saved=saved,
    )
    if len(session.measured) < len(measured):
        raise InputError(
            f"{name}: expected each benchmark once, got one twice; "
            "give one file for each session, not several put together"
        )
    return session


def _measured(benchmark: Record, positions: tuple[int, ...], name: str) -> Measured:
    fullname, rounds_s = benchmark["fullname"], tuple(map(float, benchmark["stats"]["data"]))
    info = benchmark.get("extra_info") or {}
    if (number := info.get("schema")) != schema.SCHEMA:  # another suite's, or a newer one's
        info = {"schema": number} if number else {}
    if damaged := schema.difference(info, schema.READABLE):
        raise _damaged(name, f"{fullname}: {damaged}")
    if info.get("work_only"):  # pytest-benchmark keeps the one short round, which says nothing
        rounds_s = ()
    elif not rounds_s or min(rounds_s) <= 0:
        raise _damaged(name, f"{fullname} has no rounds, or impossible ones")
    measured = Measured(fullname, rounds_s, info, positions)
    for phase in PHASES if measured.device_time else ():
        spent = measured.device_time[phase]
        if min(spent["repeats_s"], default=0) <= 0 or spent["steps"] < 1:
            raise _damaged(
                name, f"{fullname} has no device time of the {phase}, or an impossible one"
            )
    return measured


def _damaged(name: str, why: str) -> InputError:
    return InputError(
        f"{name}: expected JSON of pytest-benchmark with the rounds of every benchmark, got "
        f"another format ({why}); save it with --benchmark-save-data"
    )


def unchecked_note(sessions: Sequence[Session]) -> list[str]:
    """Return a line if some of these sessions weren't checked in full; nothing if all were."""
    loose = sum(bool(unchecked_of(each)) for each in sessions)
    return [f"not checked in full (--bounds): {loose} of {len(sessions)} sessions"] * bool(loose)


def unchecked_of(session: Session) -> Unchecked:
    """Return what some benchmark of a session wasn't held to.

    Drift of the rounds, which no side of a duet is held to, is nothing that a user lifted.
    """
    measured = session.measured.values()
    found = of_records(
        judged for each in measured for judged in (each.validity, each.device_validity)
    )
    if session.duet and not found.all_lifted:
        lifted = tuple(each for each in found.lifted if each not in UNSTEADY)
        return replace(found, lifted=lifted)
    return found
