"""What is stored of a benchmark: `extra_info`, as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Metric, Unmeasured, as_stored
from benchmarks.config.generation import DEFAULT
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import dtype_name
from benchmarks.measure.memory import model_cost
from benchmarks.measure.metrics import generation_metrics
from benchmarks.sessions.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.measure.metrics import ModelCost
    from benchmarks.measure.rounds import Attempt
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

UNTIMED = ("tokens_per_s", "ttft_s", "tpot_s", "peak_allocated_bytes")
NOT_TIMED = Unmeasured("no round was timed: only the work was measured")


def extra_info(
    target: Target,
    engine: Engine,
    workload: Workload,
    attempts: Sequence[Attempt],
    more: Mapping[str, Metric],
    *,
    warmup_rounds: int,
    cost: ModelCost | None = None,
) -> dict[str, Any]:
    """Return everything that is stored of a benchmark beside pytest-benchmark's own times.

    The last of the attempts counts; rounds that were refused and measured again are kept beside
    it. `more` are metrics that this benchmark alone has. `cost` is that of a model of which this
    process holds a part.
    """
    *refused, attempt = attempts
    metrics = generation_metrics(
        attempt.rounds,
        batch_size=workload.batch_size,
        prompt_tokens=workload.prompt_tokens,
        new_tokens=workload.new_tokens,
        cost=cost or model_cost(engine, workload),
        peaks=attempt.peaks,
        energy_joules=attempt.energy_joules,
    )
    values, reasons = as_stored({**metrics, **more})
    return {
        "schema": SCHEMA,
        "workload": describe(target, engine, workload),
        "metrics": values,
        "unmeasured": reasons,
        "placement": attempt.placement,
        "warmup_rounds": warmup_rounds,
        **attempt.record(),
        "refused": [each.record() for each in refused],
    }


def untimed(target: Target, engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return the record of a benchmark that measured work only: no round is timed."""
    cost = model_cost(engine, workload)
    known, reasons = as_stored(
        {
            "load_s": cost.load_s,
            "weights_bytes": cost.weights_bytes,
            "compile_s": cost.compile_s,
            **dict.fromkeys(UNTIMED, NOT_TIMED),
        }
    )
    return {
        "schema": SCHEMA,
        "work_only": True,
        "workload": describe(target, engine, workload),
        "metrics": known,
        "unmeasured": reasons,
        "warmup_rounds": 0,
        "rounds": [],
        "refused": [],
        "validity": None,
    }


def describe(target: Target, engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return what was measured: two records that differ here measured different things."""
    checkpoint, quantization = target.checkpoint, engine.quantization
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "weights": checkpoint.weights,
        "outlier_channels": checkpoint.outlier_channels,
        "quantization": quantization,
        "threshold": QUANTIZATIONS[quantization].threshold,
        "dtype": dtype_name(target.settings, quantization),
        "attn_implementation": target.settings.attn_implementation,
        "device": engine.device.type,
        "device_map": target.settings.device_map,
        "batch_size": workload.batch_size,
        "prompt_tokens": workload.prompt_tokens,
        "new_tokens": workload.new_tokens,
        "distinct_prompts": workload.distinct_prompts,
        "prompts_sha256": workload.prompts_sha256,
        **_mode(target, workload),
        **({"nvtx": True} if target.settings.nvtx else {}),  # which costs time
    }


def _mode(target: Target, workload: Workload) -> dict[str, Any]:
    """Return the generation mode, and what decides how much work it is; nothing for the default.

    So records from before there were modes are still those of the same work.
    """
    if workload.generation == DEFAULT:
        return {}
    found: dict[str, Any] = {"generation": workload.generation}
    if workload.room:
        found["cache_tokens"] = workload.room
    if workload.generation == "quantized":
        found["cache_backend"] = target.backend
    return found
