"""What a year of sessions costs: `python -m tests.tools.year SESSION [--sessions N]`.

Makes N baselines out of one real session, each with times and device times of its own, and shows
sizes and seconds of the branch and of what reads it: whole, and as `baselines push` keeps them.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sessions import storage
from benchmarks.sharing import branch
from tests.running import GIT, git

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Make the sessions, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", type=Path)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--whole", action="store_true", help="time what reads whole ones as well")
    arguments = parser.parse_args()
    read = gzip.decompress if arguments.session.suffix == ".gz" else bytes
    model = json.loads(read(arguments.session.read_bytes()))
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        whole = here / "one" / ".benchmarks"
        git(here, "init", "--quiet", "--bare", "remote.git")
        git(here / "remote.git", "config", "uploadpack.allowFilter", "true")
        for clone in ("one", "two"):
            git(here, "clone", "--quiet", (here / "remote.git").as_uri(), clone)
        _make(whole, model, arguments.sessions)
        print(f"{arguments.sessions} whole sessions: {_size(whole)}")
        if arguments.whole:
            _readers("whole", whole)
        ours, theirs = (_branch(here / each) for each in ("one", "two"))
        _timed("the first push", lambda: ours.push(whole))
        print(f"the branch, as git keeps its newest commit: {_packed(here)}")
        pulled = here / "two" / ".benchmarks"
        _timed("a pull", lambda: theirs.pull(pulled))
        print(f"pulled: {_count(pulled)} sessions, {_size(pulled)}")
        _readers("pulled", pulled)
        _make(pulled, model, 1, first=arguments.sessions)
        _timed("a push of one more", lambda: theirs.push(pulled))
        _timed("a pull with --history", lambda: theirs.pull(pulled, history=True))
        print(f"pulled with history: {_count(pulled)} sessions, {_size(pulled)}")
        _readers("pulled with history", pulled)


def _make(folder: Path, model: dict[str, Any], count: int, first: int = 0) -> None:
    for n in range(first, first + count):
        chance = random.Random(n)  # no secrets
        content = copy.deepcopy(model)
        content["datetime"] = (START + timedelta(hours=4 * n)).isoformat()
        content["commit_info"] = {"id": f"{n:040x}", "branch": "main", "dirty": False}
        mark = {"when": content["datetime"], "forced": None}
        content["llm_int8"] |= {"passed": True, "exit_status": 0, "promoted": mark}
        for each in content["benchmarks"]:
            _vary(each, chance.gauss(1, 0.007))
        path = folder / "gpu" / f"{n + 1:05}_nightly.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="ascii") as stream:
            storage.dump(content, stream)


def _vary(benchmark: dict[str, Any], factor: float) -> None:
    info = benchmark["extra_info"]
    info["validity"] |= {"valid": True, "reasons": [], "findings": []}
    benchmark["stats"]["data"] = [each * factor for each in benchmark["stats"]["data"]]
    for name, value in info["metrics"].items():
        if name.endswith("_s") and value is not None:
            info["metrics"][name] = value * factor
    for timed in info["rounds"]:
        timed |= {name: timed[name] * factor for name in ("round_s", "ttft_s")}
        timed["step_s"] = [each * factor for each in timed["step_s"]]


def _branch(folder: Path) -> branch.Branch:
    return branch.Branch("origin", "baselines", {**os.environ, **GIT}, folder)


def _timed(what: str, do: Callable[[], Any]) -> None:
    began = time.perf_counter()
    do()
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


def _readers(what: str, folder: Path) -> None:
    """Time `baselines list` and a page, in processes of their own, with the page's memory."""
    page = str(folder.parent / "page.html")
    for command in (
        ["baselines", "list", "--storage", str(folder)],
        ["report", str(folder), "--out", page],
    ):
        began = time.perf_counter()
        run = [sys.executable, "-m", "benchmarks", *command]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)  # ours
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        seconds = time.perf_counter() - began
        print(f"{what}, {command[0]}: {seconds:.1f} s, at most {used:.0f} MB so far", flush=True)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.json"))


def _size(folder: Path) -> str:
    return f"{sum(each.stat().st_size for each in folder.rglob('*.json')) / 1e6:.1f} MB"


def _packed(here: Path) -> str:
    """Return the size of what a clone of depth one fetches."""
    git(
        here,
        "clone",
        "--quiet",
        "--bare",
        "--depth=1",
        "--branch=baselines",
        (here / "remote.git").as_uri(),
        "packed",
    )
    found = sum(each.stat().st_size for each in (here / "packed").rglob("*") if each.is_file())
    return f"{found / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
