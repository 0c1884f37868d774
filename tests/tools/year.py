"""What a year of sessions costs: `python -m tests.tools.year SESSION [--sessions N] [--whole]`.

Makes N baselines out of one real session, each with times of its own, and shows the size of the
branch and the seconds of what reads it, as pushes keep it; and with --whole, before the first push.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sessions import storage
from benchmarks.sessions.baseline import MOST
from benchmarks.sharing import branch, thinning
from tests.running import GIT, git
from tests.tools import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAME = "baselines"
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Make the sessions, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("session", type=Path)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--whole", action="store_true", help="begin with whole sessions")
    arguments = parser.parse_args()
    model = stored.read(arguments.session)
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = (Path(name) / each for each in ("one", "two"))
        git(ours.parent, "init", "--quiet", "--bare", "remote.git")
        git(ours.parent / "remote.git", "config", "uploadpack.allowFilter", "true")
        for clone in (ours, theirs):
            remote = (ours.parent / "remote.git").as_uri()
            git(ours.parent, "clone", "--quiet", remote, clone.name)
        if arguments.whole:
            whole = ours / ".benchmarks"
            _make(whole, model, range(arguments.sessions))
            print(f"{arguments.sessions} whole sessions: {_size(whole)}", flush=True)
            _readers("whole", whole)
            _timed("the first push", lambda: _branch(ours).push(whole))
        else:
            _commit(ours, model, arguments.sessions)
        print(f"the branch, as git packs its newest commit: {_packed(ours.parent)}", flush=True)
        _use(theirs, model, arguments.sessions)


def _use(checkout: Path, model: dict[str, Any], count: int) -> None:
    """Show what a runner does with the branch: it pulls, pushes one session more, shows history."""
    pulled, shared = checkout / ".benchmarks", _branch(checkout)
    _timed("a pull", lambda: shared.pull(pulled))
    print(f"pulled: {_count(pulled)} sessions, {_size(pulled)}", flush=True)
    _readers("pulled", pulled)
    _make(pulled, model, [count])
    _timed("a push of one more", lambda: shared.push(pulled))
    _timed("a pull with --history", lambda: shared.pull(pulled, history=True))
    print(f"pulled with history: {_count(pulled)} sessions, {_size(pulled)}", flush=True)
    _readers("pulled with history", pulled)


def _commit(checkout: Path, model: dict[str, Any], count: int) -> None:
    """Put sessions on the branch as so many pushes would have left them."""
    _make(checkout, model, [*range(MOST), *range(count - MOST, count)])
    _make(checkout, model, range(MOST, count - MOST), thinned=True)
    print(f"{count} sessions, thinned: {_size(checkout)}", flush=True)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message=a year")
    git(checkout, "push", "--quiet", "origin", f"HEAD:refs/heads/{NAME}")


def _make(
    folder: Path, model: dict[str, Any], numbers: Iterable[int], *, thinned: bool = False
) -> None:
    """Write sessions of these numbers, four hours apart."""
    where = folder / "gpu" / (branch.HISTORY if thinned else "")
    where.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        chance = random.Random(n)
        content = copy.deepcopy(model)
        content["datetime"] = (START + timedelta(hours=4 * n)).isoformat()
        content["commit_info"] = {"id": f"{n:040x}", "branch": "main", "dirty": False}
        mark = {"when": content["datetime"], "forced": None}
        content["llm_int8"] |= {"passed": True, "exit_status": 0, "promoted": mark}
        for each in content["benchmarks"]:
            _vary(each, chance.gauss(1, 0.007))
        if thinned:
            content = thinning.thin(content, str(n))
        with (where / f"{n + 1:05}_nightly.json").open("w", encoding="ascii") as stream:
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
    return branch.Branch("origin", NAME, {**os.environ, **GIT}, folder)


def _timed(what: str, do: Callable[[], Any]) -> None:
    """Say how long it took, and of that how long a processor, git's included."""
    began, used = time.perf_counter(), sum(os.times()[:4])
    do()
    spent = sum(os.times()[:4]) - used
    print(f"{what}: {time.perf_counter() - began:.1f} s, processor {spent:.1f} s", flush=True)


def _readers(what: str, folder: Path) -> None:
    """Time `baselines list`, a history and a page, in processes of their own, with their memory."""
    page = str(folder.parent / "page.html")
    listing = ["baselines", "list", "--storage", str(folder)]
    for command in (listing, ["history", str(folder)], ["report", str(folder), "--out", page]):
        run = [sys.executable, "-m", "benchmarks", *command]
        with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        spent, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
        print(f"{what}, {command[0]}: processor {spent:.1f} s, {megabytes:.0f} MB", flush=True)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.json"))


def _size(folder: Path) -> str:
    return f"{sum(each.stat().st_size for each in folder.rglob('*.json')) / 1e6:.1f} MB"


def _packed(here: Path) -> str:
    """Return the size of what a clone of depth one fetches."""
    shallow = ("clone", "--quiet", "--bare", "--depth=1", f"--branch={NAME}")
    git(here, *shallow, (here / "remote.git").as_uri(), "packed")
    found = sum(each.stat().st_size for each in (here / "packed").rglob("*") if each.is_file())
    return f"{found / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
