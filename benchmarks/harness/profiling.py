"""Where the time goes: a profiled prefill and profiled decode steps, as hotspots and files."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.harness import clock
from benchmarks.harness.errors import ProfilerError
from benchmarks.harness.flame import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import torch

    from benchmarks.harness.engine import Engine
    from benchmarks.harness.workload import Workload

DECODE_STEPS = range(2, 6)  # fixed: outliers, and with them the operators, differ from step to step
ATTEMPTS = 3  # to record a trace that has what the GPU did
TOP = 30  # hotspots that are stored
T = TypeVar("T")


@dataclass(frozen=True)
class Hotspot:
    """One operator: seconds spent in itself, on the device and on the host, over all calls."""

    name: str
    calls: int
    self_device_s: float
    self_host_s: float
    share: float  # of the sum over all operators, on the device where there is one


@dataclass(frozen=True)
class Profile:
    """The trace of one phase, as hotspots, worst first, and ready to be written to files."""

    phase: str
    steps: range | None
    hotspots: tuple[Hotspot, ...]
    trace: Any  # torch.profiler.profile, of operators alone
    chrome_trace: bytes  # gzipped JSON; empty where no files are wanted
    stacks: tuple[list[str], list[str]]  # folded, of host and device, from a run of its own
    wall_s: float  # of the traced window: longer than unprofiled

    def record(self) -> dict[str, object]:
        """Return what is stored of the profile."""
        return {
            "decode_steps": [self.steps.start, self.steps.stop] if self.steps else None,
            "wall_s": self.wall_s,
            "device_busy_share": self.device_busy_share,
            "operators": [asdict(hotspot) for hotspot in self.hotspots[:TOP]],
        }

    def table(self) -> str:
        """Return the full table, all operators by their own time."""
        by = "self_device_time_total" if self.on_device else "self_cpu_time_total"
        return str(self.trace.key_averages().table(sort_by=by, row_limit=-1))

    def script_table(self) -> str:
        """Return the table of the old script: by total CPU time, top-level operators, 50 rows.

        Made from a trace without Python frames: with them, as in the script, the only two
        top-level events are the interpreter's own.
        """
        averages = self.trace.key_averages()
        return str(
            averages.table(
                sort_by="cpu_time_total",
                max_name_column_width=50,
                top_level_events_only=True,
                row_limit=50,
            )
        )

    @property
    def on_device(self) -> bool:
        """Whether any time was spent on a GPU."""
        return any(hotspot.self_device_s for hotspot in self.hotspots)

    @property
    def device_busy_share(self) -> float | None:
        """The share of the window in which the GPU worked on an operator; None without a GPU."""
        if not self.on_device:
            return None
        return sum(hotspot.self_device_s for hotspot in self.hotspots) / self.wall_s

    def write(self, folder: Path, *, script_table: bool) -> list[Path]:
        """Write table, Chrome trace and folded stacks into a folder, and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        table = folder / f"{self.phase}.table.txt"
        trace = folder / f"{self.phase}.trace.json.gz"
        table.write_text(self.table(), encoding="utf-8")
        trace.write_bytes(self.chrome_trace)
        files = [table, trace]
        for where, lines in zip(("host", "device"), self.stacks, strict=True):
            if lines:
                files.append(folder / f"{self.phase}.{where}.stacks.txt")
                files[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if script_table:
            files.append(folder / f"{self.phase}.script-table.txt")
            files[-1].write_text(self.script_table(), encoding="utf-8")
        return files


def profile_prefill(engine: Engine, workload: Workload, *, frames: bool = True) -> Profile:
    """Profile the generation of a single token: the prompt pass, and the choice of the token.

    `frames`: record Python frames as well, in a second run; only files need them.
    """

    def run(trace: Any) -> float:
        with recording(trace) as wall_s:
            engine.run(workload, 1)
        return wall_s[0]

    return _profile("prefill", None, engine.device, run, frames=frames)


def profile_decode(
    engine: Engine, workload: Workload, steps: range = DECODE_STEPS, *, frames: bool = True
) -> Profile:
    """Profile a fixed range of decode steps; step k makes the token k + 1 of each row."""

    def run(trace: Any) -> float:
        return decode_within(engine, workload, steps, recording(trace))[0]

    return _profile("decode", steps, engine.device, run, frames=frames)


def decode_within(
    engine: Engine, workload: Workload, steps: range, window: AbstractContextManager[T]
) -> T:
    """Generate, be inside `window` for a range of decode steps, and return what it gave."""
    passes = itertools.count(1)  # forward passes: the prefill is the first
    given: list[T] = []

    def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        number = next(passes)
        if number == steps.start:
            given.append(stack.enter_context(window))
        if number == steps.stop:
            stack.close()
        return scores

    with ExitStack() as stack:  # ends it too where the generation fails in between
        engine.run(workload, steps.stop, step)
    return given[0]


def trace_events(trace: Any) -> list[dict[str, Any]]:
    """Return the events of a finished trace, as Chrome's trace format has them."""
    events: list[dict[str, Any]] = json.loads(_exported(trace))["traceEvents"]
    return events


def _exported(trace: Any) -> bytes:
    """Return a finished trace as JSON, before another one is recorded.

    A later recording may take the GPU's part out of a trace that was not exported yet.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(file))
        return file.read_bytes()


def _profile(
    phase: str,
    steps: range | None,
    device: torch.device,
    run: Callable[[Any], float],
    *,
    frames: bool,
) -> Profile:
    """Run twice: Python frames slow the operators down, so stacks are a recording of their own."""
    operators, wall_s = recorded(device, run)
    hotspots = tuple(_hotspots(operators))
    chrome_trace = b""
    stacks: tuple[list[str], list[str]] = ([], [])
    if frames:
        chrome_trace = gzip.compress(_exported(operators))
        stacks = fold(trace_events(recorded(device, run, with_stack=True)[0]))
    profile = Profile(phase, steps, hotspots, operators, chrome_trace, stacks, wall_s)
    if not profile.hotspots:
        raise ProfilerError(f"the profile of the {phase} is empty; torch.profiler saw no operator")
    if device.type == "cuda" and not profile.on_device:
        raise ProfilerError(
            f"the profile of the {phase} has no GPU activity: CUPTI can't be used; "
            "end other profilers, and check the driver's profiling permissions"
        )
    return profile


def recorded(device: torch.device, run: Callable[[Any], T], **options: bool) -> tuple[Any, T]:
    """Return a trace of what `run(trace)` records, and what it returned; options of `new_trace`.

    On CUDA the second of two traces in quick succession may lack all that the GPU did, since CUPTI
    is torn down late (github.com/pytorch/kineto/issues/1554, open). Then it is recorded again.
    """
    for _ in range(ATTEMPTS):
        trace = new_trace(device, **options)
        result = run(trace)
        if device.type != "cuda" or _saw_device(trace):
            break
    return trace, result


def _saw_device(trace: Any) -> bool:
    """Whether it has kernels that belong to an operator: annotations on the GPU's track don't.

    Asked of the raw events, as torch attaches kernels: its tables of a long trace take ten times
    as long.
    """
    from torch._C._autograd import DeviceType

    events = trace.profiler.kineto_results.events()
    operators = {e.correlation_id() for e in events if e.device_type() == DeviceType.CPU} - {0}
    return any(
        event.device_type() != DeviceType.CPU
        and event.linked_correlation_id() in operators
        and not event.is_user_annotation()
        for event in events
    )


def new_trace(device: torch.device, *, with_stack: bool = False, with_memory: bool = False) -> Any:
    """Return a trace of this device, to be recorded; with Python frames, or with allocations."""
    from torch.profiler import ProfilerActivity, profile

    # Otherwise CUPTI stays attached, and slows down every kernel launch of the process from here
    # on, by a tenth and more (github.com/pytorch/pytorch/issues/144455).
    os.environ.setdefault("TEARDOWN_CUPTI", "1")
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    return profile(
        activities=activities,
        with_stack=with_stack,
        with_modules=with_stack,
        profile_memory=with_memory,
    )


@contextmanager
def recording(trace: Any) -> Iterator[list[float]]:
    """Record what runs inside, device work included, and nothing that was queued before.

    The list that it gives holds the seconds of the window once it is closed.
    """
    import torch

    if torch._C._autograd._profiler_enabled():  # starting a second one would silently end the first
        raise ProfilerError(
            "torch.profiler can't start: another profiler is active in this process; end it first"
        )
    clock.now()
    try:
        trace.start()
    except (RuntimeError, AssertionError) as error:
        raise ProfilerError(
            f"torch.profiler can't start ({error}); end other profilers of this process"
        ) from error
    wall_s: list[float] = []
    start = clock.now()
    try:
        yield wall_s
        wall_s.append(clock.now() - start)
    finally:
        trace.stop()
        clock.now()  # CUPTI is torn down in a CUDA call after the stop: before the next recording


def _hotspots(trace: Any) -> list[Hotspot]:
    """Sum the operators by name, worst first; GPU kernels count for the operator that ran them."""
    from torch._C._autograd import DeviceType

    rows = [row for row in trace.key_averages() if row.device_type == DeviceType.CPU]
    device_us = sum(row.self_device_time_total for row in rows)
    host_us = sum(row.self_cpu_time_total for row in rows)
    hotspots = [
        Hotspot(
            name=row.key,
            calls=row.count,
            self_device_s=row.self_device_time_total / 1e6,
            self_host_s=row.self_cpu_time_total / 1e6,
            share=(
                row.self_device_time_total / device_us
                if device_us
                else row.self_cpu_time_total / max(host_us, 1e-9)
            ),
        )
        for row in rows
    ]
    return sorted(hotspots, key=lambda each: (-each.self_device_s, -each.self_host_s, each.name))
