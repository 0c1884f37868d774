"""Reads which regressions are known and accepted: benchmarks/acknowledged.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import COMPARED, TIMES, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).parents[1] / "acknowledged.toml"
TABLE = "acknowledged"
EXPECTED = {
    "benchmark": 'a text, as in "*::test_throughput[int8-decomp-*]"',
    "metric": 'a text, as in "tpot_s"',
    "ceiling_percent": "a number above 0, as in 5.0",
    "reason": "a text that says why it is accepted",
    "expires": "a date without quotes, as in 2027-03-31",
}


def read(path: Path) -> tuple[Acknowledgement, ...]:
    """Return the acknowledgements of a file, in its order; none if there is no file.

    Raises InputError, in one line that names the entry and the key, for anything that isn't
    understood: a typing error must neither let a regression pass nor stop to do so unseen.
    """
    if not path.exists():
        return ()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got something else ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: can't read it ({error.strerror}); check the path") from error
    if unknown := sorted(content.keys() - {TABLE}):
        raise InputError(f"{path}: expected [[{TABLE}]], got {unknown[0]!r}; correct its name")
    entries = content.get(TABLE, [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{path}: expected [[{TABLE}]] with two brackets on each side")
    return tuple(_entry(each, f"{path}, entry {n}") for n, each in enumerate(entries, start=1))


def _entry(entry: dict[str, Any], where: str) -> Acknowledgement:
    if unknown := sorted(entry.keys() - EXPECTED.keys()):
        keys = ", ".join(EXPECTED)
        raise InputError(f"{where}: expected one of {keys}; got {unknown[0]!r}; correct its name")
    for key, expected in EXPECTED.items():
        if key not in entry:
            raise InputError(f"{where}: {key} is missing; add {expected}")
        if not _fits(key, entry[key]):
            raise InputError(f"{where}: {key}: expected {expected}; got {entry[key]!r}")
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
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and 0 < value < float("inf")
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value.strip()


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
        """Return a line if its metric seems to be mistyped: nothing that was judged has it.

        None if not all was compared: what is missing may have it.
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
