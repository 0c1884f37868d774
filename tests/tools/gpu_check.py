"""Everything that only a GPU can show, in one folder of results: `make gpu-check`.

A step whose file is there is not run again, so a run that was cut short goes on where it was, as
long as plan, machine and versions are the same. A duet that was cut short begins anew.
In the end all duets are judged, and raw/ holds what may be published. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.commands import measuring
from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.common.packages import COMPARED
from benchmarks.common.process import kill_group
from benchmarks.duet import saved_duets, schedule
from benchmarks.duet.duet import Duet
from benchmarks.duet.schedule import Take
from benchmarks.environments.overlay import CURRENT
from benchmarks.machine import clock, identity
from benchmarks.model import loading, quantizing
from benchmarks.model.target import find_target
from benchmarks.report import verdict_table
from benchmarks.sessions import baseline, pytest_format
from benchmarks.verdicts.judgement import judge
from tests.duets import given
from tests.tools import parity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from benchmarks.duet.saved_duets import Duet as SavedDuet
    from benchmarks.model.target import Target
    from benchmarks.sessions.outcome import Verdict

ROOT = Path(__file__).parents[2]
SLOWDOWN = 0.02
TINY, FEW_ROWS = "--model=synthetic:tiny", "--batch-size=2"
IDENTICAL = tuple(map(Take, schedule.SIDES))
SLOWED = (*IDENTICAL, Take("head", SLOWDOWN))
PRIVATE = {"node", "release", "place"}  # keys of what names a machine or its folders


@dataclass(frozen=True)
class Parity:
    """A workload for which rounds of the suite are compared with a loop without it."""

    quantization: str
    batch_size: int
    prompt_tokens: int
    new_tokens: int
    pairs: int


@dataclass(frozen=True)
class Played:
    """What a duet plays: options beside the model, pairs, and restarts of two fresh processes."""

    options: tuple[str, ...]
    pairs: int
    restarts: int


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much of it."""

    model: str = "synthetic:llama-3.1-8b"
    device: str = "cuda"
    main: tuple[str, ...] = ()  # options of the main job: its defaults
    quantizations: str = "int8-decomp,int8,fp16,nf4"
    batch_sizes: str = "1,8,32"
    table: tuple[str, ...] = ("--new-tokens=16", "--rounds=3", "--warmup-rounds=1")
    # The first is bound by the host, whose noise it has; the last one by the GPU alone.
    parities: tuple[Parity, ...] = (
        Parity("int8-decomp", 8, 16, 2, pairs=60),
        Parity("int8-decomp", 32, 512, 1, pairs=20),
        Parity("int8", 16, 1024, 1, pairs=20),
    )
    # Short rounds, and many: a host that is slow for a second hits both of a pair.
    duet: Played = Played(("--new-tokens=2",), pairs=24, restarts=5)
    slowed: Played = Played((TINY, "--new-tokens=2"), pairs=120, restarts=5)
    prefill: Played = Played(
        ("--quantization=int8", "--batch-size=16", "--prompt-tokens=1024", "--new-tokens=1"),
        pairs=6,
        restarts=3,
    )


