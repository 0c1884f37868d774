"""The words of a judgement: what a verdict says, and what lets a regression pass. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

TIMES = ("round_s", "ttft_s", "tpot_s", "cold_round_s")  # not every benchmark has each of them
GATES = ("screen", "strict")  # what a time beyond the interval of the past is: suspicious, or worse


class Outcome(StrEnum):
    """What came of comparing one metric of one benchmark."""

    REGRESSED = "REGRESSED"
    IMPROVED = "IMPROVED"
    NO_CHANGE = "NO CHANGE"
    INCONCLUSIVE = "INCONCLUSIVE"
    MISSING = "MISSING"
    NOT_COMPARABLE = "NOT COMPARABLE"
    INVALID = "INVALID"


COMPARED = frozenset({Outcome.REGRESSED, Outcome.IMPROVED, Outcome.NO_CHANGE, Outcome.INCONCLUSIVE})


@dataclass(frozen=True)
class Verdict:
    """What is said of one metric of one benchmark, and why.

    `change` is head / base - 1, `low` and `high` its interval; `p` is adjusted for all times that
    were judged together. None where there is no such number.
    """

    benchmark: str  # fullname
    metric: str  # as it is stored: "round_s", "decode.kernel_launches"; "-" where none was compared
    kind: str  # time, counter, memory, agreement; "-" where nothing was compared
    outcome: Outcome
    base: float | None = None
    head: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detail: str = ""  # why, in one line, with the next step where there is one
    reasons: tuple[str, ...] = ()  # beside a regression: prefill or decode, counters, operators
    acknowledged: str | None = None  # the reason of the acknowledgement that lets it pass
    suspicious: bool = False  # beyond what the baselines vary, but not decided: a duet decides it

    def as_record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "outcome": self.outcome.value, "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Acknowledgement:
    """A regression that is known and accepted, until it gets worse or the day has passed."""

    pattern: str  # of full names of benchmarks; * and ? are wild, brackets are brackets
    metric: str  # a pattern as well
    ceiling: float  # the largest change that passes, as a share: 0.05 is 5 %
    reason: str
    expires: date  # the last day on which it holds

    def covers(self, verdict: Verdict) -> bool:
        """Whether it speaks of this benchmark and metric."""
        return _matches(self.pattern, verdict.benchmark) and _matches(self.metric, verdict.metric)

    def note(self, verdicts: Sequence[Verdict]) -> str | None:
        """Return a line where its metric seems to be mistyped: nothing that was judged has it.

        None where not all was compared: what is missing may have it.
        """
        judged = [each for each in verdicts if _matches(self.pattern, each.benchmark)]
        metrics = sorted({each.metric for each in judged})
        unsure = any(each.outcome not in COMPARED for each in judged)
        if not metrics or unsure or any(_matches(self.metric, each) for each in (*metrics, *TIMES)):
            return None
        (near,) = get_close_matches(self.metric, metrics, n=1, cutoff=0)
        return (
            f"acknowledged: no {self.metric!r} was judged of {self.pattern}; "
            f"if its name is mistyped, the nearest is {near!r}"
        )


def _matches(pattern: str, name: str) -> bool:
    """Match with * and ?. fnmatch would take the brackets of a test id for a set of characters."""
    wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, name, re.DOTALL) is not None
