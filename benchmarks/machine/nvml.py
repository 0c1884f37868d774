"""Readings of one GPU through NVML, or of several as if they were one."""

from __future__ import annotations

import os
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Metric, Reading, Unmeasured
from benchmarks.machine.readings import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import torch

# Why the clocks are where they are, as bits (NVML API reference, "nvmlClocksEventReasons").
CLOCK_REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
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


def find(device: torch.device, own_pids: Collection[int] | None = None) -> Gpu | Unmeasured:
    """Return the GPU that torch calls `device`, or the reason why it can't be watched.

    Found by its UUID: NVML numbers all GPUs, CUDA only the visible ones. `own_pids` are the
    processes that are no strangers there; without, this one.
    """
    import torch

    if device.type != "cuda":
        return NO_GPU
    try:
        import pynvml
    except ImportError as error:
        return Unmeasured(f"can't import {error.name}; install nvidia-ml-py")
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return Gpu.find(pynvml, uuid, own_pids)


def find_all(
    devices: Sequence[torch.device], own_pids: Collection[int] | None = None
) -> Gpu | Unmeasured:
    """Return the GPUs that torch calls `devices`, to be watched, or why one of them can't be."""
    found = [find(device, own_pids) for device in devices]
    cards = [each for each in found if isinstance(each, Gpu)]
    if len(cards) < len(found):
        return next(each for each in found if isinstance(each, Unmeasured))
    return cards[0] if len(cards) == 1 else Cards(cards) if cards else NO_GPU