SMALL = Plan(
    model="synthetic:tiny",
    main=("-k=throughput", FEW_ROWS, "--new-tokens=6", "--rounds=2", "--warmup-rounds=1"),
    quantizations="int8-decomp,int8",
    batch_sizes="1",
    table=("--new-tokens=4", "--rounds=2", "--warmup-rounds=1"),
    parities=(Parity("int8-decomp", 2, 16, 2, pairs=2), Parity("int8", 2, 32, 1, pairs=2)),
    duet=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    slowed=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    prefill=Played(("--quantization=int8", FEW_ROWS, "--new-tokens=1"), pairs=2, restarts=1),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps that are wanted and not done, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where results go; of one machine alone")
    parser.add_argument("--steps", default=",".join(STEPS), help="in this order (default: all)")
    parser.add_argument("--small", action="store_true", help="a tiny model and few rounds")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", help="another one than synthetic:llama-3.1-8b")
    parser.add_argument("--only", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    plan = replace(SMALL if asked.small else Plan(), device=asked.device)
    plan = replace(plan, model=asked.model or plan.model)
    steps = asked.steps.split(",")
    if unknown := sorted(set(steps) - set(STEPS)):
        parser.error(f"--steps: expected some of {', '.join(STEPS)}; got {', '.join(unknown)}")
    folder = asked.folder.resolve()
    if asked.only:
        return alone(asked.only, folder, plan)
    if wrong := another(folder, plan):
        print(f"gpu-check: {wrong}", file=sys.stderr)
        return 4
    small = ["--small"] if asked.small else []
    options = [str(folder), f"--device={plan.device}", f"--model={plan.model}", *small]
    status = run(folder, steps, options)
    if status == 0:
        conclude(folder)
    return status


def another(folder: Path, plan: Plan) -> str:
    """Return why a folder's results are not those of this plan here; "" if nothing speaks so."""
    ours = {
        "plan": json.loads(json.dumps(asdict(plan))),
        "machine": identity.folder_name(plan.device, os.environ.get("CUDA_VISIBLE_DEVICES")),
        "versions": {name: metadata.version(name) for name in COMPARED},
    }
    if plan.device == "cuda" and ours["machine"].startswith("cpu-"):
        return f"expected a GPU for --device {plan.device}, found none that NVML shows"
    file = folder / "plan.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, ours)
        return ""
    theirs = json.loads(file.read_text())
    for name, value in ours.items():
        if theirs[name] != value:
            return (
                f"{folder} holds results of another {name}: expected {value}, got {theirs[name]}; "
                "give another folder, or move this one away"
            )
    return ""


def alone(step: str, folder: Path, plan: Plan) -> int:
    """Run one step in this process, and write its file."""
    start = clock.read()
    try:
        found = STEPS[step](folder, plan)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 4
    commit = pytest_format.commit_info()
    found |= {"seconds": clock.read() - start, "commit": commit["id"], "dirty": commit["dirty"]}
    write_json(folder / f"{step}.json", found)
    return 0


def run(folder: Path, steps: Sequence[str], options: Sequence[str]) -> int:
    """Run each step that has no file yet. 1 if one failed: the others are run all the same.

    But for the checkpoint, which all others need.
    """
    failed = []
    for step in steps:
        if (folder / f"{step}.json").exists():
            print(f"{step}: done before", flush=True)
            continue
        start = clock.read()
        log = folder / f"{step}.log"
        print(f"{step}: running; its log: {log}", flush=True)
        command = [sys.executable, "-m", "tests.tools.gpu_check", *options, f"--only={step}"]
        try:
            status = _run(command, log)
        except KeyboardInterrupt:
            print(f"interrupted: {step} is lost, what was done before stays", flush=True)
            return ExitStatus.INTERRUPTED
        took = f"{clock.read() - start:.0f} s"
        if status == 0:
            print(f"{step}: {took}", flush=True)
            continue
        last = (log.read_text().strip().splitlines() or ["nothing was said"])[-1]
        failed.append(step)
        print(f"{step}: failed after {took}: {last}", flush=True)
        if step == "checkpoint":
            break
    if failed:
        print(f"failed: {', '.join(failed)}; repair it, and run the same again", flush=True)
    return 1 if failed else 0


def _run(command: Sequence[str], log: Path) -> int:
    """Run a step with its output in a log. Whatever ends this process ends all that it started."""
    with log.open("w") as output, interrupts.interruptible():
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return process.wait()
        finally:
            kill_group(process)


def conclude(folder: Path) -> None:
    """Print and store the verdicts of all duets, pack what may be published, and say where."""
    stored = []
    for duet, verdicts in judged(folder / "duets"):
        name = f"{Path(duet.folder).name}: {duet}"
        print("", name, *verdict_table.lines(verdicts), sep="\n")
        stored.append({"duet": name, "verdicts": [each.as_record() for each in verdicts]})
    write_json(folder / "verdicts.json", stored)
    pack(folder, folder / "raw")
    print(f"\nresults: {folder}", end="")
    sessions, artifacts = folder / "sessions", folder / "artifacts"
    if sessions.exists():
        options = [f"--artifacts={artifacts}"] if artifacts.exists() else []
        command = ["report", str(sessions), *options, f"--out={folder / 'report.html'}"]
        print(f"; a page of them: python -m benchmarks {shlex.join(command)}", end="")
    print(flush=True)


def judged(folder: Path) -> list[tuple[SavedDuet, list[Verdict]]]:
    """Return each duet below a folder with its verdicts."""
    duets, _ = saved_duets.find(baseline.stored(folder).sessions)
    return [(each, judge(each.base, each.head, paired=True, alpha=each.alpha)) for each in duets]


def pack(folder: Path, raw: Path) -> None:
    """Compress all results, but for profiles, without what is nobody's business."""
    for file in sorted(folder.rglob("*.json")):
        if "artifacts" not in file.parts:
            target = raw / file.relative_to(folder).with_suffix(".json.gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps(public(json.loads(file.read_text())), indent=1)
            target.write_bytes(gzip.compress(content.encode(), mtime=0))


def public(content: Any) -> Any:
    """Return what was stored without what names a machine or its folders."""
    if isinstance(content, dict):
        return {k: None if k in PRIVATE else public(v) for k, v in content.items()}
    return [public(each) for each in content] if isinstance(content, list) else content


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
    found: dict[str, Any] = {"read_bytes_per_s": _read_rate(files[:2])}
    if plan.device == "cuda":
        found |= _device_limits(target.device)
        found["quantized_on_device"] = _weights_agree(plan)
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
    "stranger": stranger,
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


def _weights_agree(plan: Plan) -> dict[str, Any]:
    """Compare the bits of quantizing on the device with those of transformers' own way."""
    import torch

    target = _target(replace(plan, model=SMALL.model))
    with loading.load(target, "int8-decomp", cold=True) as engine:
        ours = {name: each.clone() for name, each in engine.model.state_dict().items()}
        count = engine.quantized_on_device
    with (
        mock.patch.object(quantizing, "on_device", return_value=nullcontext(quantizing.Seen())),
        loading.load(target, "int8-decomp", cold=False) as engine,
    ):
        theirs = engine.model.state_dict()
        equal = ours.keys() == theirs.keys() and all(
            torch.equal(ours[name], theirs[name]) for name in ours
        )
    return {"model": SMALL.model, "weights": count, "equal": equal}


def _read_rate(files: Sequence[Path]) -> float:
    """Return the bytes per second that files are read with, from memory if they are cached."""
    buffer = bytearray(1 << 24)
    start = clock.read()
    count = 0
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while part := stream.readinto(buffer):
                count += part
    return count / (clock.read() - start)


def _device_limits(device: torch.device) -> dict[str, Any]:
    """Return copy rates, the seconds of a launch and of a wait, and what a sample costs."""
    import torch

    from benchmarks.machine import nvml

    def per_call(work: Callable[[], object], times: int) -> float:
        work()
        torch.cuda.synchronize()
        start = clock.read()
        for _ in range(times):
            work()
        torch.cuda.synchronize()
        return (clock.read() - start) / times

    size = 1 << 30
    there = torch.empty(size, dtype=torch.uint8, device=device)
    pageable = torch.ones(size, dtype=torch.uint8)
    pinned = pageable.pin_memory()
    one = torch.ones(1, device=device)
    found: dict[str, Any] = {
        "pageable_copy_bytes_per_s": size / per_call(lambda: there.copy_(pageable), 3),
        "pinned_copy_bytes_per_s": size / per_call(lambda: there.copy_(pinned), 3),
        "launch_s": per_call(lambda: one.add_(1), 2000),
        "launch_and_wait_s": per_call(lambda: one.add_(1).item(), 2000),
    }
    watched = nvml.find(device)
    if isinstance(watched, nvml.Gpu):
        plain = _median_s(lambda: watched.sample(processes=False), 200)
        listing = _median_s(watched.sample, 200)
        every = nvml.PROCESSES_EVERY
        found["nvml_sample_s"], found["nvml_sample_with_processes_s"] = plain, listing
        found["nvml_share"] = (plain * (1 - 1 / every) + listing / every) / nvml.INTERVAL_S
    return found


def _median_s(work: Callable[[], object], times: int) -> float:
    """Return the seconds of a call: a stall of the host, which hits one of them, doesn't count."""
    found = []
    for _ in range(times):
        start = clock.read()
        work()
        found.append(clock.read() - start)
    return median(found)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
