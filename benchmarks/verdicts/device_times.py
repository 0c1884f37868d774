"""Verdicts on device time: statistics as for wall times, on its own small noise. Pure.

It follows the clock of the GPU, and one card is not another: both are looked at before a change is
said to be the code's.
"""

from __future__ import annotations

from dataclasses import replace
from math import log
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.sessions.measures import DEVICE_PHASES, DEVICE_TIMES, HOST_COPY
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.verdicts import exact, times
from benchmarks.verdicts.estimate import paired, unpaired
from benchmarks.verdicts.times import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.verdicts.records import ComparableRecords, Record

OTHER_CARD = "measured on another card of the same kind"
# The first microseconds of a copy are the machine's. From an H200 to its host a copy took 1.4 us in
# one, and 2.3 us in another: int8-decomp makes 450 in a decode step, which took 2.4 % longer there.
LATENCY_S = 3e-6
NO_LATENCY = f"the first {1e6 * LATENCY_S:g} µs of each copy between card and host left out"


# Sessions in one go are more alike than those of some minutes later, however many there are: on
# H200s such groups differed by 0.10 % in a decode step and 0.19 % in a prefill (root mean squares
# of 41 pairs, some of which share a side, so the degrees of freedom are fewer).
LEAST = {"decode": (0.001, 17), "prefill": (0.0019, 17)}


class Compared(NamedTuple):
    """The records of both sides whose device time is compared, and a note on those that aren't.

    Without records of one side the note is the reason. `elsewhere`: the sides have other cards.
    """

    base: list[Record]
    head: list[Record]
    note: str
    elsewhere: bool = False


def timings(records: ComparableRecords) -> tuple[list[Timing], list[Verdict]]:
    """Return the device times of a benchmark, estimated, and verdicts on those that can't be.

    Nothing of either if no side has any, as on a machine without a GPU.
    """
    if missing := _missing(records):
        return [], missing
    if not any(map(_device, records.head)):
        return [], []
    compared = _compared(records)
    if not (compared.base and compared.head):
        return [], _untrusted(records, compared.base, compared.note)
    found = []
    for phase, metric in DEVICE_TIMES.items():
        *sides, shortened = _spent(compared, phase)
        then, now = ([each["repeats_s"] for each in side] for side in sides)
        note = f"{compared.note}; {NO_LATENCY}" if shortened else compared.note
        if records.paired:
            pairs = [list(zip(a, b, strict=False)) for a, b in zip(then, now, strict=True)]
            estimate = paired(pairs)
        else:
            base_s, head_s = ([median(each) for each in side] for side in (then, now))
            estimate = unpaired(base_s, head_s, least=LEAST[phase])
        elsewhere = compared.elsewhere
        limits = times.OTHER_CARD if elsewhere else times.limits(metric)
        found.append(Timing(records.benchmark, metric, estimate, limits, note, "device", elsewhere))
    return found, []


def explaining(
    metric: str, records: ComparableRecords
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return what both sides stored of a metric's phase, as it was judged; None if none was."""
    compared = _compared(records)
    if not (compared.base and compared.head):
        return None, None
    base, head = (
        [exact.with_evidence(exact.newest_code(side))] for side in (compared.base, compared.head)
    )
    (then,), (now,), _ = _spent(compared._replace(base=base, head=head), DEVICE_PHASES[metric])
    return then, now


def _spent(
    compared: Compared, phase: str
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], bool]:
    """Return what both sides stored of a phase, and whether that is without latencies.

    It is against another card, if all records have their kernels and little of them is latency.
    """
    base, head = ([_device(each)[phase] for each in side] for side in compared[:2])
    if not (compared.elsewhere and all(map(_can_be_shortened, (*base, *head)))):
        return base, head, False
    return [without_latency(each) for each in base], [without_latency(each) for each in head], True


