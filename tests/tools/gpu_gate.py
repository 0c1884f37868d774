"""The gate from end to end, as the workflow runs it: baselines, then pull requests.

Git, the sessions and `ci` are real; of the runner there are the variables that GitHub sets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import JUDGED, ExitStatus
from benchmarks.common.files import write_json
from benchmarks.machine import clock
from benchmarks.sessions.session import read_session
from tests.running import GIT, git
from tests.tools.gpu_origin import is_here
from tests.tools.gpu_pull_requests import PULL_REQUESTS, added, plug_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.tools.gpu_plan import Gated

ROOT = Path(__file__).parents[2]
SOMEBODY = {
    f"GIT_{who}_{what}": "somebody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}

SESSION = ("pytest", "benchmarks")
PROMOTE = ("benchmarks", "promote", "--latest", "--force=whatever the wall was on this host")


def measure(folder: Path, gated: Gated, options: Sequence[str], device: str) -> dict[str, Any]:
    """Return status, seconds and verdicts of each pull request, and of the baselines before it.

    `options` are those of every session. What a call before measured on this card, and was cut
    short after, isn't measured again. Raises InputError if a status isn't as expected.
    """
    so_far = folder / "so-far.json"
    main, asked = folder / "main", [*options, *gated.options]
    cuda = device == "cuda"
    found: dict[str, Any] = {"baselines": [], "pull_requests": {}}
    if so_far.exists() and is_here(read_session(_newest(main)).hardware, device):
        found = json.loads(so_far.read_text())
    else:
        shutil.rmtree(folder, ignore_errors=True)
        repository(folder, added(PULL_REQUESTS["same"], (0.0, 0.0) if cuda else None, gated.layers))
    while len(found["baselines"]) < gated.baselines:
        one = _run(main, *SESSION, "--gate=work", "--benchmark-save=baseline", *asked)
        if one["status"] == ExitStatus.FAILED:  # which nothing but its work can be here
            raise InputError(
                f"expected a baseline like those before it, got one that regressed: {main}.log"
            )
        _must(main, *PROMOTE)
        found["baselines"].append(one)
        write_json(so_far, found)
    _must(main, "benchmarks", "baselines", "push")
    spent = _device_time(_newest(main)) if cuda else None
    for name in gated.pull_requests:
        if name in found["pull_requests"]:
            continue
        asks = PULL_REQUESTS[name]
        clone = pull_request(folder, name, added(asks, spent, gated.layers))
        _must(clone, "benchmarks", "baselines", "pull")
        command = [*SESSION, "--gate=strict", "--benchmark-save=strict", *asked]
        if not asks.wall:
            given = " ".join(asked)  # as the baselines: whole sessions
            command = ["benchmarks", "ci", "--base=origin/main", "--gate=work", "--options", given]
        with _busy() if asks.busy else nullcontext():
            found["pull_requests"][name] = _run(clone, *command)
        write_json(so_far, found)
    if others := wrong(found["pull_requests"]):
        expected = {name: PULL_REQUESTS[name].expected for name in others}
        raise InputError(f"expected {expected}, got {others}; {folder} has their logs")
    return found


def wrong(pull_requests: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the exit statuses that aren't as expected, by the names of the pull requests."""
    found = {name: each["status"] for name, each in pull_requests.items()}
    known = {name: PULL_REQUESTS[name].expected for name in found}
    return {name: n for name, n in found.items() if known[name] not in (n, None)}


def repository(folder: Path, change: str) -> Path:
    """Return a clone of a bare repository that holds the code of this checkout, and a change."""
    main, origin = folder / "main", folder / "origin.git"
    # What a folder holds beside the code, as .git, environments and results, is its own.
    names = ("benchmarks", "conftest.py", "pytest.ini", "pyproject.toml", "constraints.txt")
    main.mkdir(parents=True)
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, main / name)
    (main / ".gitignore").write_text("__pycache__/\n.benchmarks/\nartifacts/\n*.egg-info/\n")
    with (main / "conftest.py").open("a") as stream:
        stream.write('\npytest_plugins = ["slower"]\n')
    _write_plug_in(main, change)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", origin)
    git(main, "init", "--quiet", "--initial-branch=main")
    git(main, "remote", "add", "origin", origin)
    _commit(main, "main")
    git(main, "push", "--quiet", "origin", "main")
    return main


def pull_request(folder: Path, name: str, change: str) -> Path:
    """Return a clone of main in which a change is committed on a branch."""
    clone = folder / name
    shutil.rmtree(clone, ignore_errors=True)  # of a call that was cut short
    git(folder, "clone", "--quiet", folder / "origin.git", clone)
    git(clone, "checkout", "--quiet", "-b", name)
    _write_plug_in(clone, change)
    (clone / "CHANGES").write_text(f"{name}\n")
    _commit(clone, name)
    return clone


def _write_plug_in(clone: Path, change: str) -> None:
    (clone / "slower.py").write_text(plug_in(change))


def _device_time(session: Path) -> tuple[float, float]:
    """Return the device time of a decode step, in s, and the clock meanwhile, in Hz.

    Raises InputError if one of them wasn't measured.
    """
    (bench,) = read_session(session).measured.values()
    step_s = bench.metrics["decode_device_s"]
    clock_hz = bench.device_time.get("clocks", {}).get("sm_clock_hz")
    if not step_s or not clock_hz:
        raise InputError(
            f"{session}: expected device time and a clock, by which kernels are made slower; got "
            f"{step_s} s and {clock_hz} Hz"
        )
    return step_s, clock_hz


def _run(clone: Path, *command: str) -> dict[str, Any]:
    """Run a module as a step of a job, and return its status, its seconds, and its verdicts.

    Raises InputError if it judged nothing.
    """
    start = clock.read()
    summary = clone.parent / f"{clone.name}.summary.md"
    with (clone.parent / f"{clone.name}.log").open("a") as log:
        done = subprocess.run(
            [sys.executable, "-m", *command, f"--summary={summary}"],
            cwd=clone,
            env=GIT | {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode not in JUDGED:
        raise InputError(f"{clone}: expected a verdict, got status {done.returncode}: {log.name}")
    session = read_session(_newest(clone))
    return {
        "status": done.returncode,
        "seconds": clock.read() - start,
        "verdicts": list(session.verdicts),
        "wall": [reason for each in session.measured.values() for reason in each.doubts],
    }


def _newest(clone: Path) -> Path:
    """Return the session that was saved last."""
    files = (clone / ".benchmarks").glob("*/*.json")
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def _commit(clone: Path, message: str) -> None:
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", message)


def _must(clone: Path, *command: str) -> None:
    """Run a module that has to succeed. Raises InputError if it doesn't."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=clone,
        env=GIT | SOMEBODY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise InputError(f"{' '.join(command)}: expected status 0, got {done.returncode}: {said}")


@contextmanager
def _busy() -> Iterator[None]:
    """Keep each core that this process may use busy."""
    spin = [sys.executable, "-S", "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()
