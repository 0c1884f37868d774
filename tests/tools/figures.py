"""What only this machine's own clock can show: make figures.

Or python -m tests.tools.figures [NAME …], for some of it.

It prints figures, and fails on none of them: on a busy machine they are its neighbours' as well.
`duets` takes hours, so it is shown only if it is named; tests.tools.duet_figures alone has options.
Not collected by pytest.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager, redirect_stdout
from functools import cache
from math import exp
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.__main__ import Parser
from benchmarks.commands import measuring
from benchmarks.machine import clock, control_work
from benchmarks.machine.nvml import Gpu
from benchmarks.machine.validity import judge
from benchmarks.machine.watch import Watch
from benchmarks.measure.rounds import round_of
from benchmarks.model import loading
from benchmarks.model.target import find_target
from tests import browsing
from tests.fake_nvml import FakeNvml
from tests.tools import parity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

ROOT = Path(__file__).parents[2]
ROWS, NEW_TOKENS = 8, 12
PAIRS = 24
SESSIONS = 2000
INTERVAL_S = 0.02  # between two samples; of a benchmark it is longer
LONG = "duets"
SPIN = "import os\nos.sched_setaffinity(0, {%d})\nprint(flush=True)\nwhile True: pass"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each figure that is asked for, as soon as it is known."""
    parser = Parser(prog="python -m tests.tools.figures", description=__doc__)
    known = [*FIGURES, LONG]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)} (default: all but {LONG})"
    )
    names = parser.parse_args(arguments).names or list(FIGURES)
    if unknown := sorted({*names} - {*known}):
        parser.error(f"expected some of {', '.join(known)}; got {', '.join(unknown)}")
    for name in names:
        if name == LONG:
            subprocess.run([sys.executable, "-m", "tests.tools.duet_figures"], cwd=ROOT, check=True)
            continue
        for line in FIGURES[name]():
            print(f"{name}: {line}", flush=True)


def throughput() -> Iterator[str]:
    """Compare the suite's tokens/s with those of a loop that uses none of it."""
    with engine("int8-decomp") as loaded:
        workload = target().workload(ROWS, NEW_TOKENS)
        loaded.prepare(workload)
        loaded.warm_up(workload, 2)
        middle, error = parity.middle(parity.log_ratios(loaded, workload, PAIRS))
    yield f"suite : bare loop, tokens/s, {PAIRS} pairs: {exp(middle):.4f} ± {error:.4f}"


def decomposition() -> Iterator[str]:
    """Tell what the planted outliers cost."""
    workload = target().workload(ROWS, NEW_TOKENS)
    with engine("int8-decomp") as mixed, engine("int8") as plain:
        for each in (mixed, plain):
            each.prepare(workload)
            each.warm_up(workload, 1)
        ratios = [decode_s(mixed, workload) / decode_s(plain, workload) for _ in range(PAIRS // 3)]
    yield f"int8-decomp : int8, decode, median of {len(ratios)} pairs: {median(ratios):.2f}"


def watching() -> Iterator[str]:
    """Tell what it costs to watch rounds: a thread that samples a GPU, readings, the control."""
    device = target().device
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
    steady = control_work.measure(target().device)
    with spinning_beside(), Watch("cpu", threads=1, control=lambda: steady) as watch:
        rounds_s = [
            seconds_of(lambda: [control_work._count() for _ in range(20)]) for _ in range(5)
        ]
    found = judge(watch.observations(rounds_s))
    waited = found.readings["core_wait_share"]
    share = f"{waited:.0%} of the time" if isinstance(waited, float) else str(waited)
    verdict = "accepted" if found.valid else f"refused for {len(found.reasons)} reasons"
    yield f"a process that spins on this core, waited for a core {share}: {verdict}"


def collecting() -> Iterator[str]:
    """Compare collecting the suite with collecting nothing."""
    with tempfile.TemporaryDirectory() as empty:
        plain = ["-c", os.devnull, f"--rootdir={empty}", empty]
        took = {
            what: min(cpu_s("-m", "pytest", "--collect-only", "-q", *options) for _ in range(3))
            for what, options in (("suite", ["benchmarks"]), ("nothing", plain))
        }
    yield (
        f"the suite : an empty folder, CPU time, best of 3: {took['suite'] / took['nothing']:.2f} "
        f"({took['suite']:.2f} s)"
    )


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
    "decomposition": decomposition,
    "watching": watching,
    "neighbour": neighbour,
    "collecting": collecting,
    "page": page,
}


@cache
def target() -> Target:
    """Return the tiny model on the CPU, as what is measured."""
    parser = Parser()
    measuring.add_arguments(parser)
    given = parser.parse_args(["--model=synthetic:tiny", "--device=cpu"])
    return find_target(measuring.conditions(given).settings, print)


def engine(quantization: str) -> Engine:
    """Load it."""
    return loading.load(target(), quantization, cold=False)


def decode_s(loaded: Engine, workload: Workload) -> float:
    """Return the seconds of a generation after its first token."""
    generation = loaded.generate(workload)
    return sum(round_of(generation, generation.seconds).step_s)


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = clock.read()
    work()
    return clock.read() - start


def cpu_s(*arguments: str) -> float:
    """Return the CPU seconds that this Python takes for something."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
