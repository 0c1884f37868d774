"""One rank: a process that torch's launcher starts, with its part of each layer of a model.

All ranks do the same in the same order; where one of them has to decide, they take turns. The
session is none of them, so that a rank which is lost ends a benchmark, and not the session.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common import files
from benchmarks.common.errors import InputError, WorkError
from benchmarks.config.options import TENSOR
from benchmarks.config.settings import build_settings
from benchmarks.evidence import output, work
from benchmarks.evidence.agreement import tokens_sha256
from benchmarks.evidence.gathering import Evidence
from benchmarks.machine import nvml
from benchmarks.measure.memory import model_cost
from benchmarks.model import loading
from benchmarks.model.target import find_target
from benchmarks.replicas import arguments, parts
from benchmarks.replicas.account import number_of
from benchmarks.replicas.parts import Loaded, Part
from benchmarks.replicas.place import RESULTS, Place
from benchmarks.replicas.turns import Group
from benchmarks.splitting import possible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    import torch

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.evidence.work import Work
    from benchmarks.machine.nvml import Gpu
    from benchmarks.measure.rounds import Attempt
    from benchmarks.model.target import Target


@dataclass
class Recorded:
    """The benchmark as `Evidence` wants it."""

    extra_info: dict[str, Any]
    fullname: str = "tensor_parallel"
    name: str = "tensor_parallel"
    has_error: bool = False


class Rank:
    """One part of the model, and what it measures together with the others."""

    def __init__(self, asked: argparse.Namespace, place: Place) -> None:
        """Prepare; nothing is loaded yet."""
        self.asked = asked
        self.place = place
        self.group: Group
        self.pids: Sequence[int] = ()  # of all ranks, and their parent

    def run(self) -> None:
        """Load, measure with the others, and compare with one device; the first writes it all."""
        import torch.distributed

        target = self._join()
        (quantization,), (batch_size,) = target.settings.quantizations, target.settings.batch_sizes
        self.place.say("loading")
        with loading.load(target, quantization, cold=True) as engine:
            workload = target.workload(batch_size, target.settings.new_tokens)
            loaded = Loaded(target, engine, workload)
            evidence = Evidence(target, engine, lambda: self._own_gpu(target.device))
            info = self._measure(loaded, evidence)
            self.place.say("comparing with one device")
            logits = output.logits(engine, target).cpu()
        torch.distributed.destroy_process_group()
        if self.place.number == 0:
            self.place.say("computing what one device makes of it")
            evidence.compare(logits, None)
            files.write_json(self.asked.folder / RESULTS, info)

    def _join(self) -> Target:
        """Find the target on this rank's GPU, and meet the others."""
        settings = build_settings(arguments.text_of(self.asked), os.environ)
        if settings.device == "cpu":  # transformers splits a model over GPUs if it sees any
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        target = self.place.on_own_gpu(find_target(settings, lambda _: None))
        if (expected := possible.ranks(target.device)) != self.place.count:
            raise InputError(
                f"--device-map {TENSOR}: expected {expected} processes, one for each visible GPU "
                f"of one host or two on a CPU; got {self.place.count}"
            )
        self.group = Group.join(target.device, self.place.say)
        self.pids = self.place.gather_pids(self.asked.parent, self.group.host)
        return target

    def _own_gpu(self, where: torch.device) -> Gpu | Unmeasured:
        return nvml.find(where, self.pids)

    def _measure(self, loaded: Loaded, evidence: Evidence) -> dict[str, Any]:
        """Warm up, time the rounds and gather evidence; return the record, the same on all."""
        engine, workload, settings = loaded.engine, loaded.workload, loaded.target.settings
        weights = parts.attest(engine, loaded.target)
        engine.prepare(workload)
        for number in range(1, settings.warmup_rounds + 1):  # as many on each rank
            self.place.say(f"warm-up {number} of {settings.warmup_rounds}")
            engine.generate(workload)
        gpu = self.place.watched(engine.device, self.pids)
        host = self.group.host
        attempt = self.place.time_rounds(engine, workload, settings.rounds, gpu, host)
        info = self._record(attempt, weights, loaded)
        evidence.add(Recorded(info), workload, attempt.generations[-1].tokens)
        turns = [self._turn(leader, loaded, evidence) for leader in range(self.place.count)]
        parts.add_work(info, self.group.gather(turns[self.place.number]))
        return info

    def _record(
        self, attempt: Attempt, weights: Mapping[str, Any], loaded: Loaded
    ) -> dict[str, Any]:
        """Return what is stored of the rounds, of this rank and all others' parts.

        Raises WorkError if ranks generated different tokens: each goes on with its own.
        """
        seen = attempt.watch.observations([each.round_s for each in attempt.rounds])
        own = Part(
            rank=self.place.number,
            device=str(loaded.engine.device),
            placement=attempt.placement,
            peaks=attempt.peaks,
            cost=model_cost(loaded.engine, loaded.workload),
            cpu_s=number_of(seen.counts.get("cpu_s")),
            weights=weights,
            tokens_sha256=tokens_sha256(attempt.generations[-1].tokens),
        )
        found = self.group.gather(own)
        if len({each.tokens_sha256 for each in found}) > 1:
            raise WorkError(
                "ranks generated different tokens, expected the same: their logits differ; look "
                "for a broken all-reduce"
            )
        return parts.record(found, attempt, seen, loaded)

    def _turn(self, leader: int, loaded: Loaded, evidence: Evidence) -> Work | None:
        """Let a rank count and record its own work, while the others generate as often.

        The first one gathers the evidence of the benchmark; of the others the device time counts.
        """
        engine, workload, turns = loaded.engine, loaded.workload, self.group.turns
        self.place.say(f"checking what ran on rank {leader}")
        if leader != self.place.number:
            turns.follow(engine, workload)
            return None
        with turns.lead(engine):
            if leader == 0:
                evidence.gather_work()
                return None
            gpu = self._own_gpu(engine.device)
            return work.measure(engine, workload, gpu, loaded.target.settings)
