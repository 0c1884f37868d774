"""What each rank holds of a model, and what all of them come to."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import AttestationError
from benchmarks.common.quantity import Metric
from benchmarks.config.options import TENSOR
from benchmarks.evidence import device_time
from benchmarks.machine.readings import combine
from benchmarks.measure.extra_info import extra_info
from benchmarks.measure.memory import bandwidth
from benchmarks.measure.metrics import bandwidth_at_once
from benchmarks.model import skeleton
from benchmarks.replicas.account import judge
from benchmarks.splitting import shards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.work import Work
    from benchmarks.machine.readings import Observations
    from benchmarks.measure.metrics import ModelCost, Peaks
    from benchmarks.measure.rounds import Attempt
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

SUMMED = ("weights_bytes", "decode_weight_bytes", "kv_bytes_per_token", "state_bytes")
PHASES = ("prefill", "decode")


@dataclass(frozen=True)
class Part:
    """What one rank holds, and what it took."""

    rank: int
    device: str
    placement: Mapping[str, Mapping[str, Any]]
    peaks: Peaks
    cost: ModelCost
    cpu_s: Metric
    weights: Mapping[str, Any]
    tokens_sha256: str

    @property
    def place(self) -> str:
        """Where it is: ranks on the CPU share that."""
        return self.device if self.device != "cpu" else f"cpu, rank {self.rank}"


@dataclass(frozen=True)
class Loaded:
    """What this rank measures: its part of a model, with a workload."""

    target: Target
    engine: Engine
    workload: Workload


def attest(engine: Engine, target: Target) -> dict[str, Any]:
    """Return which weights of this rank are split, which are whole, and their bytes.

    What has to be split is told by a model without weights: the loaded one is what is in doubt.
    Raises AttestationError if a weight is whole that should be split, or the other way round.
    """
    model = skeleton.build(target.checkpoint, target.settings.attn_implementation)
    plan = shards.split_by(model)
    split: dict[str, int] = {}
    whole: dict[str, int] = {}
    wrong = []
    for name, weight in engine.model.named_parameters():
        here = shards.own(weight)
        into = split if here.numel() < weight.numel() else whole
        into[name] = here.numel() * here.element_size()
        generic = re.sub(r"\d+", "*", name)
        asked = not {generic, generic.rpartition(".")[0]}.isdisjoint(plan)
        if weight.dim() > 1 and asked != (name in split):
            wrong.append(f"{name} {'split' if asked else 'whole'}, got {tuple(here.shape)} of it")
    if wrong or not split:
        raise AttestationError(
            f"--device-map {TENSOR} is not what ran: expected "
            f"{wrong[0] if wrong else 'split weights, got none'}"
            f"{f' and {len(wrong) - 1} more' if wrong[1:] else ''}; check transformers' version"
        )
    return {
        "split": {"tensors": len(split), "bytes": sum(split.values()), "names": _names(split)},
        "whole": {"tensors": len(whole), "bytes": sum(whole.values()), "names": _names(whole)},
    }


def record(
    found: Sequence[Part],
    attempt: Attempt,
    seen: Observations,
    loaded: Loaded,
) -> dict[str, Any]:
    """Return what is stored of the first rank's rounds, with the weights and peaks of all ranks."""
    target, engine, workload = loaded.target, loaded.engine, loaded.workload
    attempt.placement = {
        each.place: dict(there) for each in found for there in each.placement.values()
    }
    attempt.peaks = _peaks(found)
    attempt.validity = judge(seen, [each.cpu_s for each in found], target.settings.bounds)
    warmed = engine.generated(workload) - len(attempt.rounds)
    cost = total_cost([each.cost for each in found])
    info = extra_info(target, engine, workload, [attempt], {}, warmup_rounds=warmed, cost=cost)
    info["workload"]["ranks"] = len(found)
    info["process"] = {"loaded": [engine.quantization], "profiled": False}
    info["ranks"] = [
        {
            "rank": each.rank,
            "device": each.device,
            "weights": dict(each.weights),
            "tokens_sha256": each.tokens_sha256,
        }
        for each in found
    ]
    return info


def total_cost(costs: Sequence[ModelCost]) -> ModelCost:
    """Return what all ranks weigh and read together: what is whole on each counts for each."""
    sums = {name: sum(getattr(each, name) for each in costs) for name in SUMMED}
    return replace(costs[0], load_s=max(each.load_s for each in costs), **sums)


def add_work(info: dict[str, Any], found: Sequence[Work | None]) -> None:
    """Add the device time of each rank; that of the first is the benchmark's own already.

    If one's can't be trusted, the benchmark's can't: the first may have waited for it.
    """
    if own := info["device_time"]:
        others = [
            f"rank {rank['rank']}: {reason}"
            for rank, done in zip(info["ranks"], found, strict=True)
            for reason in _doubts(done)
        ]
        reasons = [*own["validity"]["reasons"], *others]
        validity = {**own["validity"], "valid": not reasons, "reasons": reasons}
        info["device_time"] = {**own, "validity": validity}
    for rank, done in zip(info["ranks"], found, strict=True):
        spent = done.device_time if done else info["device_time"]
        rank["device_time"] = spent and {phase: of_rank(spent[phase]) for phase in PHASES}
        if done and done.no_device_time:
            rank["unmeasured"] = {"device_time": done.no_device_time.reason}
    first = info["ranks"][0]["device_time"]
    for phase in PHASES:
        name = f"{phase}_collectives_s"
        info["metrics"][name] = first and first[phase]["collectives_s"]
        if not first:
            info["unmeasured"][name] = info["unmeasured"][f"{phase}_device_s"]


def _doubts(done: Work | None) -> Sequence[str]:
    """Return why the device time of another rank can't be trusted."""
    if done is None:
        return ()
    if done.device_time is None:
        return ("its device time wasn't measured",)
    reasons: Sequence[str] = done.device_time["validity"]["reasons"]
    return reasons


def of_rank(phase: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds of a step, out of what is stored of a phase, and its collectives' share.

    Those kernels are listed, with calls and seconds over all steps. Each works from the moment at
    which it begins, so that the waiting for slower ranks is in it.
    """
    top, is_one = phase["kernels"]["top"], device_time.COLLECTIVE.match
    kernels = [dict(each) for each in top if is_one(each["name"])]
    return {
        "step_s": device_time.middle_s(phase),
        "repeats_s": phase["repeats_s"],
        "steps": phase["steps"],
        "collectives_s": sum(each["device_s"] for each in kernels) / phase["steps"],
        "collectives": kernels,
    }


def _peaks(found: Sequence[Part]) -> Peaks:
    """Add the peaks up; all devices read what they hold at once."""
    peaks = [each.peaks for each in found]
    names = ("peak_allocated_bytes", "peak_reserved_bytes", "peak_resident_bytes")
    sums: dict[str, Any] = {
        name: combine(lambda *each: sum(each), *(getattr(one, name) for one in peaks))
        for name in names
    }
    held = {each.place: each.cost.weights_bytes for each in found}
    speeds = {each.place: bandwidth(each.device) for each in found}
    return replace(peaks[0], **sums, bandwidth_bytes_per_s=bandwidth_at_once(held, speeds))


def _names(found: Mapping[str, int]) -> list[str]:
    return sorted({re.sub(r"\d+", "*", name) for name in found})
