"""One rank: a process that torch's launcher starts, with its part of each layer of a model.

All ranks do the same in the same order. Where one of them has to decide, they take turns.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
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
from benchmarks.replicas.parts import Part
from benchmarks.replicas.place import RESULTS, Place
from benchmarks.replicas.turns import Turns
from benchmarks.splitting import possible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.work import Work
    from benchmarks.measure.rounds import Attempt
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

LOADING = timedelta(minutes=30)  # ranks read a checkpoint at different rates


@dataclass
class Recorded:
    """The benchmark as `Evidence` wants it."""

    fullname: str
    extra_info: dict[str, Any]
    name: str = "tensor_parallel"
    has_error: bool = False


@dataclass
class Group:
    """The ranks: a group for what the model exchanges, one on the host for words, and turns."""

    turns: Turns
    host: Any = field(repr=False)

    @classmethod
    def join(cls, where: torch.device) -> Group:
        """Meet the other ranks."""
        import torch.distributed

        own: Any = torch.distributed  # it doesn't list all that it exports
        store, number, count = next(own.rendezvous("env://", timeout=LOADING))
        torch.distributed.init_process_group(
            "nccl" if where.type == "cuda" else "gloo",
            store=store,
            rank=number,
            world_size=count,
            timeout=LOADING,
        )
        host = torch.distributed.new_group(backend="gloo", timeout=LOADING)
        return cls(Turns(own.PrefixStore("turns", store)), host)

    def gather(self, found: Any) -> list[Any]:
        """Return what each rank has found, on all of them."""
        import torch.distributed

        each: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(each, found, self.host)
        return each


class Rank:
    """One part of the model, and what it measures together with the others."""

    def __init__(self, asked: argparse.Namespace, place: Place) -> None:
        """Prepare; nothing is loaded yet."""
        self.asked = asked
        self.place = place
        self.group: Group

    def run(self) -> None:
        """Load, warm up, time the rounds, gather evidence; the first rank writes the record."""
        import torch.distributed

        settings = build_settings(arguments.text_of(self.asked), os.environ)
        if settings.device == "cpu":  # transformers splits a model over GPUs if it sees any
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        target = self.place.on_own_gpu(find_target(settings, lambda _: None))
        if (expected := possible.ranks(target.device)) != self.place.count:
            raise InputError(
                f"--device-map {TENSOR}: expected {expected} processes, one for each visible GPU "
                f"of one host or two on a CPU; got {self.place.count}"
            )
        self.group = Group.join(target.device)
        own = self.place.gather_pids(self.asked.parent, self.group.host)
        (quantization,), (batch_size,) = settings.quantizations, settings.batch_sizes
        self.place.say("loading")
        with loading.load(target, quantization, cold=True) as engine:
            evidence = Evidence(target, engine, lambda: nvml.find(target.device, own))
            weights = parts.attest(engine, target)
            workload = target.workload(batch_size, settings.new_tokens)
            engine.prepare(workload)
            for number in range(1, settings.warmup_rounds + 1):  # as many on each rank
                self.place.say(f"warm-up {number} of {settings.warmup_rounds}")
                engine.generate(workload)
            attempt = self._time(engine, workload, target, own)
            info = self._record(attempt, weights, engine, workload, target)
            benchmark = Recorded("tensor_parallel", info)
            tokens = attempt.generations[-1].tokens
            evidence.add(benchmark, workload, tokens)
            found = [
                self._take_turn(leader, evidence, engine, workload, target, own)
                for leader in range(self.place.count)
            ]
            parts.add_work(info, self.group.gather(found[self.place.number]))
            self.place.say("comparing with one device")
            logits = output.logits(engine, target).cpu()
        torch.distributed.destroy_process_group()
        if self.place.number == 0:
            evidence.compare(logits, None)
            files.write_json(self.asked.folder / RESULTS, info)

    def _time(
        self, engine: Engine, workload: Workload, target: Target, own: Sequence[int]
    ) -> Attempt:
        gpu = self.place.watched(target.device, own)
        rounds = target.settings.rounds
        return self.place.time_rounds(engine, workload, rounds, gpu, self.group.host)

    def _record(
        self,
        attempt: Attempt,
        weights: Mapping[str, Any],
        engine: Engine,
        workload: Workload,
        target: Target,
    ) -> dict[str, Any]:
        """Return what is stored of the rounds, of this rank and all others' parts.

        Raises WorkError if ranks generated different tokens: each goes on with its own.
        """
        seen = attempt.watch.observations([each.round_s for each in attempt.rounds])
        own = Part(
            rank=self.place.number,
            device=str(engine.device),
            placement=attempt.placement,
            peaks=attempt.peaks,
            cost=model_cost(engine, workload),
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
        return parts.record(found, attempt, seen, engine, workload, target)

    def _take_turn(
        self,
        leader: int,
        evidence: Evidence,
        engine: Engine,
        workload: Workload,
        target: Target,
        own: Sequence[int],
    ) -> Work | None:
        """Let a rank count and record its own work, while the others generate as often.

        The first one gathers the evidence of the benchmark; of the others the device time counts.
        """
        self.place.say(f"checking what ran on rank {leader}")
        if leader != self.place.number:
            self.group.turns.follow(engine, workload)
            return None
        with self.group.turns.lead(engine):
            if leader == 0:
                evidence.gather_work()
                return None
            gpu = nvml.find(target.device, own)
            return work.measure(engine, workload, gpu, target.settings)