def first_name() -> str | None:
    """Return the name of the machine's first GPU, without torch; None if NVML shows none."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)))
    except Exception:  # pynvml makes a class per error code at run time
        return None


class Gpu:
    """One GPU as NVML shows it. `nvml` is the module pynvml; `handle` is NVML's for the GPU."""

    def __init__(self, nvml: Any, handle: Any, own_pids: Collection[int] | None = None) -> None:
        """Take readings of this handle; `own_pids` (or this process) are no strangers there."""
        self._nvml = nvml
        self._handle = handle
        self._own = frozenset(own_pids or [os.getpid()])

    @classmethod
    def find(
        cls, nvml: Any, uuid: str, own_pids: Collection[int] | None = None
    ) -> Gpu | Unmeasured:
        """Return the GPU with this UUID (`GPU-...`), or the reason why NVML can't be used."""
        try:
            nvml.nvmlInit()
            return cls(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid), own_pids)
        except Exception as error:  # pynvml makes a class per error code at run time
            return Unmeasured(f"NVML can't be used ({error})")

    def driver(self) -> Reading:
        """Return the version of the driver."""
        try:
            return str(self._nvml.nvmlSystemGetDriverVersion())
        except Exception as error:  # as above
            return Unmeasured(f"nvmlSystemGetDriverVersion failed ({error})")

    def memory_bandwidth_bytes_per_s(self) -> Metric:
        """Return the theoretical peak bandwidth of the memory.

        2 transfers per clock x memory clock x bus width / 8, as NVIDIA's CUDA C++ Best Practices
        Guide defines it ("Theoretical Bandwidth Calculation").
        """
        clock_hz = self._get("nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_MEM", then=_mega)
        width_bits = self._get("nvmlDeviceGetMemoryBusWidth")
        for value in (clock_hz, width_bits):
            if isinstance(value, Unmeasured):
                return value
        return float(2 * clock_hz * width_bits / 8)

    def facts(self) -> dict[str, Reading]:
        """Return what doesn't change: name, limits in watts, modes as on or off, bytes."""
        return {
            "gpu_name": self._get("nvmlDeviceGetName"),
            "power_limit_watts": self._get("nvmlDeviceGetEnforcedPowerLimit", then=_thousandth),
            "persistence_mode": self._get("nvmlDeviceGetPersistenceMode", then=_on_off),
            "mig_mode": self._get("nvmlDeviceGetMigMode", then=lambda modes: _on_off(modes[0])),
            "ecc_mode": self._get("nvmlDeviceGetEccMode", then=lambda modes: _on_off(modes[0])),
            "gpu_memory_bytes": self._get("nvmlDeviceGetMemoryInfo", then=lambda info: info.total),
            "slowdown_celsius": self._get(
                "nvmlDeviceGetTemperatureThreshold", "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"
            ),
        }

    def counters(self) -> dict[str, Reading]:
        """Return joules and memory errors since the driver was loaded."""
        return {
            "total_energy_joules": self._get(
                "nvmlDeviceGetTotalEnergyConsumption", then=_thousandth
            ),
            **{
                f"total_ecc_{kind}_errors": self._get(
                    "nvmlDeviceGetTotalEccErrors",
                    f"NVML_MEMORY_ERROR_TYPE_{kind.upper()}",
                    "NVML_VOLATILE_ECC",
                )
                for kind in ("corrected", "uncorrected")
            },
        }

    def sample(self, *, processes: bool = True) -> dict[str, Reading]:
        """Return the readings of this moment; listing the processes may be left out."""
        sample = {
            "sm_clock_hz": self._get("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM", then=_mega),
            "memory_clock_hz": self._get("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM", then=_mega),
            "temperature_celsius": self._get("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
            "power_watts": self._get("nvmlDeviceGetPowerUsage", then=_thousandth),
            "clock_reasons": self._clock_reasons(),
            "utilization": self._get(
                "nvmlDeviceGetUtilizationRates", then=lambda rates: rates.gpu / 100
            ),
            "memory_used_bytes": self._get("nvmlDeviceGetMemoryInfo", then=lambda info: info.used),
        }
        return {**sample, **self.others()} if processes else sample

    def others(self) -> dict[str, Reading]:
        """Return how many other processes compute on the GPU, and their ids.

        This process uses the GPU, so it has to be in the list: if it isn't, the container
        hides processes or numbers them otherwise, and an empty list says nothing. As many
        strangers as there are own processes may then be these; of more, the rest are others.
        """
        pids = self._get(
            "nvmlDeviceGetComputeRunningProcesses",
            then=lambda found: sorted({process.pid for process in found}),
        )
        if isinstance(pids, Unmeasured):
            return {"other_gpu_processes": pids, "other_gpu_pids": pids}
        others = [pid for pid in pids if pid not in self._own]
        hidden = len(others) == len(pids)
        if hidden and len(others) <= len(self._own):
            reason = Unmeasured("NVML doesn't list this process itself, so it may hide others")
            return {"other_gpu_processes": reason, "other_gpu_pids": reason}
        return {
            "other_gpu_processes": len(others) - hidden * len(self._own),
            "other_gpu_pids": ", ".join(map(str, others)),
        }

    def _clock_reasons(self) -> Reading:
        """Return the names of the reasons, with commas between; bits without one as numbers.

        Older drivers know the same question under its older name.
        """
        bits = self._get("nvmlDeviceGetCurrentClocksEventReasons")
        if isinstance(bits, Unmeasured):
            bits = self._get("nvmlDeviceGetCurrentClocksThrottleReasons")
        if isinstance(bits, Unmeasured):
            return bits
        on = [1 << n for n in range(bits.bit_length()) if bits >> n & 1]
        return ",".join(CLOCK_REASONS.get(bit, hex(bit)) for bit in on)

    def _get(
        self, function: str, *constants: str, then: Callable[[Any], Any] = lambda value: value
    ) -> Any:
        """Call a function of NVML with the GPU's handle and constants given by name."""
        try:
            arguments = [getattr(self._nvml, constant) for constant in constants]
            return then(getattr(self._nvml, function)(self._handle, *arguments))
        except Exception as error:  # pynvml makes a class per error code at run time
            return Unmeasured(f"{function} failed ({error})")


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


def _on_off(value: int) -> str:
    return "on" if value else "off"


def _thousandth(value: int) -> float:
    return value / 1000


def _mega(value: int) -> float:
    return value * 1e6


def _together(found: Sequence[Mapping[str, Reading]]) -> dict[str, Reading]:
    """Return one reading for each name; words that differ, as names and modes, are all named."""
    words = lambda *each: ", ".join(dict.fromkeys(each))  # noqa: E731
    return {
        name: combine(HOW.get(name, words), *(each[name] for each in found)) for name in found[0]
    }


def _union(lists: Sequence[str], mark: str) -> str:
    return mark.join(dict.fromkeys(name for each in lists for name in each.split(mark) if name))
