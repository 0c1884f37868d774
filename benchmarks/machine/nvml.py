"""Readings of the GPU, through NVML, and a thread that takes them during the timed rounds."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, Metric, Reading, Unmeasured
from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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
STOPPED_WITHIN_S = 10  # a sample takes microseconds, but the machine may stand still meanwhile
INTERVAL_S = 0.1  # on an H100 a sample takes 25 microseconds, so sampling costs 0.03 %
PROCESSES_EVERY = 10  # samples; listing processes, 34 microseconds, is the slowest of NVML's calls
MOST_SAMPLES = 36_000  # an hour of them; of more, the newest stay


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


class Sampler:
    """Takes a sample every `interval_s` in a thread of its own, and never raises.

    `read(processes=...)` returns a sample: `Gpu.sample`.
    """

    def __init__(
        self, read: Callable[..., Mapping[str, Reading]], interval_s: float = INTERVAL_S
    ) -> None:
        """Prepare; nothing is read before `start`."""
        self._read = read
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self.samples: deque[Mapping[str, Reading]] = deque(maxlen=MOST_SAMPLES)
        self.failure: Unmeasured | None = None

    def start(self) -> None:
        """Begin to sample, anew if it was stopped."""
        self._stopping.clear()
        self.samples.clear()
        self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system gives no more threads
            self.failure = Unmeasured(f"the sampler didn't start ({error})")

    def stop(self) -> None:
        """End the sampling, and wait for the sample that is being taken."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOPPED_WITHIN_S)
            if self._thread.is_alive():
                self.failure = Unmeasured("NVML hung while it was asked for a sample")

    def _run(self) -> None:
        taken = 0
        while not self._stopping.wait(self._interval_s):
            try:
                sample = self._read(processes=taken % PROCESSES_EVERY == 0)
                self.samples.append({"at_s": clock.read(), **sample})
            except Exception as error:  # whatever it is, it must not reach the benchmark
                self.failure = Unmeasured(f"a sample failed ({type(error).__name__}: {error})")
            taken += 1


def _on_off(value: int) -> str:
    return "on" if value else "off"


def _thousandth(value: int) -> float:
    return value / 1000


def _mega(value: int) -> float:
    return value * 1e6
