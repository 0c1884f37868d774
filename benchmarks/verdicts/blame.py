"""Whether a slower time of the wall is rather the machine's than the code's. Pure.

It is if the work is the same to the last call, and what the code doesn't decide took longer too:
then it is suspicious, and a duet decides.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.sessions import unchecked
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import exact, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session
    from benchmarks.verdicts.records import ComparableRecords, Record

COLD = "cold_round_s"  # the counted work says nothing of it: that is of warm generations
SAME = frozenset({"counter", "device"})  # kinds that tell whether the same was done
SHARE = 0.5  # of a change, on a log scale: what explains as much of it is the likelier cause
NEARLY_ALL = 0.9  # of the operators of a profile
ENOUGH = 5  # operators, before they are called nearly all
BUILDS = ("torch", "python")  # another one may make all operators slower, and the control
CONTROLS = ("control_device_s", "control_host_s")
EQUAL = "the work is the same to the last call"
LIKELIER = "so the machine is the likelier cause"
ON_THE_WALL = (
    "all calls are the same, but on a CPU kernels run in the wall time: only a duet can judge them"
)


def the_machine(
    verdict: Verdict, found: Sequence[Verdict], records: ComparableRecords | None, decide: str
) -> Verdict:
    """Return a slower time of the wall with what equal work says of its cause.

    A regressed one is suspicious if the machine is the likelier cause: if the device, which has a
    time of its own on CUDA, took no longer; on a CPU, where the kernels themselves run on the wall,
    if nearly all operators or the suite's own work took longer alike, or if the machine was beyond
    bounds that the user lifted. `found` are all verdicts, `records` those of its benchmark,
    `decide` is the next step.
    """
    regressed = verdict.outcome is Outcome.REGRESSED
    slower = verdict.suspicious and (verdict.change or 0) > 0
    if verdict.kind != "time" or verdict.metric == COLD or not (regressed or slower):
        return verdict
    if records is None:
        return verdict
    work = [each for each in found if each.benchmark == verdict.benchmark and each.kind in SAME]
    if not _is_same(work):
        return verdict
    why = "the device took no longer"
    if not any(each.kind == "device" for each in work):
        why = ", and ".join(_signs(verdict, records))
    if not why and any(each.session.hardware.get("device") == "cuda" for each in records.head):
        return verdict
    if not why:
        return replace(verdict, detail=f"{verdict.detail}; {ON_THE_WALL}")
    says = f"{EQUAL}, and {why}, {LIKELIER}"
    if slower:
        return replace(verdict, detail=f"{verdict.detail}; {says}")
    says = f"suspicious: {says}; {decide}"
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, detail=says, suspicious=True)


def _is_same(work: Sequence[Verdict]) -> bool:
    """Whether as much was called, which then is known, and the device took no longer."""
    return any(each.metric.endswith("python_calls") for each in work) and all(
        each.outcome is Outcome.NO_CHANGE and (each.kind == "device" or each.base == each.head)
        for each in work
    )


def _signs(verdict: Verdict, records: ComparableRecords) -> Iterator[str]:
    """Yield what else took longer, or what was wrong with the machine, in words."""
    least = SHARE * log(1 + (verdict.change or 0.0))
    base, head = (
        exact.with_evidence(exact.newest_code(side)).session
        for side in (records.base, records.head)
    )
    same_builds = all(base.software.get(name) == head.software.get(name) for name in BUILDS)
    says = _operators(verdict, base, head, least) or _control(records, least)
    if says and same_builds:
        yield says
    judged = ((each.session.name, each.measured.validity) for each in records.head)
    for doubt in unchecked.overlooked(judged):
        if doubt.of_the_machine:
            yield f"{doubt.says}, beyond a bound that was lifted"
            return


def _operators(verdict: Verdict, base: Session, head: Session, least: float) -> str:
    """Say that nearly all operators took longer, by so much on a log scale as a rule."""
    then, now = (reasons.profile_of(verdict.benchmark, each) for each in (base, head))
    asked = reasons.PHASES.get(verdict.metric)
    phases = [name for name in then if name in now and asked in (None, name)]
    shifts = [each for name in phases for each in _shifts(then[name], now[name])]
    longer = sum(each > 0 for each in shifts)
    if len(shifts) < ENOUGH or longer < NEARLY_ALL * len(shifts) or median(shifts) < least:
        return ""
    factor = f"{exp(median(shifts)):.2g}"
    return f"{longer} of {len(shifts)} operators took longer as well (median: {factor} times)"


def _shifts(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[float]:
    """Return how much longer each operator of a phase took, on a log scale."""
    on_device = any(each["self_device_s"] for each in base["operators"])
    key = "self_device_s" if on_device else "self_host_s"
    then = {each["name"]: each[key] for each in base["operators"]}
    return [
        log(each[key] / then[each["name"]])
        for each in head["operators"]
        if each[key] > 0 and then.get(each["name"], 0) > 0
    ]


def _control(records: ComparableRecords, least: float) -> str:
    """Say that the suite's own work took longer, both on the device and on the host."""
    shifts = []
    for name in CONTROLS:
        then, now = (_readings(side, name) for side in (records.base, records.head))
        if not (then and now):
            return ""
        shifts.append(log(median(now) / median(then)))
    if min(shifts) < least:
        return ""
    return f"the suite's own work took {exp(min(shifts)):.2g} times as long as well"


def _readings(records: Sequence[Record], name: str) -> list[float]:
    readings = [(each.measured.validity.get("readings") or {}).get(name) for each in records]
    return [float(each) for each in readings if isinstance(each, int | float) and each > 0]
