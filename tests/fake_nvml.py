"""A stand-in for the module pynvml: one healthy GPU, on which tests stage what goes wrong."""

import threading
from types import SimpleNamespace

from tests.waiting import PATIENCE_S

MIB = 2**20


class Steps:
    """What a sampler waits for between two samples, in place of time: until a test says so."""

    def __init__(self, sampler):
        self._changed = threading.Condition()
        self._due, self._waiting, self._ended = 0, False, False
        sampler._stopping = self

    def wait(self, _interval_s):
        """Wait until one more sample is due, and tell whether there is to be none."""
        with self._changed:
            self._waiting = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._due or self._ended)
            self._waiting = False
            self._due -= not self._ended
            return self._ended

    def clear(self):
        """Begin to sample."""
        self._ended = False

    def set(self):
        """End the sampling."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self, samples):
        """Let so many samples be taken, and return once they are."""
        with self._changed:
            self._due = samples
            self._changed.notify_all()
            taken = self._changed.wait_for(lambda: self._waiting and not self._due, PATIENCE_S)
        assert taken


class NVMLError(Exception):
    """As pynvml's: the text names the error."""


class FakeNvml:
    """Answers the calls that the suite makes; `fail` names functions that raise."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
    NVML_TEMPERATURE_GPU, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 0, 1
    NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 0, 1
    NVML_VOLATILE_ECC = 0

    def __init__(self, pids=(), fail=()):
        self.pids = list(pids)
        self.fail = dict.fromkeys(fail, "Insufficient Permissions")
        self.reasons = 0x1
        self.sm_clock = 1980
        self.temperature = 50
        self.energy = 1_000_000
        self.ecc = 0

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in self.fail:
            raise NVMLError(self.fail[name])
        return super().__getattribute__(name)

    def nvmlInit(self):  # noqa: D102, N802 (pynvml's names)
        return None

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: D102, N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: D102, N802
        return uuid

    def nvmlDeviceGetName(self, _):  # noqa: D102, N802
        return "Fake GPU"

    def nvmlDeviceGetEnforcedPowerLimit(self, _):  # noqa: D102, N802
        return 700_000

    def nvmlDeviceGetPersistenceMode(self, _):  # noqa: D102, N802
        return 1

    def nvmlDeviceGetMigMode(self, _):  # noqa: D102, N802
        return [0, 0]

    def nvmlDeviceGetEccMode(self, _):  # noqa: D102, N802
        return [1, 1]

    def nvmlDeviceGetMemoryInfo(self, _):  # noqa: D102, N802
        return SimpleNamespace(total=1000 * MIB, used=10 * MIB)

    def nvmlDeviceGetTemperatureThreshold(self, _, __):  # noqa: D102, N802
        return 90

    def nvmlDeviceGetTotalEnergyConsumption(self, _):  # noqa: D102, N802
        self.energy += 5000
        return self.energy

    def nvmlDeviceGetTotalEccErrors(self, _, kind, __):  # noqa: D102, N802
        return self.ecc if kind else 0

    def nvmlDeviceGetClockInfo(self, _, kind):  # noqa: D102, N802
        return self.sm_clock if kind == 1 else 2619

    def nvmlDeviceGetTemperature(self, _, __):  # noqa: D102, N802
        return self.temperature

    def nvmlDeviceGetPowerUsage(self, _):  # noqa: D102, N802
        return 300_000

    def nvmlDeviceGetCurrentClocksEventReasons(self, _):  # noqa: D102, N802
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _):  # noqa: D102, N802
        return self.reasons

    def nvmlDeviceGetUtilizationRates(self, _):  # noqa: D102, N802
        return SimpleNamespace(gpu=80, memory=40)

    def nvmlDeviceGetComputeRunningProcesses(self, _):  # noqa: D102, N802
        return [SimpleNamespace(pid=pid) for pid in self.pids]
