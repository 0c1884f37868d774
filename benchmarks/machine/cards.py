"""Several GPUs that one model, or several copies of it, work on: watched as if they were one."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Metric, Reading, Unmeasured
from benchmarks.machine import nvml
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.readings import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import torch

# How readings of several GPUs become one: what is shared is added up, and of what can go wrong the
# worst counts. A clock that falls on one of them is a fall of the lowest.
HOW: Mapping[str, Callable[..., Any]] = {
    "power_limit_watts": lambda *each: sum(each),
    "gpu_memory_bytes": lambda *each: sum(each),
    "slowdown_celsius": min,
    "sm_clock_hz": min,
    "memory_clock_hz": min,
    "temperature_celsius": max,
    "power_watts": lambda *each: sum(each),
    "clock_reasons": lambda *each: _union(each, ","),
    "utilization": lambda *each: fmean(each),
    "memory_used_bytes": lambda *each: sum(each),
    "total_energy_joules": lambda *each: sum(each),
    "total_ecc_corrected_errors": lambda *each: sum(each),
    "total_ecc_uncorrected_errors": lambda *each: sum(each),
}


def find(
    devices: Sequence[torch.device], own_pids: Collection[int] | None = None
) -> Gpu | Unmeasured:
    """Return the GPUs that torch calls `devices`, to be watched, or why one of them can't be."""
    found = [nvml.find(device, own_pids) for device in devices]
    cards = [each for each in found if isinstance(each, Gpu)]
    if len(cards) < len(found):
        return next(each for each in found if isinstance(each, Unmeasured))
    return cards[0] if len(cards) == 1 else Cards(cards) if cards else NO_GPU


class Cards(Gpu):
    """Several GPUs, with readings as of one."""

    def __init__(self, cards: Sequence[Gpu]) -> None:
        """Take the readings of all of them."""
        self._cards = tuple(cards)

    def driver(self) -> Reading:
        """Return the version of the driver, which is the same for all."""
        return self._cards[0].driver()

    def memory_bandwidth_bytes_per_s(self) -> Metric:
        """Return that of the slowest."""
        found: Metric = combine(min, *(each.memory_bandwidth_bytes_per_s() for each in self._cards))  # type: ignore[assignment]
        return found

    def facts(self) -> dict[str, Reading]:
        """Return what doesn't change, of all together."""
        return _together([each.facts() for each in self._cards])

    def counters(self) -> dict[str, Reading]:
        """Return joules and memory errors of all together."""
        return _together([each.counters() for each in self._cards])

    def sample(self, *, processes: bool = True) -> dict[str, Reading]:
        """Return the readings of this moment."""
        sample = _together([each.sample(processes=False) for each in self._cards])
        return {**sample, **self.others()} if processes else sample

    def others(self) -> dict[str, Reading]:
        """Return how many other processes compute on one of the GPUs, at most, and their ids."""
        found = [each.others() for each in self._cards]
        counts = [each["other_gpu_processes"] for each in found]
        hidden = [each for each in counts if isinstance(each, Unmeasured)]
        most = max((each for each in counts if isinstance(each, int)), default=0)
        if hidden and not most:  # on a GPU that can't be seen there may be others
            return {"other_gpu_processes": hidden[0], "other_gpu_pids": hidden[0]}
        ids = [each["other_gpu_pids"] for each in found]
        known = [each for each in ids if isinstance(each, str)]
        return {"other_gpu_processes": most, "other_gpu_pids": _union(known, ", ")}


def _together(found: Sequence[Mapping[str, Reading]]) -> dict[str, Reading]:
    """Return one reading for each name; words that differ, as names and modes, are all named."""
    words = lambda *each: ", ".join(dict.fromkeys(each))  # noqa: E731
    return {
        name: combine(HOW.get(name, words), *(each[name] for each in found)) for name in found[0]
    }


def _union(lists: Sequence[str], mark: str) -> str:
    return mark.join(dict.fromkeys(name for each in lists for name in each.split(mark) if name))
