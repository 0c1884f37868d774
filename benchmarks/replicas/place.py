"""Where one of several processes stands among the others, and how it meets them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.machine import nvml
from benchmarks.machine.watch import Watch
from benchmarks.measure import memory
from benchmarks.measure.rounds import Attempt, round_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

RESULTS = "replicas.json"
READY = "ready for"  # how the line of a replica begins that waits for the others
LINE = re.compile(r"(?:replica|rank) (\d+): (.*)")


def log_name(number: int) -> str:
    """Return the name of the log of a replica, or of a rank."""
    return f"replica-{number}.log"


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and where, as torch's launcher tells it.

    Replicas have a model each, ranks share one.
    """

    number: int
    count: int
    local: int  # its number among those of its host
    host: int
    kind: str = "replica"

    @classmethod
    def of_launcher(cls, kind: str) -> Place:
        """Read it. Raises InputError if no launcher started this process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK")
        if missing := [name for name in names if name not in os.environ]:
            raise InputError(
                f"expected {', '.join(missing)} from torch's launcher; start it by "
                "python -m torch.distributed.run, or use pytest benchmarks with --replicas or "
                "--device-map tensor"
            )
        number, count, local, host = (int(os.environ[name]) for name in names)
        return cls(number, count, local, host, kind)

    def say(self, what: str) -> None:
        """Say in a line what this process does; in one piece, as others write there, too."""
        os.write(1, f"{self.kind} {self.number}: {what}\n".encode())

    def on_own_gpu(self, target: Target) -> Target:
        """Return the target on this process's GPU: one after the other, and from the first again.

        A model that has to share it is what is measured.
        """
        import torch

        where = target.device
        if where.type == "cuda":
            where = torch.device("cuda", self.local % torch.cuda.device_count())
            torch.cuda.set_device(where)
        return replace(target, device=where)

    def gather_pids(self, parent: int | None, group: Any = None) -> list[int]:
        """Return the ids of all processes, and of their parent if it is here, on all of them."""
        import torch.distributed

        pids: list[int] = [0] * self.count
        torch.distributed.all_gather_object(pids, os.getpid(), group)
        return [*pids, *([parent] if parent else [])]

    def watched(self, where: torch.device, own_pids: Sequence[int]) -> Gpu | Unmeasured | None:
        """Return all GPUs in use on this host, which the first process there watches."""
        import torch

        if where.type != "cuda" or self.local:
            return None
        used = min(int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count())
        return nvml.find_all([torch.device("cuda", index) for index in range(used)], own_pids)

    def time_rounds(
        self,
        engine: Engine,
        workload: Workload,
        rounds: int,
        gpu: Gpu | Unmeasured | None,
        group: Any = None,
    ) -> Attempt:
        """Time the rounds, each of which all processes begin together; watch `gpu` meanwhile."""
        import torch

        threads = torch.get_num_threads()
        watch = Watch(engine.device.type, threads=threads, control=None, gpu=gpu)
        attempt = Attempt(watch)
        self.meet("the rounds", group)
        with watch:
            engine.reset_peaks()
            for number in range(1, rounds + 1):
                self.meet(f"round {number}", group)
                self.say(f"round {number}")
                round_s = attempt.time(engine.generate, workload)
                attempt.rounds.append(round_of(attempt.generations[-1], round_s))
                del attempt.generations[:-1]  # tokens of all would fill memory
            self.meet("the end", group)  # so that the energy of all rounds is in
        attempt.placement = memory.place(engine.model)
        attempt.peaks = memory.peaks(engine, attempt.placement)
        return attempt

    def meet(self, what: str, group: Any = None) -> None:
        """Wait for the others."""
        import torch.distributed

        self.say(f"{READY} {what}")
        torch.distributed.barrier(group)
