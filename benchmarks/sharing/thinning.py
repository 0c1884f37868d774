"""Old sessions without what no verdict reads: a year of them fits a branch that is fetched daily.

A session stays whole as long as it is one of the newest or the oldest baselines of the level that
is accepted now, of any benchmark, workload and machine. Any other one is thinned: it keeps each
value that history shows and each number that a verdict is made of, and loses the names behind them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.sessions import baseline, comparable, instants
from benchmarks.sessions.measures import HOST_COPY
from benchmarks.sessions.session import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.sessions.session import Session

    Record = Mapping[str, Any]

THINNED = "thinned"
BY_NAME = ("operators", "int8_operators", "functions", "c_functions")  # of counters: reasons
DROPPED = ("placement", "refused", "process")  # of a record
HASHES = ("tokens_sha256", "counted_tokens_sha256")  # of an attestation
WATCHED = ("readings", "samples")  # of a validity


def needed(known: Sequence[Session]) -> set[str]:
    """Return the names of the sessions that stay whole.

    One that was demoted stays for as long as it would otherwise: others have to learn of it.
    """
    return _needed(known) | _needed([_as_baseline(each) for each in known])


def _as_baseline(session: Session) -> Session:
    """Return a session that was demoted as the baseline that it was."""
    if not session.saved.get("demoted"):
        return session
    return replace(session, saved={**session.saved, "promoted": {"forced": "demoted since"}})


def _needed(known: Sequence[Session]) -> set[str]:
    names: set[str] = set()
    for current in _newest(known):
        level = baseline.level(known, current)
        for benchmark in {name for each in level for name in each.measured}:
            having = [each.name for each in level if benchmark in each.measured]
            names.update(having[: baseline.MOST])
        names.update(each.name for each in baseline.baselines(known, current))
    return names


def _newest(known: Iterable[Session]) -> list[Session]:
    """Return the newest baseline of each machine and workload: what a next session is like."""
    newest: dict[str, Session] = {}
    for session in sorted(filter(baseline.is_baseline, known), key=lambda each: each.when):
        machine = comparable.machine_facts(session)
        for name, measured in session.measured.items():
            key = [machine, name, comparable.workload_facts(measured)]
            newest[json.dumps(key, sort_keys=True, default=str)] = session
    return list({each.name: each for each in newest.values()}.values())


def thin(content: Record, identity: str) -> dict[str, Any]:
    """Return a session's file without what only a look at it alone needs.

    `identity` is that of the whole one, by which it is recognised.
    """
    machine = content.get("machine_info") or {}
    mark = {"when": instants.now().isoformat(timespec="seconds"), "identity": identity}
    saved = content["llm_int8"]
    return {
        **content,
        "machine_info": {**machine, "cpu": _some(machine.get("cpu") or {}, "brand_raw")},
        "benchmarks": [
            {**each, "extra_info": _record(each.get("extra_info") or {})}
            for each in content["benchmarks"]
        ],
        "llm_int8": {
            **saved,
            "verdicts": [_verdict(each) for each in saved.get("verdicts") or ()] or None,
            THINNED: mark,
        },
    }


def _record(info: Record) -> dict[str, Any]:
    """Return an extra_info without names, samples and single tokens."""
    thinned = {name: value for name, value in info.items() if name not in DROPPED}
    parts: dict[str, Callable[[Any], Any]] = {
        "rounds": lambda rounds: [_round(each) for each in rounds],
        "validity": lambda validity: _without(validity, *WATCHED),
        "attestation": _attestation,
        "counters": lambda counters: _by_phase(counters, _counted),
        "device_time": lambda device: _by_phase(device, _spent),
        "profile": lambda profile: {n: {**part, "operators": []} for n, part in profile.items()},
    }
    return thinned | {name: part(info[name]) for name, part in parts.items() if info.get(name)}


def _by_phase(record: Record, part: Callable[[Record], Record]) -> dict[str, Any]:
    return {n: part(value) if n in PHASES and value else value for n, value in record.items()}


def _counted(counted: Record) -> dict[str, Any]:
    """Return the counters of a phase without the names of what was called."""
    return _without(counted, *BY_NAME)


def _round(timed: Record) -> dict[str, Any]:
    """Return a round with one gap in place of all: their mean, which is what is judged."""
    gaps = timed["step_s"]
    return {**timed, "step_s": [fmean(gaps)] if gaps else []}


def _attestation(attestation: Record) -> dict[str, Any]:
    checkpoint = attestation.get("checkpoint") or {}
    return {**_some(attestation, *HASHES), "checkpoint": _some(checkpoint, "index_sha256")}


def _spent(spent: Record) -> dict[str, Any]:
    """Return the device time of a phase, of its kernels the copies to the host and back.

    Against another card, verdicts take their latency away.
    """
    kernels = spent.get("kernels") or {}
    copies = [each for each in kernels.get("top") or () if HOST_COPY.match(each["name"])]
    return {
        **_without(spent, "operators"),
        "kernels": {"top": copies, "rest": kernels.get("rest") or {"names": 0}},
    }


def _verdict(verdict: Record) -> dict[str, Any]:
    """Return a stored verdict without reasons; of one that found nothing, without its detail."""
    detail = "" if verdict["outcome"] == "NO CHANGE" else verdict["detail"]
    return {**verdict, "detail": detail, "reasons": []}


def _some(record: Record, *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def _without(record: Record, *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}
