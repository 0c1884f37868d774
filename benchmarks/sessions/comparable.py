"""Which sessions may be compared: the same machine, the same work, and nothing wrong. Pure.

Versions are what is compared, never a reason not to compare.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.common.packages import LAID_OVER, TREATMENT
from benchmarks.sessions import instants, unchecked
from benchmarks.sessions.session import unchecked_note

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from benchmarks.sessions.doubts import Doubt
    from benchmarks.sessions.session import Measured, Record, Session

    Changes = Mapping[str, tuple[Any, Any]]  # then and now, by name

HOST_ONLY = frozenset({"threads", "available_cores"})  # decide on the CPU; not beside a GPU
# Every session of this suite knows these, so if one side alone does, the other is a stranger.
# Any other fact may be younger than a stored session: then it is said, and doesn't refuse.
KNOWN_BY_ALL = frozenset({"device", "gpu"})
NO_KERNELS = (
    "not judged on a CPU: how long kernels take, which is wall time there; judged: "
    "calls, memory, and agreement with 16 bits"
)
ROUNDED = {"gpu_memory_bytes": 2**30, "power_limit_watts": 1}  # drivers differ by a few bytes


def machine_differences(base: Session, head: Session) -> list[str]:
    """Return in which facts the machines of two sessions differ; empty if they don't.

    A fact that neither side has doesn't count: a plain file of pytest-benchmark has few.
    """
    then, now = machine_facts(base), machine_facts(head)
    return _differences(then, now, (then.keys() & now.keys()) | KNOWN_BY_ALL)


def machine_facts(session: Session) -> dict[str, Any]:
    """Return what makes the machine of a session this one, and no other."""
    hardware = dict(session.hardware)
    for name, unit in ROUNDED.items():
        if isinstance(value := hardware.get(name), (int, float)):
            hardware[name] = round(value / unit) * unit
    hardware.pop("card", None)  # another one of the same kind: device time alone tells them apart
    if hardware.get("device") == "cuda":
        hardware = {name: value for name, value in hardware.items() if name not in HOST_ONLY}
    cpu = session.machine.get("cpu") or {}
    return {"cpu": cpu["brand_raw"], **hardware} if cpu.get("brand_raw") else hardware


def machine_key(session: Session) -> str:
    """Return what is the same for sessions of one machine."""
    return json.dumps(machine_facts(session), sort_keys=True, default=str)


def unknown_facts(base: Session, head: Session) -> list[str]:
    """Return the facts of a machine that one side alone has, and that so weren't compared."""
    return sorted((machine_facts(base).keys() ^ machine_facts(head).keys()) - KNOWN_BY_ALL)


def workload_differences(base: Measured, head: Measured) -> list[str]:
    """Return in which facts two records measured something else; empty if they didn't.

    A fact that one side alone has is a difference; one that neither has is none.
    """
    then, now = workload_facts(base), workload_facts(head)
    names = (then.keys() & now.keys()) | ({*then, *now} - {"weights_sha256"})
    return _differences(then, now, names)


def workload_facts(measured: Measured) -> dict[str, Any]:
    """Return what a record says that it measured."""
    facts = dict(measured.workload)
    if "schema" in measured.info:
        facts["schema"] = measured.info["schema"]
    checkpoint = measured.attestation.get("checkpoint") or {}
    if checkpoint.get("index_sha256"):
        facts["weights_sha256"] = checkpoint["index_sha256"]
    return facts


def workload_key(measured: Measured) -> str:
    """Return what is the same for one benchmark of one workload."""
    return json.dumps([measured.fullname, workload_facts(measured)], sort_keys=True, default=str)


def treatment(base: Session, head: Session) -> list[str]:
    """Return the versions that differ between two sessions: what is compared."""
    return _differences(base.software, head.software, TREATMENT)


def changed_versions(base: Session, head: Session) -> Changes:
    """Return the versions of both sides if they differ; None for one that isn't known."""
    versions = changed(base.software, head.software)
    return {name: versions[name] for name in TREATMENT if name in versions}


def beyond_a_duet(versions: Changes) -> Changes:
    """Return those of changed versions that the base of a duet can't be given by an overlay."""
    return {
        name: sides for name, sides in versions.items() if name not in LAID_OVER or not sides[0]
    }


