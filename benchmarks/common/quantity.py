"""What a number is here: measured, or unmeasured for a reason; and how it is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class Unmeasured:
    """Stands where a metric could not be measured; becomes null, with this reason."""

    reason: str


IMPOSSIBLE = 1e100  # no second, byte or count is as many; files that hold it are damaged

NO_GPU = Unmeasured("no GPU was watched")
# Why a benchmark has no such figure, as it was asked for: nothing failed, and nothing is missing.
ONE_TOKEN = Unmeasured("a single new token has no decode step")
NOT_WHOLE = Unmeasured("the old script timed whole generations, not single tokens")
NOT_COMPILED = Unmeasured("only the generation mode compiled compiles the decode step")
BY_NATURE = frozenset(each.reason for each in (ONE_TOKEN, NOT_WHOLE, NOT_COMPILED))

Metric = float | int | Unmeasured
Reading = Metric | str


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile, interpolated linearly between the nearest ranks (Hyndman-Fan 7)."""
    if not values or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values, and a percent between 0 and 100")
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def as_stored(
    metrics: Mapping[str, Metric],
) -> tuple[dict[str, float | int | None], dict[str, str]]:
    """Return the metrics as JSON holds them, null if unmeasured, and the reasons by name.

    What came out as NaN or infinite was not measured either.
    """
    known = {name: _measured(value) for name, value in metrics.items()}
    values = {
        name: None if isinstance(value, Unmeasured) else value for name, value in known.items()
    }
    reasons = {name: value.reason for name, value in known.items() if isinstance(value, Unmeasured)}
    return values, reasons


def _measured(value: Metric) -> Metric:
    if isinstance(value, float) and not isfinite(value):
        return Unmeasured(f"it came out as {value}, which is no number")
    return value
