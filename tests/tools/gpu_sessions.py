"""Steps of `make gpu-check` that run sessions of pytest."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.session import read_session
from tests.tools import gpu_prequantized
from tests.tools.gpu_origin import is_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.tools.gpu_plan import Plan

ROOT = Path(__file__).parents[2]


def main_session(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time each quantization at each batch size; warm up and profile one of them as well."""
    first, *_ = plan.quantizations.split(",")
    options = [
        f"-k=throughput or {first}-b{plan.whole}-p",
        "--artifacts",
        str(folder / "artifacts"),
    ]
    return _sizes(folder / "sessions" / "main.json", plan, [*options, *plan.main])


def energy(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time the same for so long that each has energy."""
    return _sizes(folder / "energy" / "session.json", plan, ["-k=throughput", *plan.energy])


def _sizes(file: Path, plan: Plan, options: Sequence[str]) -> dict[str, Any]:
    sizes = [f"--quantization={plan.quantizations}", f"--batch-size={plan.batch_sizes}"]
    return session(file, plan, [*sizes, *options])


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
        found.append(kept(folder / f"{quantization}.json", plan, ["-k=replicas", *options]))
    return {"files": found}


def identical(folder: Path, plan: Plan) -> dict[str, Any]:
    """Measure the work of each quantization in many processes of the same code.

    `python -m tests.tools.splits` judges them. What was measured before a call ended is kept.
    """
    options = ["-k=throughput", f"--quantization={plan.quantizations}", *plan.identical_options]
    files = [folder / "identical" / f"{number + 1:02}.json" for number in range(plan.identical)]
    return {"files": [kept(each, plan, options) for each in files]}


def turns(folder: Path, plan: Plan) -> dict[str, Any]:
    """Let sessions with rounds and such of work alone take turns: whether their work differs.

    Baselines are the former, and what `ci` measures by `--gate=work` is the latter.
    """
    kinds = {"whole": (), "work": ("--work-only",)}
    found = []
    for number in range(plan.turns):
        # A drift of the card favours neither.
        for name in sorted(kinds, reverse=bool(number % 2)):
            file = folder / "turns" / f"{number + 1:02}-{name}.json"
            found.append(kept(file, plan, [*plan.gate.options, *kinds[name]]))
    return {"files": found}


def sharded(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time a model on one GPU, and the same over all of them."""
    found = {}
    for name in ("single", "auto") if plan.device == "cuda" else ("single",):
        file = folder / "sharded" / f"{name}.json"
        options = ["-k=throughput", f"--device-map={name}", *plan.sharded]
        found[name] = session(file, plan, options)["file"]
    return {"files": found}


def tensor(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time each layer on one device, and with a part of it on each; both sessions are kept."""
    found = {}
    for device_map, benchmark in (("single", "throughput"), ("tensor", "tensor_parallel")):
        file = folder / "tensor" / f"{device_map}.json"
        options = [f"-k={benchmark}", f"--device-map={device_map}", *plan.tensor]
        found[device_map] = session(file, plan, options)["file"]
    return {"files": found}


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
            options = ["-k=throughput", f"--reference={plan.model}", *plan.main]
            session(file, replace(plan, model=str(own)), options)
        found[name] = {"file": f"{file.parent.name}/{file.name}", "bytes": size}
    return found


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
        found = session(folder / "stranger" / "session.json", tiny, options)
    finally:
        other.kill()
        other.wait()
    (bench,) = json.loads((folder / found["file"]).read_text())["benchmarks"]
    validity = bench["extra_info"]["validity"]
    if validity["valid"]:
        raise InputError("expected a session beside another process to be INVALID; it is valid")
    return {**found, "pid": other.pid, "reasons": validity["reasons"]}


def kept(file: Path, plan: Plan, options: Sequence[str]) -> str:
    """Run a session unless a call before did on this card, and return the name of its file."""
    if not (file.exists() and is_here(read_session(file).hardware, plan.device)):
        session(file, plan, options)
    return f"{file.parent.name}/{file.name}"


def session(file: Path, plan: Plan, options: Sequence[str]) -> dict[str, Any]:
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