def as_spec(versions: Changes) -> str:
    """Return the versions of the base as the SPEC of an overlay."""
    return ",".join(f"{name}=={then}" for name, (then, _) in versions.items())


def differences(base: Session, head: Session) -> list[str]:
    """Return a line for another machine, and a line for other versions, of a compared session."""
    lines = {
        "compared with another machine, so times are not comparable": machine_differences(
            base, head
        ),
        "compared with other versions": treatment(base, head),
    }
    return [f"{says}: {', '.join(differ)}" for says, differ in lines.items() if differ]


def changed_calls(
    base: Measured, head: Measured, phase: str, what: str = "operators"
) -> list[tuple[str, int, int]]:
    """Return the operators that are called more or less often in a phase, with both counts.

    `what` may be functions or c_functions as well. Nothing if a side didn't count them.
    """
    then, now = base.calls(phase, what), head.calls(phase, what)
    if then is None or now is None:
        return []
    counts = [(name, then.get(name, 0), now.get(name, 0)) for name in {**then, **now}]
    return [(name, before, after) for name, before, after in counts if before != after]


def notes(base: Sequence[Session], head: Sequence[Session], *, by_work: bool = False) -> list[str]:
    """Return notes that belong above the verdicts: other versions, and what one side lacks.

    `by_work`: no time of the wall is judged.
    """
    pairs = [(then, now) for then in base for now in head]
    found = []
    if differ := dict.fromkeys(each for pair in pairs for each in treatment(*pair)):
        found.append(f"versions: {', '.join(differ)}")
    if unknown := dict.fromkeys(each for pair in pairs for each in unknown_facts(*pair)):
        found.append(f"known of one side only, and so not compared: {', '.join(unknown)}")
    more = [*unchecked_note([*base, *head]), *dated_ahead([*base, *head]), *overlooked_note(head)]
    return [*found, *more, *(no_kernels(head) if by_work else ())]


def no_kernels(head: Sequence[Session]) -> list[str]:
    """Return a line if work alone is judged on a CPU, where a slower kernel is in none of it."""
    return [NO_KERNELS] if any(each.hardware.get("device") == "cpu" for each in head) else []


def overlooked(head: Sequence[Session]) -> list[Doubt]:
    """Return why new sessions couldn't be trusted by the usual bounds, if nobody asked."""
    judged = [(name, each.validity) for session in head for name, each in session.measured.items()]
    return unchecked.overlooked(judged)


def overlooked_note(head: Sequence[Session]) -> list[str]:
    """Return a line if new sessions were on a machine that wasn't fit, and nobody asked."""
    if not (found := overlooked(head)):
        return []
    says = ", ".join(each.says for each in found)
    return [f"the machine couldn't be trusted by the usual bounds (--bounds lifted them): {says}"]


def dated_ahead(sessions: Sequence[Session]) -> list[str]:
    """Return a line for each session that is dated in the future: until then it is the newest."""
    return [
        f"{each.name}: dated in the future ({instants.to_the_minute(each.when)}), so that it "
        "counts as the newest; set that machine's clock, and demote or delete the file"
        for each in sessions
        if instants.is_ahead(each.when)
    ]


def failure(session: Session) -> str | None:
    """Return why a session is no evidence: it failed, or was interrupted; None if it is one.

    One that was made a baseline all the same, with a reason, is one.
    """
    if session.saved.get("passed") is not False or session.promoted.get("forced"):
        return None
    status = session.saved.get("exit_status")  # of one that is just ending it isn't known yet
    why = "" if status is None else f" (exit status {status})"
    return f"{session.name} failed or was interrupted{why}"


def changed(then: Record, now: Record, names: Collection[str] = ()) -> Changes:
    """Return both values of each fact that differs, in the order in which they are kept.

    Only facts of these names, if there are some.
    """
    return {
        name: (then.get(name), now.get(name))
        for name in {**then, **now}
        if (not names or name in names) and then.get(name) != now.get(name)
    }


def _differences(then: Record, now: Record, names: Collection[str]) -> list[str]:
    """Return a text for each of these facts that differs."""
    return [
        f"{name} {then.get(name, 'unknown')} -> {now.get(name, 'unknown')}"
        for name in changed(then, now, names)
    ]
