"""Reads which regressions are known and accepted: benchmarks/acknowledged.toml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.verdicts import entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.outcome import Verdict

FILE = Path(__file__).parents[1] / "acknowledged.toml"
TABLE = "acknowledged"
EXPECTED = {
    **entries.PATTERNS,
    "ceiling_percent": "a number above 0, as in 5.0",
    "reason": "a text that says why it is accepted",
    "expires": "a date without quotes, as in 2027-03-31",
}


def read(path: Path) -> tuple[Acknowledgement, ...]:
    """Return the acknowledgements of a file, in its order; none if there is no file.

    Raises InputError, in one line that names the entry and the key, for anything that isn't
    understood: a typing error must neither let a regression pass nor stop to do so unseen.
    """
    return tuple(_entry(where, entry) for where, entry in entries.read(path, TABLE))


def _entry(where: str, entry: dict[str, Any]) -> Acknowledgement:
    entries.check(where, entry, EXPECTED, _fits)
    return Acknowledgement(
        pattern=entry["benchmark"],
        metric=entry["metric"],
        ceiling=entry["ceiling_percent"] / 100,
        reason=entry["reason"].strip(),
        expires=entry["expires"],
    )


def _fits(key: str, value: Any) -> bool:
    if key == "expires":
        return isinstance(value, date) and not isinstance(value, datetime)
    if key == "ceiling_percent":
        return entries.is_number(value) and value > 0
    return entries.is_text(value)


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
        return entries.covers(self.pattern, self.metric, verdict.benchmark, verdict.metric)

    def note(self, verdicts: Sequence[Verdict]) -> str | None:
        """Return a line if its metric seems to be mistyped: nothing that was judged has it.

        None if not all was compared: what is missing may have it.
        """
        return entries.mistyped(TABLE, self.pattern, self.metric, verdicts)
