"""One replica: a process that torch's launcher starts, with its own copy of the model on one GPU.

With --device-map tensor it is a rank instead.

It meets the others before each round, so that all begin at once. What it says of itself are lines
on standard output; everything else goes to a log. The first replica writes what all measured.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.common import files, process
from benchmarks.common.errors import HarnessError
from benchmarks.common.text import duration, rate
from benchmarks.config.options import TENSOR
from benchmarks.config.settings import build_settings
from benchmarks.evidence.agreement import tokens_sha256
from benchmarks.evidence.gathering import Evidence
from benchmarks.measure.extra_info import describe
from benchmarks.model import footprint, loading
from benchmarks.model.target import find_target
from benchmarks.replicas import account, arguments
from benchmarks.replicas.account import Account
from benchmarks.replicas.place import RESULTS, Place, log_name
from benchmarks.replicas.rank import Rank

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

HELD_S = 30  # the launcher ends this process sooner if another one is lost


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
        target = self.place.on_own_gpu(find_target(settings, lambda _: None))
        torch.distributed.init_process_group("gloo")
        own = self.place.gather_pids(self.asked.parent)
        (quantization,), (batch_size,) = settings.quantizations, settings.batch_sizes
        (generation,) = settings.generations
        self.place.say("loading")
        with loading.load(target, quantization, cold=True) as engine:
            Evidence(target, engine)  # that it is what was asked for
            workload = target.workload(batch_size, settings.new_tokens, generation)
            engine.prepare(workload)
            engine.warm_up(workload, settings.warmup_rounds, self.place.say)
            found = self._time(
                engine, workload, settings.rounds, self.place.watched(target.device, own)
            )
            self._tell(found, describe(target, engine, workload), target)
        torch.distributed.destroy_process_group()

    def _time(
        self, engine: Engine, workload: Workload, rounds: int, gpu: Gpu | Unmeasured | None
    ) -> Account:
        """Time the rounds, and give an account of them."""
        warmed = engine.generated(workload)
        attempt = self.place.time_rounds(engine, workload, rounds, gpu)
        return Account(
            replica=self.place.number,
            host=self.place.host,
            device=str(engine.device),
            load_s=engine.load_s,
            warmup_rounds=warmed,
            rounds=attempt.rounds,
            starts_s=attempt.starts_s,
            placement=attempt.placement,
            peaks=attempt.peaks,
            weights_bytes=footprint.weights_bytes(engine.model),
            seen=attempt.watch.observations([each.round_s for each in attempt.rounds]),
            watches=self.place.local == 0,
            tokens_sha256=tokens_sha256(attempt.generations[-1].tokens),
            samples=attempt.watch.series(),
        )

    def _tell(self, found: Account, workload: dict[str, Any], target: Target) -> None:
        """Gather the accounts; the first replica writes what they come to."""
        import torch.distributed

        first = self.place.number == 0
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
    together = asked.device_map == TENSOR
    place = Place.of_launcher("rank" if together else "replica")
    asked.folder.mkdir(parents=True, exist_ok=True)
    log = os.open(asked.folder / log_name(place.number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 2)
    place.say(f"process {os.getpid()}")
    _ended((Rank if together else Replica)(asked, place).run)


def _ended(run: Callable[[], None]) -> NoReturn:
    """End with what came of it, at once: taking torch apart takes longer than forgetting it.

    Whoever notices that another one is lost waits a while before it ends: the launcher is to see
    the lost one first, and name it. An error of the exchange that has another cause ends all.
    """
    status = 0
    try:
        run()
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, HarnessError):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        if _is_of_the_exchange(error):
            sys.stderr.flush()
            time.sleep(HELD_S)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _is_of_the_exchange(error: BaseException | None) -> bool:
    """Whether it comes from what connects the processes: gloo's errors are known by their text."""
    import torch.distributed

    while error is not None:
        if isinstance(error, torch.distributed.DistError):
            return True
        if isinstance(error, RuntimeError) and "gloo" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main()
