"""Everything that only a GPU can show, in one folder of results: `make gpu-check`.

A step whose file is there is not run again, so a run that was cut short goes on where it was, as
long as plan, machine, versions and commit are the same. A duet that was cut short begins anew.
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
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import interrupts
from benchmarks.common.errors import HarnessError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import write_json
from benchmarks.common.packages import COMPARED
from benchmarks.common.process import kill_group
from benchmarks.duet import saved_duets
from benchmarks.machine import clock, identity
from benchmarks.report import verdict_lines
from benchmarks.sessions import baseline, instants
from benchmarks.sessions.pytest_format import commit_info
from benchmarks.verdicts.judgement import judge
from tests.tools.gpu_origin import origin
from tests.tools.gpu_plan import SMALL, Plan
from tests.tools.gpu_sessions import ROOT
from tests.tools.gpu_steps import BY_NAME, STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.duet.saved_duets import Duet
    from benchmarks.sessions.outcome import Verdict

KNOWN = {**STEPS, **BY_NAME}
PRIVATE = {
    "node",
    "release",
    "place",
    "command",
    "remote",
}  # keys of what names a machine or its folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps that are wanted and not done, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where results go; of one machine alone")
    others = ", ".join(BY_NAME)
    parser.add_argument(
        "--steps",
        default=",".join(STEPS),
        help=f"in this order (default: all but {others})",
    )
    parser.add_argument("--small", action="store_true", help="a tiny model and few rounds")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", help="another one than synthetic:llama-3.1-8b")
    parser.add_argument("--quantizations", metavar="A,B", help="other ones than all four")
    parser.add_argument("--only", choices=KNOWN, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    plan = replace(SMALL if asked.small else Plan(), device=asked.device)
    plan = replace(
        plan,
        model=asked.model or plan.model,
        quantizations=asked.quantizations or plan.quantizations,
    )
    steps = asked.steps.split(",")
    if unknown := sorted(set(steps) - set(KNOWN)):
        parser.error(f"--steps: expected some of {', '.join(KNOWN)}; got {', '.join(unknown)}")
    folder = asked.folder.resolve()
    if asked.only:
        return alone(asked.only, folder, plan)
    if wrong := another(folder, plan):
        print(f"gpu-check: {wrong}", file=sys.stderr)
        return 4
    small = ["--small"] if asked.small else []
    options = [str(folder), f"--device={plan.device}", f"--model={plan.model}", *small]
    options.append(f"--quantizations={plan.quantizations}")
    status = run(folder, steps, options)
    if status == 0:
        conclude(folder)
    return status


def another(folder: Path, plan: Plan) -> str:
    """Return why a folder's results are not those of this plan and code here; "" if they may be."""
    commit = commit_info()
    ours = {
        "plan": json.loads(json.dumps(asdict(plan))),
        "machine": identity.folder_name(plan.device, os.environ.get("CUDA_VISIBLE_DEVICES")),
        "versions": {name: metadata.version(name) for name in COMPARED},
        "commit": {name: commit[name] for name in ("id", "dirty")},
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
        if (known := theirs.get(name)) != value:
            return (
                f"{folder} holds results of another {name}: expected {value}, got {known}; "
                "give another folder, or move this one away"
            )
    return ""


def alone(step: str, folder: Path, plan: Plan) -> int:
    """Run one step in this process, and write its file."""
    start = clock.read()
    try:
        found = KNOWN[step](folder, plan)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 4
    ended = {"seconds": clock.read() - start, "ended": instants.now().isoformat()}
    write_json(folder / f"{step}.json", found | ended | origin(plan.device))
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
        print("", name, *verdict_lines.lines(verdicts), sep="\n")
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


def judged(folder: Path) -> list[tuple[Duet, list[Verdict]]]:
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


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
