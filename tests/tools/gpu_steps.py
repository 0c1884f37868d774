"""The steps of `make gpu-check`: what is measured on a GPU, how much of it, and into which file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
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
    gpu_prequantized,
    parity,
)
from tests.tools.gpu_plan import SMALL, Plan, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.model.target import Target

ROOT = Path(__file__).parents[2]
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


def table(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time each quantization at each batch size."""
    options = [f"--quantization={plan.quantizations}", f"--batch-size={plan.batch_sizes}"]
    file = folder / "sessions" / "table.json"
    return _session(file, plan, ["-k=throughput", *options, *plan.table])


def main_job(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run `pytest benchmarks` as by default but for fewer rounds, with profiles."""
    options = ["--artifacts", str(folder / "artifacts"), *plan.main]
    return _session(folder / "sessions" / "main.json", plan, options)


def replicas(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let one process and two generate at once, of one quantization."""
    return _replicas(folder / "replicas", plan, plan.one, plan.few)


def all_replicas(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let up to four processes generate at once, of each quantization."""
    return _replicas(folder / "all-replicas", plan, plan.quantizations, plan.many)


def _replicas(folder: Path, plan: Plan, quantizations: str, numbers: str) -> dict[str, Any]:
    """Run a session for each quantization; what was measured before a call ended is kept."""
    found = []
    for quantization in quantizations.split(","):
        options = [f"--replicas={numbers}", f"--quantization={quantization}", *plan.replicas]
        found.append(_kept(folder / f"{quantization}.json", plan, ["-k=replicas", *options]))
    return {"files": found}


def identical(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure the work of each quantization in many processes of the same code.

    `python -m tests.tools.splits` judges them. What was measured before a call ended is kept.
    """
    options = ["-k=throughput", f"--quantization={plan.quantizations}", *plan.identical_options]
    files = [folder / "identical" / f"{number + 1:02}.json" for number in range(plan.identical)]
    return {"files": [_kept(each, plan, options) for each in files]}


def sharded(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time a model on one GPU, and the same over all of them."""
    found = {}
    for name in ("single", "auto") if plan.device == "cuda" else ("single",):
        file = folder / "sharded" / f"{name}.json"
        options = ["-k=throughput", f"--device-map={name}", *plan.sharded]
        found[name] = _session(file, plan, options)["file"]
    return {"files": found}


def tensor(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time each layer on one device, and with a part of it on each; both sessions are kept."""
    found = {}
    for device_map, benchmark in (("single", "throughput"), ("tensor", "tensor_parallel")):
        file = folder / "tensor" / f"{device_map}.json"
        options = [f"-k={benchmark}", f"--device-map={device_map}", *plan.tensor]
        found[device_map] = _session(file, plan, options)["file"]
    return {"files": found}


def gate(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run the gate as a workflow does, on code that is unchanged, slower, or on a busy host."""
    options = [f"--model={plan.model}", f"--device={plan.device}"]
    return gpu_gate.measure(folder / "gate", plan.gate, options, cuda=plan.device == "cuda")


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
    return gpu_modes.measure(
        target,
        names,
        target.settings.batch_sizes,
        seconds,
        lambda found: write_json(partial, found),
    )


def prequantized(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure models that `save_pretrained` wrote quantized, as somebody who has only these.

    Their own quantization is not named; their reference is the model that they were made from.
    """
    found = {}
    for name in plan.prequantized.split(","):
        file = folder / "prequantized" / f"{name}.json"
        own = Path("build", "prequantized", name)
        written = [f"--model={plan.model}", f"--device={plan.device}", f"--quantization={name}"]
        with gpu_prequantized.saved(ROOT / own, written) as size:
            options = ["-k=throughput", f"--reference={plan.model}", *plan.table]
            _session(file, replace(plan, model=str(own)), options)
        found[name] = {"file": f"{file.parent.name}/{file.name}", "bytes": size}
    return found


def beside(folder: Path, plan: Plan) -> dict[str, Any]:  # noqa: ARG001 (as every step)
    """Measure the work of a decode step alone, and while other processes generate."""
    options = [f"--model={plan.model}", f"--device={plan.device}"]
    target = _target(plan, *plan.table)
    return {"work": gpu_beside.measure(target, plan.beside.split(","), options)}


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


def stranger(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure beside another process on the GPU, which makes the session invalid by its id."""
    if plan.device != "cuda":
        return {"skipped": "needs a GPU"}
    code = (
        "import torch; x = torch.ones(1, device='cuda'); print(flush=True); input(); print(x.sum())"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout
    try:
        if not other.stdout.readline():
            raise InputError(f"expected a second process on the GPU; it ended ({other.wait()})")
        # Long enough for the first sample, which lists the processes.
        options = ["-k=throughput", "--new-tokens=32", "--rounds=3", "--warmup-rounds=1"]
        tiny = replace(plan, model="synthetic:tiny")
        # Beside the others it would be the newest, and a page is of the newest.
        found = _session(folder / "stranger" / "session.json", tiny, options)
    finally:
        other.kill()
        other.wait()
    (bench,) = json.loads((folder / found["file"]).read_text())["benchmarks"]
    validity = bench["extra_info"]["validity"]
    if validity["valid"]:
        raise InputError("expected a session beside another process to be INVALID; it is valid")
    return {**found, "pid": other.pid, "reasons": validity["reasons"]}


# Ten minutes of a GPU.
STEPS: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "checkpoint": checkpoint,
    "table": table,
    "main": main_job,  # the newest session: a page shows it whole, and the table's beside it
    "modes": modes,
    "replicas": replicas,
}

# These run only if they are named: they take more GPUs, or more minutes.
BY_NAME: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "gate": gate,
    "prequantized": prequantized,
    "beside": beside,
    "identical": identical,
    "releases": gpu_duets.releases,
    "all-modes": all_modes,
    "all-modes-of-one": all_modes_of_one,
    "all-replicas": all_replicas,
    "sharded": sharded,
    "tensor": tensor,
    "limits": limits,
    "memory": memory,
    "stranger": stranger,
    "duet": gpu_duets.duet,
    "slowed": gpu_duets.slowed,
    "prefill": gpu_duets.prefill,
    "parity": parity_step,
}


def _target(plan: Plan, *options: str) -> Target:
    return find_target(measuring.conditions(options_of(plan, *options)).settings, print)


def _kept(file: Path, plan: Plan, options: Sequence[str]) -> str:
    """Run a session unless a call before did, and return the name of its file."""
    if not file.exists():
        _session(file, plan, options)
    return f"{file.parent.name}/{file.name}"


def _session(file: Path, plan: Plan, options: Sequence[str]) -> dict[str, Any]:
    """Run a session of pytest, which writes a file. Raises InputError if it fails.

    What a session wrote that failed gets another name, so that a second call doesn't take it.
    """
    file.parent.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider"),
        *(f"--model={plan.model}", f"--device={plan.device}", f"--benchmark-json={file}"),
        *("--again-within=0", *options),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        if file.exists():
            file.replace(file.with_suffix(".failed"))
        raise InputError(f"{file.name}: expected status 0, got {done.returncode}")
    return {"file": f"{file.parent.name}/{file.name}"}
