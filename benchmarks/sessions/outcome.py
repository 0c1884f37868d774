"""The words of a judgement: what a verdict says, and what lets a regression pass. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORK = frozenset({"counter", "device", "memory", "agreement"})  # kinds; the others are the wall's
TIMES = ("round_s", "ttft_s", "tpot_s", "cold_round_s")  # not every benchmark has each of them


class Outcome(StrEnum):
    """What came of comparing one metric of one benchmark."""

    REGRESSED = "REGRESSED"
    IMPROVED = "IMPROVED"
    NO_CHANGE = "NO CHANGE"
    INCONCLUSIVE = "INCONCLUSIVE"
    MISSING = "MISSING"
    NOT_COMPARABLE = "NOT COMPARABLE"
    INVALID = "INVALID"


class Cause(StrEnum):
    """What tells verdicts of one outcome apart, whatever their detail says."""

    NEW = "new"  # MISSING: no baseline has it
    GONE = "gone"  # MISSING: a baseline has it
    SKIPPED = "skipped"  # MISSING: by this session
    FAILED = "failed"  # MISSING: in this session
    LEFT_OUT = "left out"  # NO CHANGE: not all rounds or sessions count
    CREEP = "creep"  # REGRESSED: by a sum of steps, each of which passed
    ROUND_IS_OPEN = "round is open"  # NO CHANGE: sessions vary too much, and the round says so
    CHANCE = "chance"  # NO CHANGE: beyond its own interval, as one of many may be by chance


COMPARED = frozenset({Outcome.REGRESSED, Outcome.IMPROVED, Outcome.NO_CHANGE, Outcome.INCONCLUSIVE})


@dataclass(frozen=True)
class Verdict:
    """What is said of one metric of one benchmark, and why.

    `change` is head / base - 1, `low` and `high` its interval; `p` is adjusted for all times that
    were judged together. None if there is no such number.
    """

    benchmark: str  # fullname
    metric: str  # as it is stored: "round_s", "decode.kernel_launches"; "-" if none was compared
    kind: str  # counter, device, memory, agreement: work; time: wall; "-": nothing was compared
    outcome: Outcome
    base: float | None = None
    head: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detail: str = ""  # why, in one line, with the next step if there is one
    reasons: tuple[str, ...] = ()  # beside a regression: prefill or decode, counters, operators
    acknowledged: str | None = None  # the reason of the acknowledgement that lets it pass
    suspicious: bool = False  # beyond what the baselines vary, but not decided: a duet decides it
    cause: Cause | None = None
    limit: float | None = None  # the share in `detail`: a smaller change is none, or isn't seen
    steps: int | None = None  # of a decode, over which a counter was summed

    def as_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "outcome": self.outcome.value, "reasons": list(self.reasons)}


def from_record(record: Mapping[str, Any]) -> Verdict:
    """Return a verdict as it was before it was stored."""
    known = {name: record[name] for name in Verdict.__dataclass_fields__ if name in record}
    known["outcome"], known["reasons"] = Outcome(record["outcome"]), tuple(record["reasons"])
    known["cause"] = Cause(record["cause"]) if record.get("cause") else None
    return Verdict(**known)


def moved(change: float, low: float | None, high: float | None, digits: int = 1) -> str:
    """Return a change in percent, with its interval if there is one, as tables have both."""
    says = f"{100 * change:+.{digits}f} %"
    if low is None or high is None:
        return says
    return f"{says} [{100 * low:+.{digits}f}, {100 * high:+.{digits}f}]"


def host_and_device(verdicts: Sequence[Verdict]) -> str:
    """Return host and device of a benchmark's decode step in one sentence.

    Empty if neither moved, or nothing is known of the calls.
    """
    known = {each.metric: each for each in verdicts if each.change is not None}
    calls, device = known.get("decode.python_calls"), known.get("decode_device_s")
    if calls is None or not (calls.change or (device and device.outcome is not Outcome.NO_CHANGE)):
        return ""
    host = "as many Python calls a step"
    if calls.change:
        host = (
            f"{_share(calls.change)} {'more' if calls.change > 0 else 'fewer'} Python calls a step"
        )
    return f"host: {host}" + (f"; device: {_on_device(device)}" if device else "")


def _on_device(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.NO_CHANGE:
        if verdict.low is None or verdict.high is None:
            return "no change seen (too few for an interval)"
        return f"no change (±{_share(max(abs(verdict.low), abs(verdict.high)))})"
    longer = "longer" if (verdict.change or 0) > 0 else "shorter"
    return f"{_share(verdict.change or 0)} {longer} ({verdict.outcome.value})"


def _share(change: float) -> str:
    percent = 100 * abs(change)
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
