"""Which sessions may be compared: the same machine, the same work, and nothing wrong. Pure.

Versions are what is compared, never a reason not to compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.sessions.doubts import of_one
from benchmarks.sessions.session import unchecked_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.sessions.session import Measured, Session

TREATMENT = ("torch", "transformers", "bitsandbytes", "accelerate", "python", "cuda", "driver")
HOST_ONLY = frozenset({"threads", "available_cores"})  # decide on the CPU; not beside a GPU
# Every session of this suite knows these, so where one side alone does, the other is a stranger.
# Any other fact may be younger than a stored session: then it is said, and doesn't refuse.
KNOWN_BY_ALL = frozenset({"device", "gpu"})
ROUNDED = {"gpu_memory_bytes": 2**30, "power_limit_watts": 1}  # drivers differ by a few bytes


def machine_differences(base: Session, head: Session) -> list[str]:
    """Return in which facts the machines of two sessions differ; empty where they don't.

    A fact that neither side has doesn't count: a plain file of pytest-benchmark has few.
    """
    then, now = machine_facts(base), machine_facts(head)
    shared = {name for name in then if name in now}
    return _differences(then, now, shared | KNOWN_BY_ALL)


def machine_facts(session: Session) -> dict[str, Any]:
    """Return what makes the machine of a session this one, and no other."""
    hardware = dict(session.machine.get("hardware") or {})
    for name, unit in ROUNDED.items():
        if isinstance(value := hardware.get(name), (int, float)):
            hardware[name] = round(value / unit) * unit
    hardware.pop("card", None)  # another one of the same kind: device time alone tells them apart
    if hardware.get("device") == "cuda":
        hardware = {name: value for name, value in hardware.items() if name not in HOST_ONLY}
    cpu = session.machine.get("cpu") or {}
    return {"cpu": cpu["brand_raw"], **hardware} if cpu.get("brand_raw") else hardware


def unknown_facts(base: Session, head: Session) -> list[str]:
    """Return the facts of a machine that one side alone has, and that so weren't compared."""
    return sorted((machine_facts(base).keys() ^ machine_facts(head).keys()) - KNOWN_BY_ALL)


def workload_differences(base: Measured, head: Measured) -> list[str]:
    """Return in which facts two records measured something else; empty where they didn't.

    A fact that one side alone has is a difference; one that neither has is none.
    """
    then, now = workload_facts(base), workload_facts(head)
    shared = {name for name in then if name in now}
    return _differences(then, now, shared | ({*then, *now} - {"weights_sha256"}))


def workload_facts(measured: Measured) -> dict[str, Any]:
    """Return what a record says that it measured."""
    info = measured.info
    facts = dict(info.get("workload") or {})
    if "schema" in info:
        facts["schema"] = info["schema"]
    checkpoint = (info.get("attestation") or {}).get("checkpoint") or {}
    if checkpoint.get("index_sha256"):
        facts["weights_sha256"] = checkpoint["index_sha256"]
    return facts


def treatment(base: Session, head: Session) -> list[str]:
    """Return the versions that differ between two sessions: what is compared."""
    then, now = (each.machine.get("software") or {} for each in (base, head))
    return _differences(then, now, TREATMENT)


def notes(base: Sequence[Session], head: Sequence[Session]) -> list[str]:
    """Return what is to be known before the verdicts: other versions, and what one side lacks."""
    pairs = [(then, now) for then in base for now in head]
    found = []
    if differ := dict.fromkeys(each for pair in pairs for each in treatment(*pair)):
        found.append(f"versions: {', '.join(differ)}")
    if unknown := dict.fromkeys(each for pair in pairs for each in unknown_facts(*pair)):
        found.append(f"known of one side only, and so not compared: {', '.join(unknown)}")
    return found + unchecked_note([*base, *head])


def failure(session: Session) -> str | None:
    """Return why a session is no evidence: it failed, or was interrupted; None where it is one.

    One that was made a baseline all the same, with a reason, is one.
    """
    promoted = session.saved.get("promoted") or {}
    if session.saved.get("passed") is not False or promoted.get("forced"):
        return None
    status = session.saved.get("exit_status")  # of one that is just ending it isn't known yet
    why = "" if status is None else f" (exit status {status})"
    return f"{session.name} failed or was interrupted{why}"


def doubts(measured: Measured) -> list[str]:
    """Return why the times of a record can't be trusted; empty if they can."""
    return of_one(measured.info.get("validity"))


def _differences(
    then: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]
) -> list[str]:
    """Return a change for each of these facts that differs, in the order in which they are kept."""
    wanted = set(names)
    return [
        f"{name} {then.get(name, 'unknown')} -> {now.get(name, 'unknown')}"
        for name in {**then, **now}
        if name in wanted and then.get(name) != now.get(name)
    ]


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for another machine, and a line for other versions, of a compared session."""
    lines = []
    for part, says in (
        ("hardware", "compared with another machine, so times are not comparable"),
        ("software", "compared with other versions"),
    ):
        then, now = theirs.get(part) or {}, ours[part]
        changed = [
            f"{name} {then.get(name)} -> {now.get(name)}"
            for name in {**then, **now}
            if then.get(name) != now.get(name) and name != "card"
        ]
        if changed:
            lines.append(f"{says}: {', '.join(changed)}")
    return lines
