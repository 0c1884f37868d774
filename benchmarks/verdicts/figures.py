"""What of a benchmark is judged, as one number for each metric: a session's place in a series."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.sessions.session import PHASES
from benchmarks.verdicts import device_times, exact, times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.sessions.session import Measured

    Figures = Mapping[str, Mapping[str, float]]

NOISY = ("device", "time")  # kinds; others are the same in every session of the same code


def of(measured: Measured) -> Figures:
    """Return each metric of a benchmark by its kind, without those that can't be trusted.

    Of all of them more is worse. A time is the median of its rounds or repeats.
    """
    wall = {} if measured.doubts else times.series(measured)
    return {
        "time": {metric: median(values) for metric, values in wall.items()},
        "device": _device(measured),
        "counter": {
            name: n for each in PHASES for name, n in exact.counters(each)(measured).items()
        },
        "memory": dict(exact.memory_of(short=measured.work_only)(measured)),
    }


def _device(measured: Measured) -> Mapping[str, float]:
    spent = measured.device_time
    if not spent or measured.device_validity.get("valid") is False:
        return {}
    return {
        metric: median(spent[phase]["repeats_s"])
        for phase, metric in device_times.METRICS.items()
        if spent[phase]["repeats_s"]
    }
