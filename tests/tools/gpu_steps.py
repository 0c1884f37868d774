"""The steps of `make gpu-check`: what is measured on a GPU, how much of it, and into which file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.errors import InputError
from benchmarks.common.files import write_json
from benchmarks.duet import schedule
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import Take
from benchmarks.environments.overlay import CURRENT
from benchmarks.machine import clock
from benchmarks.model.target import find_target
from tests.duets import given
from tests.tools import gpu_gate, gpu_limits, gpu_memory, gpu_modes, parity
from tests.tools.gpu_plan import SMALL, Plan, Played

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from benchmarks.model.target import Target

ROOT = Path(__file__).parents[2]
SLOWDOWN = 0.02
QUICKEST = ("fp16", "bf16", "int8", "nf4", "nf4-dq", "int8-decomp")
IDENTICAL = tuple(map(Take, schedule.SIDES))
SLOWED = (*IDENTICAL, Take("head", SLOWDOWN))


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
    """Run `pytest benchmarks` at its defaults, with profiles."""
    options = ["--artifacts", str(folder / "artifacts"), *plan.main]
    return _session(folder / "sessions" / "main.json", plan, options)


def replicas(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let several processes generate at once; what was measured before a call ended is kept."""
    found = []
    for quantization in plan.quantizations.split(","):
        file = folder / "replicas" / f"{quantization}.json"
        if not file.exists():
            options = ["-k=replicas", f"--quantization={quantization}", *plan.replicas]
            _session(file, plan, options)
        found.append(f"{file.parent.name}/{file.name}")
    return {"files": found}


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
    """Measure each quantization in each generation mode, as far as time goes."""
    target = _target(plan, *plan.modes, "--warmup-rounds=1")
    # The quickest come first: they leave time for the others.
    names = sorted(plan.quantizations.split(","), key=QUICKEST.index)
    partial = folder / "modes.partial.json"
    return gpu_modes.measure(
        target,
        names,
        target.settings.batch_sizes,
        plan.modes_s,
        lambda found: write_json(partial, found),
    )


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


def duet(folder: Path, plan: Plan) -> dict[str, Any]:
    """Play restarts of identical sides, both models resident, and gather the evidence of both."""
    return _duet(folder, plan, "duet", plan.duet, IDENTICAL)


def slowed(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for a slowdown of 2 % that the host bounds: a tiny model, for more rounds a minute."""
    return _duet(folder, plan, "slowed", plan.slowed, SLOWED)


def prefill(folder: Path, plan: Plan) -> dict[str, Any]:
    """Look for a slowdown of 2 % that the GPU bounds: the prefill of long prompts."""
    return _duet(folder, plan, "prefill", plan.prefill, SLOWED)


def _duet(
    folder: Path, plan: Plan, name: str, played: Played, takes: tuple[Take, ...]
) -> dict[str, Any]:
    """Play a duet of identical sides, and of a head that is slowed if that is one of the takes."""
    budget = (f"--rounds={played.pairs}", f"--max-restarts={played.restarts}")
    options = _options(plan, *played.options, *budget)
    conditions = replace(measuring.conditions(options), takes=takes, evidence=takes == IDENTICAL)
    out = folder / "duets" / f"{name}-{int(time.time())}"  # one that was cut short stays, beside
    with interrupts.interruptible():
        sides = dict.fromkeys(schedule.SIDES, CURRENT)
        found = Duet(conditions, sides, measuring.budget(options, played.pairs), out, measuring.say)
        found.run()
    if not found.takes:
        raise InputError(f"no restart was complete: {'; '.join(found.lost)}")
    return {"folder": out.name, "lost": found.lost}


STEPS: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "checkpoint": checkpoint,
    "limits": limits,
    "table": table,
    "main": main_job,  # the newest session: a page shows it whole, and the table's beside it
    "duet": duet,
    "slowed": slowed,
    "prefill": prefill,
    "parity": parity_step,
    "memory": memory,
    "stranger": stranger,
}

# These run only if they are named: they take more GPUs, or more minutes.
BY_NAME: dict[str, Callable[[Path, Plan], dict[str, Any]]] = {
    "gate": gate,
    "modes": modes,
    "replicas": replicas,
    "sharded": sharded,
    "tensor": tensor,
}


def _options(plan: Plan, *options: str) -> argparse.Namespace:
    """Return the options of a command that measures, for this plan's model and device."""
    return given(f"--model={plan.model}", f"--device={plan.device}", *options)


def _target(plan: Plan, *options: str) -> Target:
    return find_target(measuring.conditions(_options(plan, *options)).settings, print)


def _session(file: Path, plan: Plan, options: Sequence[str]) -> dict[str, Any]:
    """Run a session of pytest, which writes a file. Raises InputError if it fails."""
    file.parent.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider"),
        *(f"--model={plan.model}", f"--device={plan.device}", f"--benchmark-json={file}"),
        *("--again-within=0", *options),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        raise InputError(f"{file.name}: expected status 0, got {done.returncode}")
    return {"file": f"{file.parent.name}/{file.name}"}
