"""What only this machine's own clock can show: make figures.

Or python -m tests.tools.figures [NAME …], for some of it.

It prints figures, and fails on none of them: on a busy machine they are its neighbours' as well.
Not collected by pytest.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from benchmarks.__main__ import Parser
from benchmarks.commands import measuring
from benchmarks.machine import clock, control_work
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.validity import judge
from benchmarks.machine.watch import Watch
from benchmarks.model.target import find_target
from tests import browsing
from tests.duets import given
from tests.fake_nvml import FakeNvml
from tests.tools import parity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROWS, NEW_TOKENS = 8, 12
PAIRS = 24
SESSIONS = 2000
INTERVAL_S = 0.02  # between two samples; of a benchmark it is longer
SPIN = "import os\nos.sched_setaffinity(0, {%d})\nprint(flush=True)\nwhile True: pass"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each figure that is asked for, as soon as it is known."""
    parser = Parser(prog="python -m tests.tools.figures", description=__doc__)
    known = ", ".join(FIGURES)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known} (default: all)")
    names = parser.parse_args(arguments).names or list(FIGURES)
    if unknown := sorted({*names} - {*FIGURES}):
        parser.error(f"expected some of {known}; got {', '.join(unknown)}")
    for name in names:
        for line in FIGURES[name]():
            print(f"{name}: {line}", flush=True)


def throughput() -> Iterator[str]:
    """Compare the suite's tokens/s with those of a loop that uses none of it."""
    options = given("--model=synthetic:tiny", "--device=cpu")
    target = find_target(measuring.conditions(options).settings, print)
    workload = target.workload(ROWS, NEW_TOKENS)
    yield str(parity.compare(target, "int8-decomp", workload, PAIRS))


def watching() -> Iterator[str]:
    """Tell what it costs to watch rounds: a thread that samples a GPU, readings, the control."""
    device = torch.device("cpu")
    work = control_work._products(device)
    rounds: dict[bool, list[float]] = {True: [], False: []}
    looks = []
    for number in range(2 * PAIRS):
        sampled = bool(number % 2)
        gpu = Gpu(FakeNvml(pids=[os.getpid()]), "handle") if sampled else None
        watch = Watch("cpu", threads=1, control=None, gpu=gpu, interval_s=INTERVAL_S)
        start = clock.read()
        with watch:
            rounds[sampled].append(seconds_of(lambda: [work() for _ in range(4)]))
        looks.append(clock.read() - start - rounds[sampled][-1])
    ratio = median(rounds[True]) / median(rounds[False])
    yield f"a sample each {1e3 * INTERVAL_S:g} ms, rounds with : without: {ratio:.4f}"
    yield f"to look at the machine before and after: {1e3 * median(looks):.1f} ms"
    yield f"a control: {seconds_of(lambda: control_work.measure(device)):.2f} s"


def neighbour() -> Iterator[str]:
    """Tell what is seen of a process that spins on the same core."""
    if not hasattr(os, "sched_setaffinity"):
        yield "not shown: this system can't keep a process to one core"
        return
    steady = control_work.measure(torch.device("cpu"))
    with spinning_beside(), Watch("cpu", threads=1, control=lambda: steady) as watch:
        rounds_s = [
            seconds_of(lambda: [control_work._count() for _ in range(20)]) for _ in range(5)
        ]
    found = judge(watch.observations(rounds_s))
    waited = found.readings["core_wait_share"]
    share = f"{waited:.0%} of the time" if isinstance(waited, float) else str(waited)
    verdict = "accepted" if found.valid else f"refused for {len(found.reasons)} reasons"
    yield f"a process that spins on this core, waited for a core {share}: {verdict}"


def page() -> Iterator[str]:
    """Tell how soon the page of a long history can be read."""
    try:
        with tempfile.TemporaryDirectory() as folder, browsing.chromium() as browser:
            with redirect_stdout(io.StringIO()):
                file = browsing.history(Path(folder), SESSIONS)
            start = clock.read()
            tab = browsing.Opened(browser, file)
            opened_s = clock.read() - start
            drawn_s = seconds_of(tab.history_drawn)
            size = file.stat().st_size / 1e6
            tab.close()
    except LookupError as missing:
        yield f"not shown: {missing}"
        return
    yield (
        f"of {SESSIONS:,} sessions, {size:.2f} MB: first chart after {opened_s:.2f} s, of the "
        f"history {drawn_s:.2f} s after scrolling there"
    )


FIGURES: dict[str, Callable[[], Iterator[str]]] = {
    "throughput": throughput,
    "watching": watching,
    "neighbour": neighbour,
    "page": page,
}


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = clock.read()
    work()
    return clock.read() - start


@contextmanager
def spinning_beside() -> Iterator[None]:
    """Keep this process to one core, and let another one spin there."""
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, {core})
    command = [sys.executable, "-c", SPIN % core]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield
        finally:
            process.kill()
            os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
