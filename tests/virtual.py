"""A machine of the tests' own: a clock that work moves on, and what the host says meanwhile.

The model, the processes, signals and files are real; only the hands of the clock and the readings
of the host are made. So a session is as fast, as steady and as undisturbed as its test says.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import cpuinfo
import pytest

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import clock, control_work, host
from benchmarks.model import loading, synthetic, synthetic_weights, target
from tests import forking

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK_S = 1e-7  # each look at the clock moves it: a loop that waits for it ends
PATIENCE_S = 600  # of the real clock, with a process that isn't known to hang
NOT_READ = Unmeasured("the tests' machine doesn't have it")
ACTIVE: list[Machine] = []  # the one that is installed, for code that isn't given it
ONE_LAYER = "synthetic:one-layer"
# What synthetic:tiny has four of, and half as wide: sessions spend their time beside it.
NARROW = {
    "num_hidden_layers": 1,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_attention_heads": 4,
}
AGREEMENT_TOKENS = 64  # of 512, whose logits took a sixth of each session


@dataclass
class Machine:
    """How long work takes on it, and what else it does.

    A forward pass takes `step_s`, times `prefill` for a prompt, times the luck of its process,
    which varies by `luck` (a standard deviation of logarithms), and by `noise` each. `others` is
    the share of this process's core that other programs take, which makes everything slower.
    """

    step_s: float = 0.01
    prefill: float = 4.0
    noise: float = 0.002
    luck: float = 0.002
    others: float = 0.0
    slowdown: float = 1.0  # of the machine itself, the control included
    hung: bool = False  # whoever is waited for
    seed: int = 1
    now_s: float = 1000.0
    worked_s: float = 0.0  # of CPU time
    waited_s: float = 0.0  # for the core
    _lineage: tuple[int, ...] | None = None
    _random: Random = field(default_factory=Random)
    _luck: float = 0.0

    def read(self) -> float:
        """Return the seconds of this machine's clock."""
        self.now_s += TICK_S
        self.worked_s += TICK_S
        return self.now_s

    def wait(self, descriptor: int, seconds: float) -> bool:
        """Wait as `clock.wait` does. Time passes only if `hung`: else an answer comes in time.

        If there is any: nothing comes in no time.
        """
        if seconds > 0 and self._wait(descriptor, 0 if self.hung else PATIENCE_S):
            return True
        self.now_s += seconds
        return False

    def spend(self, seconds: float) -> None:
        """Work for so long, on a core that others may want as well."""
        seconds *= self.slowdown
        self.worked_s += seconds
        waited_s = seconds * self.others / (1 - self.others)
        self.waited_s += waited_s
        self.now_s += seconds + waited_s

    def rest(self, seconds: float) -> None:
        """Let time pass, without work and without anybody who waits for the core."""
        self.now_s += seconds

    def forward(self, tokens: int) -> None:
        """Spend what a forward pass over that many tokens of a row takes."""
        if self._lineage != forking.LINEAGE:  # a new process has luck and noise of its own
            self._lineage = forking.LINEAGE
            self._random = Random(f"{self.seed} {self._lineage}")
            self.new_luck()
        varied = self._gauss(self.noise) + self._luck
        self.spend(self.step_s * (self.prefill if tokens > 1 else 1) * (1 + varied))

    def _gauss(self, spread: float) -> float:
        """Return a random number by the same calls each time: those of a pass are counted."""
        self._random.gauss_next = None  # Python's would be had for nothing every other time
        return self._random.gauss(0, spread)

    def new_luck(self) -> None:
        """Begin what counts as another process: a session of a test runs in the same one."""
        self._luck = self._gauss(self.luck)

    def snapshot(self, *_: Any) -> dict[str, Any]:
        """Return the counters of this moment, as `host.snapshot` does."""
        return {
            "wall_s": self.now_s,
            "cpu_s": self.worked_s,
            "involuntary_switches": 2 * self.worked_s + 250 * self.waited_s,
            "voluntary_switches": 0,
            "core_wait_s": self.waited_s,
            "machine_busy_s": self.worked_s + self.waited_s,
            "machine_steal_s": 0.0,
            "load_average": 1 + self.others,
            "throttled_s": NOT_READ,
            "memory_stall_s": 0.0,
            "swapped_pages": 0,
        }

    def facts(self, threads: int, *_: Any) -> dict[str, Any]:
        """Return two cores, one of which is used, as `host.facts` does."""
        return {
            "threads": threads,
            "machine_cores": 2,
            "affinity_cores": 2,
            "quota_cores": NOT_READ,
            "available_cores": 2,
            "governor": NOT_READ,
        }

    def control(self, *_: Any, **__: Any) -> dict[str, float]:
        """Return what the suite's own work takes, as `control_work.measure` does."""
        seconds = 0.01 * self.slowdown / (1 - self.others)
        return {"device_s": seconds, "host_s": seconds}

    def load(self, *arguments: Any, **more: Any) -> Any:
        """Load a model whose forward passes move the clock on, as `loading.load` does."""
        engine = self._load(*arguments, **more)
        self.follow(engine)
        self.spend(1.0)
        self.new_luck()
        return engine

    def follow(self, engine: Any) -> Any:
        """Let a model's passes move the clock on, until what is returned here is removed."""
        return engine.model.register_forward_hook(self._after, with_kwargs=True)

    def _after(self, _model: Any, _args: Any, given: dict[str, Any], _output: Any) -> None:
        ids = given.get("input_ids")
        self.forward(1 if ids is None else ids.shape[1])

    def __post_init__(self) -> None:
        self._load = loading.load
        self._wait = clock.wait


def cpu() -> dict[str, Any]:
    """Return what `cpuinfo.get_cpu_info` does, which sleeps for a second to find a clock rate."""
    return {"brand_raw": "the tests' own CPU", "arch": "X86_64", "bits": 64, "count": 2}


@contextmanager
def one_layer() -> Iterator[None]:
    """Let there be a model that calls all that `synthetic:tiny` does, with as little to compute."""
    name = ONE_LAYER.removeprefix("synthetic:")
    with pytest.MonkeyPatch.context() as patch:
        config = synthetic_weights.CONFIGS["tiny"] | NARROW
        patch.setitem(synthetic_weights.CONFIGS, name, config)
        patch.setitem(synthetic.SHARD_BYTES, name, synthetic.SHARD_BYTES["tiny"])
        yield


@contextmanager
def installed(machine: Machine) -> Iterator[Machine]:
    """Let everything inside run on this machine, in processes that are forked as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "read", machine.read)
        patch.setattr(clock, "wait", machine.wait)
        patch.setattr(host, "snapshot", machine.snapshot)
        patch.setattr(host, "facts", machine.facts)
        patch.setattr(control_work, "measure", machine.control)
        patch.setattr(loading, "load", machine.load)
        patch.setattr(target, "AGREEMENT_TOKENS", AGREEMENT_TOKENS)
        patch.setattr(cpuinfo, "get_cpu_info", cpu)
        ACTIVE.append(machine)
        with forking.instead_of_new_processes(), one_layer():
            yield machine
        ACTIVE.remove(machine)
