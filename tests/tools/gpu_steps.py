"""The steps of `make gpu-check`: what is measured on a GPU, how much of it, and into which file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.common.files import write_json
from benchmarks.machine import clock
from benchmarks.model.target import find_target
from tests.tools import (
    gpu_beside,
    gpu_duets,
    gpu_gate,
    gpu_limits,
    gpu_memory,
    gpu_modes,
    gpu_sessions,
    gpu_slices,
    parity,
)
from tests.tools.gpu_origin import origin
from tests.tools.gpu_plan import SMALL, Plan, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.model.target import Target

QUICKEST = ("fp16", "bf16", "int8", "nf4", "nf4-dq", "int8-decomp")


def checkpoint(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Write the synthetic checkpoint, or find it."""
    start = clock.read()
    found = _target(plan).checkpoint
    files = [each.stat().st_size for each in found.path.glob("*.safetensors")]
    return {"written_or_found_s": clock.read() - start, "bytes": sum(files)}


def limits(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Measure what nothing can be faster than: reading, copying, one launch, one wait."""
    target = _target(plan)
    files = sorted(target.checkpoint.path.glob("*.safetensors"))
    found: dict[str, Any] = {"read_bytes_per_s": gpu_limits.read_rate(files[:2])}
    if plan.device == "cuda":
        found |= gpu_limits.device_limits(target.device)
        tiny = _target(replace(plan, model=SMALL.model))
        found["quantized_on_device"] = gpu_limits.weights_agree(tiny)
    return found


def gate(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run the gate as a workflow does, on code that is unchanged, slower, or on a busy host."""
    options = [f"--model={plan.model}", f"--device={plan.device}"]
    return gpu_gate.measure(folder / "gate", plan.gate, options, plan.device)


def parity_step(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Let the mended loop of the old script and rounds of the suite take turns."""
    found = []
    for each in plan.parities:
        target = _target(plan, f"--prompt-tokens={each.prompt_tokens}")
        workload = target.workload(each.batch_size, each.new_tokens)
        compared = parity.compare(target, each.quantization, workload, each.pairs)
        print(f"{each.quantization}, {each.batch_size} rows: {compared}")
        found.append({**asdict(each), **asdict(compared)})
    return {"workloads": found}


def modes(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure one quantization in each generation mode, as far as time goes."""
    return _modes(folder / "modes.partial.json", plan, [plan.one], "8", plan.modes_s)


def all_modes(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure each quantization in each mode at batch 8, as far as time goes."""
    return _all_modes(folder / "all-modes.partial.json", plan, "8")


def all_modes_of_one(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure the same at batch 1."""
    return _all_modes(folder / "all-modes-of-one.partial.json", plan, "1")


def _all_modes(partial: Path, plan: Plan, batch_size: str) -> dict[str, Any]:
    # The quickest come first: they leave time for the others.
    names = sorted(plan.quantizations.split(","), key=QUICKEST.index)
    return _modes(partial, plan, names, batch_size, plan.all_modes_s)


def _modes(
    partial: Path, plan: Plan, names: Sequence[str], batch_sizes: str, seconds: float
) -> dict[str, Any]:
    target = _target(plan, f"--batch-size={batch_sizes}", *plan.modes, "--warmup-rounds=1")
    here = origin(plan.device)
    before = json.loads(partial.read_text()) if partial.exists() else here
    if before["hardware"].get("card") != here["hardware"].get("card"):
        before = here
    return gpu_modes.measure(
        target,
        names,
        target.settings.batch_sizes,
        seconds,
        lambda found: write_json(partial, found | here),
        before,
    )


def beside(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Measure the work of a decode step alone, and while other processes generate."""
    options = [f"--model={plan.model}", f"--device={plan.device}"]
    target = _target(plan, *plan.main)
    return {"work": gpu_beside.measure(target, plan.beside.split(","), options)}


def slices(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Trace what decode steps wait for, alone, and while another process generates."""
    options = [f"--model={plan.model}", f"--device={plan.device}"]
    target = _target(plan)
    return {"slices": gpu_slices.measure(target, plan.slices.split(","), options)}


def memory(folder: Path, plan: Plan) -> dict[str, Any]:
    """Take the peaks of memory apart. Raises InputError if the parts don't add up to them.

    The allocator's history of the first model stays.
    """
    found = []
    for number, each in enumerate(plan.memory):
        target = _target(plan, *([each.model] if each.model else []))
        raw = None if number else folder / "memory-history.json.gz"
        measured = gpu_memory.measure(target, each.quantization, each.sizes, raw)
        name = {"model": target.checkpoint.name, "quantization": each.quantization}
        found += [{**name, **one} for one in measured]
    if wrong := [str(each) for each in found if "reason" in each]:
        raise InputError(f"expected parts of memory that add up, got {'; '.join(wrong)}")
    return {"peaks": found}


# Ten minutes of a GPU.
STEPS: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "checkpoint": checkpoint,
    "main": gpu_sessions.main_session,
    "modes": modes,
    "replicas": gpu_sessions.replicas,
}

# These run only if they are named: they take more GPUs, or more minutes.
BY_NAME: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "gate": gate,
    "prequantized": gpu_sessions.prequantized,
    "beside": beside,
    "slices": slices,
    "identical": gpu_sessions.identical,
    "turns": gpu_sessions.turns,
    "energy": gpu_sessions.energy,
    "releases": gpu_duets.releases,
    "all-modes": all_modes,
    "all-modes-of-one": all_modes_of_one,
    "all-replicas": gpu_sessions.all_replicas,
    "sharded": gpu_sessions.sharded,
    "tensor": gpu_sessions.tensor,
    "limits": limits,
    "memory": memory,
    "stranger": gpu_sessions.stranger,
    "duet": gpu_duets.duet,
    "slowed": gpu_duets.slowed,
    "prefill": gpu_duets.prefill,
    "parity": parity_step,
}


def _target(plan: Plan, *options: str) -> Target:
    return find_target(measuring.conditions(options_of(plan, *options)).settings, print)