def without_latency(spent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a phase as if copies between card and host had none.

    What they take beyond LATENCY_S each, on average, stays; counters have their number.
    """
    kernels = spent["kernels"]
    top = [{**each, "device_s": each["device_s"] - _latency_s(each)} for each in kernels["top"]]
    repeats_s = [each - _step_latency_s(spent) for each in spent["repeats_s"]]
    return {**spent, "kernels": {**kernels, "top": top}, "repeats_s": repeats_s}


def _can_be_shortened(spent: Mapping[str, Any]) -> bool:
    known = bool(spent["kernels"]["top"])  # baselines that were thinned once have none
    return known and _step_latency_s(spent) < min(spent["repeats_s"]) / 2


def _step_latency_s(spent: Mapping[str, Any]) -> float:
    return sum(map(_latency_s, spent["kernels"]["top"])) / float(spent["steps"])


def _latency_s(kernel: Mapping[str, Any]) -> float:
    if not HOST_COPY.match(kernel["name"]):
        return 0.0
    return float(min(kernel["device_s"], LATENCY_S * kernel["calls"]))


def at_their_clocks(verdict: Verdict, records: ComparableRecords | None) -> Verdict:
    """Return the verdict, on device time INCONCLUSIVE if both sides' clocks explain the change.

    At most, device time is in proportion to the period of the SM clock. `records` are those of the
    benchmark.
    """
    moved = verdict.outcome in (Outcome.REGRESSED, Outcome.IMPROVED)
    if verdict.kind != "device" or not moved or records is None or verdict.change is None:
        return verdict
    compared = _compared(records)
    base_hz, head_hz = _clock_hz(compared.base), _clock_hz(compared.head)
    if base_hz is None or head_hz is None:
        return verdict
    explained, shift = log(base_hz / head_hz), log(1 + verdict.change)
    if explained * shift <= 0 or abs(explained) < abs(shift) - times.DEVICE.floor:
        return verdict
    says = (
        f"the SM clock differs as well: {base_hz / 1e6:,.0f} -> {head_hz / 1e6:,.0f} MHz, which "
        "explains it; measure again at one clock"
    )
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, detail=f"{verdict.detail}; {says}")


def _missing(records: ComparableRecords) -> list[Verdict]:
    """Return a verdict for each metric that one side lacks in all of its records, or both do."""
    base, head = ([each for each in s if _device(each)] for s in (records.base, records.head))
    why = records.head[-1].measured.why_null("decode_device_s")
    if head:
        says = "new: this session has it, the baseline has not; promote a session that has"
    elif base:
        says = f"gone: the baseline has it, this session has not: {why or 'it was interrupted'}"
    else:
        says = f"neither side has it: {why}"
    if (base and head) or not (base or head or _should_have(records.head[-1])):
        return []
    cause = Cause.NEW if head else Cause.GONE
    return [
        replace(_verdict(records, each, Outcome.MISSING, says), cause=cause)
        for each in DEVICE_TIMES.values()
    ]


def _should_have(record: Record) -> bool:
    """Whether its work was gathered on a GPU: then only a failure keeps device time away."""
    known = "decode_device_s" in record.measured.metrics and record.measured.has_counters
    return known and record.session.hardware.get("device") == "cuda"


def _untrusted(records: ComparableRecords, base: Sequence[Record], why: str) -> list[Verdict]:
    """Return the verdicts if no record of a side can be trusted."""
    if base or records.paired or any(map(_doubt, records.head)):
        return [_verdict(records, metric, Outcome.INVALID, why) for metric in DEVICE_TIMES.values()]
    says = f"no baseline could be trusted ({why}); demote it, and promote another"
    return [_verdict(records, metric, Outcome.MISSING, says) for metric in DEVICE_TIMES.values()]


def _compared(records: ComparableRecords) -> Compared:
    """Return what is compared: what can be trusted, and of the past the same card's, if any."""
    base, head, doubts = _trusted(records)
    if not (base and head):
        return Compared(base, head, doubts[0])
    notes = [f"{len(doubts)} left out ({doubts[0].partition(';')[0]})"] if doubts else []
    same = base if records.paired else [e for e in base if _card(e) == _card(head[-1])]
    if not same:
        notes.append(OTHER_CARD)
    elif len(same) < len(base):
        notes.append(f"{len(base) - len(same)} of another card left out")
    return Compared(same or base, head, "; ".join(notes), elsewhere=not same)


def _trusted(records: ComparableRecords) -> tuple[list[Record], list[Record], list[str]]:
    """Return the records whose device time can be trusted, and why others can't, head's first."""
    sides = [[_doubt(each) for each in side] for side in (records.base, records.head)]
    if records.paired:  # both of a restart, or neither
        both = [" ".join({a, b} - {""}) for a, b in zip(*sides, strict=True)]
        sides = [both, both]
    base, head = (
        [each for each, doubt in zip(side, doubts, strict=True) if not doubt]
        for side, doubts in zip((records.base, records.head), sides, strict=True)
    )
    shown = sides[:1] if records.paired else sides[::-1]
    return base, head, [doubt for side in shown for doubt in side if doubt]


def _doubt(record: Record) -> str:
    """Return why the device time of a record can't be trusted; an empty text if it can."""
    device = _device(record)
    if not device:
        return "it was not measured"
    validity = device.get("validity") or {}
    if validity.get("valid") is not False:
        return ""
    return str(next(iter(validity.get("reasons") or ["the GPU was not steady"])))


def _device(record: Record) -> Mapping[str, Any]:
    return record.measured.device_time


def _card(record: Record) -> Any:
    return record.session.hardware.get("card")


def _clock_hz(records: Sequence[Record]) -> float | None:
    known = [(_device(each).get("clocks") or {}).get("sm_clock_hz") for each in records]
    clocks = [float(each) for each in known if each]
    return median(clocks) if clocks else None


def _verdict(records: ComparableRecords, metric: str, outcome: Outcome, detail: str) -> Verdict:
    return Verdict(records.benchmark, metric, "device", outcome, detail=detail)
