"""Whether the machine could be trusted while rounds were timed. Pure: readings in, findings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

from benchmarks.common.quantity import Reading, as_stored
from benchmarks.machine.bounds import ABOUT, Bounds, Finding
from benchmarks.machine.readings import Observations, readings_of


@dataclass(frozen=True)
class Validity:
    """What was wrong with the machine, everything that was read, and what wasn't checked."""

    findings: tuple[Finding, ...]
    readings: Mapping[str, Reading]
    lifted: tuple[str, ...] = ()  # bounds that the user took away
    widened: Mapping[str, float] = field(default_factory=dict)  # and those that the user raised

    @property
    def valid(self) -> bool:
        """Whether the rounds count."""
        return not self.findings

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line for each finding, with its bound and the next step."""
        return tuple(map(_reason, self.findings))

    def as_record(self) -> dict[str, Any]:
        """Return it as it is stored: null if unmeasured, and the reasons for that by name."""
        values, unmeasured = as_stored(self.readings)  # type: ignore[arg-type]
        return {
            "valid": self.valid,
            "reasons": list(self.reasons),
            "findings": [each.as_record() for each in self.findings],
            "bounds_lifted": list(self.lifted),
            "bounds_widened": dict(self.widened),
            "readings": values,
            "unmeasured": unmeasured,
        }


def judge(seen: Observations, bounds: Bounds | None = None) -> Validity:
    """Return whether the rounds count: no reading that was measured exceeds its bound."""
    limits: dict[str, float] = asdict(bounds or Bounds())
    readings = readings_of(seen)
    details = {
        "throttled_samples_share": readings["throttle_reasons"],
        "other_gpu_processes": readings["other_gpu_pids"],
    }
    findings = tuple(
        Finding(name, value, bound, str(details.get(name, "")))
        for name, bound in limits.items()
        if isinstance(value := readings[name], (int, float)) and value > bound
    )
    usual: dict[str, float] = asdict(Bounds())
    return Validity(
        findings,
        readings,
        lifted=tuple(name for name, bound in limits.items() if bound == inf),
        widened={name: bound for name, bound in limits.items() if usual[name] < bound < inf},
    )


def _reason(finding: Finding) -> str:
    about = ABOUT[finding.reading]
    detail = f" ({finding.detail})" if finding.detail else ""
    return (
        f"{about['what']}: {finding.value:.3g}{detail}, bound {finding.bound:g}; "
        f"{about['next_step']}"
    )
