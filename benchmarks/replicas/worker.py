"""One replica: a process that torch's launcher starts, with its own copy of the model on one GPU.

It meets the others before each round, so that all begin at once. What it says of itself are lines
on standard output; everything else goes to a log. The first replica writes what all measured.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.common import files, process
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.text import duration, rate
from benchmarks.config.settings import build_settings
from benchmarks.evidence.agreement import tokens_sha256
from benchmarks.evidence.gathering import Evidence
from benchmarks.machine import nvml
from benchmarks.machine.watch import Watch
from benchmarks.measure import memory
from benchmarks.measure.extra_info import describe
from benchmarks.measure.rounds import Attempt, round_of
from benchmarks.model import footprint, loading
from benchmarks.model.target import find_target
from benchmarks.replicas import account, arguments
from benchmarks.replicas.account import Account

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

RESULTS = "replicas.json"
READY = "ready for"  # how the line of a replica begins that waits for the others
LINE = re.compile(r"replica (\d+): (.*)")


def log_name(replica: int) -> str:
    """Return the name of a replica's log."""
    return f"replica-{replica}.log"


@dataclass(frozen=True)
class Place:
    """Which replica this is, of how many, and where, as torch's launcher tells it."""

    replica: int
    count: int
    local: int  # its number among those of its host
    host: int

    @classmethod
    def of_launcher(cls) -> Place:
        """Read it. Raises InputError if no launcher started this process."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK")
        if missing := [name for name in names if name not in os.environ]:
            raise InputError(
                f"expected {', '.join(missing)} from torch's launcher; start it by "
                "python -m torch.distributed.run, or use pytest benchmarks --replicas"
            )
        return cls(*(int(os.environ[name]) for name in names))

    def say(self, what: str) -> None:
        """Say in a line what this replica does; in one piece, as others write there, too."""
        os.write(1, f"replica {self.replica}: {what}\n".encode())


class Replica:
    """One copy of the model, and its rounds."""

    def __init__(self, asked: argparse.Namespace, place: Place) -> None:
        """Prepare; nothing is loaded yet."""
        self.asked = asked
        self.place = place

    def run(self) -> None:
        """Load, warm up, time the rounds, and hand the account of them to the first replica."""
        import torch.distributed

        settings = build_settings(arguments.text_of(self.asked), os.environ)
        target = self._target(find_target(settings, lambda _: None))
        torch.distributed.init_process_group("gloo")
        pids: list[int] = [0] * self.place.count
        torch.distributed.all_gather_object(pids, os.getpid())
        own = [*pids, *([self.asked.parent] if self.asked.parent else [])]
        (quantization,), (batch_size,) = settings.quantizations, settings.batch_sizes
        (generation,) = settings.generations
        self.place.say("loading")
        with loading.load(target, quantization, cold=True) as engine:
            Evidence(target, engine)  # that it is what was asked for
            workload = target.workload(batch_size, settings.new_tokens, generation)
            engine.prepare(workload)
            engine.warm_up(workload, settings.warmup_rounds, self.place.say)
            found = self._time(engine, workload, settings.rounds, self._gpu(target, own))
            self._tell(found, describe(target, engine, workload), target)
        torch.distributed.destroy_process_group()

    def _target(self, target: Target) -> Target:
        """Return the target on this replica's GPU: one after the other, and from the first again.

        A model that has to share it is what is measured.
        """
        import torch

        where = target.device
        if where.type == "cuda":
            where = torch.device("cuda", self.place.local % torch.cuda.device_count())
            torch.cuda.set_device(where)
        return replace(target, device=where)

    def _gpu(self, target: Target, own_pids: Sequence[int]) -> Gpu | Unmeasured | None:
        """Return all GPUs that replicas of this host use, which the first one there watches."""
        import torch

        if target.device.type != "cuda" or self.place.local:
            return None
        used = min(int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count())
        return nvml.find_all([torch.device("cuda", index) for index in range(used)], own_pids)

    def _time(
        self, engine: Engine, workload: Workload, rounds: int, gpu: Gpu | Unmeasured | None
    ) -> Account:
        """Time the rounds, each of which all replicas begin together."""
        import torch

        warmed = engine.generated(workload)
        threads = torch.get_num_threads()
        watch = Watch(engine.device.type, threads=threads, control=None, gpu=gpu)
        attempt = Attempt(watch)
        self._meet("the rounds")
        with watch:
            engine.reset_peaks()
            for number in range(1, rounds + 1):
                self._meet(f"round {number}")
                self.place.say(f"round {number}")
                round_s = attempt.time(engine.generate, workload)
                attempt.rounds.append(round_of(attempt.generations[-1], round_s))
                del attempt.generations[:-1]  # tokens of all would fill memory
            self._meet("the end")  # so that the energy of all rounds is in
        placement = memory.place(engine.model)
        return Account(
            replica=self.place.replica,
            host=self.place.host,
            device=str(engine.device),
            load_s=engine.load_s,
            warmup_rounds=warmed,
            rounds=attempt.rounds,
            starts_s=attempt.starts_s,
            placement=placement,
            peaks=memory.peaks(engine, placement),
            weights_bytes=footprint.weights_bytes(engine.model),
            seen=watch.observations([each.round_s for each in attempt.rounds]),
            watches=self.place.local == 0,
            tokens_sha256=tokens_sha256(attempt.generations[-1].tokens),
            samples=watch.series(),
        )

    def _meet(self, what: str) -> None:
        """Wait for the others. If one of them is lost, the launcher ends this one, too."""
        import torch.distributed

        self.place.say(f"{READY} {what}")
        try:
            torch.distributed.barrier()
        except RuntimeError:  # the lost one is to be named, not those that noticed it
            traceback.print_exc()
            signal.pause()

    def _tell(self, found: Account, workload: dict[str, Any], target: Target) -> None:
        """Gather the accounts; the first replica writes what they come to."""
        import torch.distributed

        first = self.place.replica == 0
        accounts: list[Any] | None = [None] * self.place.count if first else None
        torch.distributed.gather_object(found, accounts)
        if accounts:
            stored = account.record(accounts, workload, target.settings.bounds)
            files.write_json(self.asked.folder / RESULTS, stored)
            if not self.asked.parent:
                self.place.say(total(stored))


def total(record: dict[str, Any]) -> str:
    """Return what all came to in a line, for whoever used the launcher directly."""
    metrics = record["metrics"]
    tpot = f", TPOT {duration(metrics['tpot_s'])}" if metrics["tpot_s"] is not None else ""
    return f"all {len(record['replicas'])} together: {rate(metrics['tokens_per_s'])} tokens/s{tpot}"


def main(given: Sequence[str] | None = None) -> NoReturn:
    """Be one replica, and end; its last line in the log says why if it failed."""
    asked = arguments.parse(given)
    process.die_with(os.getppid(), ctypes.CDLL(None) if sys.platform == "linux" else None)
    place = Place.of_launcher()
    asked.folder.mkdir(parents=True, exist_ok=True)
    log = os.open(asked.folder / log_name(place.replica), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 2)
    place.say(f"process {os.getpid()}")
    _ended(Replica(asked, place).run)


def _ended(run: Callable[[], None]) -> NoReturn:
    """End with what came of it, at once: taking torch apart takes longer than forgetting it."""
    status = 0
    try:
        run()
    except HarnessError as error:
        traceback.print_exc()
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        status = 1
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
