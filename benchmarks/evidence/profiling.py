"""Where the time goes: the prefill and some decode steps as hotspots, and as files."""

from __future__ import annotations

import gzip
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import ProfilerError
from benchmarks.evidence.flame import fold
from benchmarks.evidence.tracing import (
    DECODE_STEPS,
    decode_within,
    exported,
    recorded,
    recording,
    trace_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine

TOP = 30  # hotspots that are stored


@dataclass(frozen=True)
class Hotspot:
    """One operator: seconds spent in itself, on the device and on the host, over all calls."""

    name: str
    calls: int
    self_device_s: float
    self_host_s: float
    share: float  # of the sum over all operators, on the device if there is one


@dataclass(frozen=True)
class Profile:
    """The trace of one phase, as hotspots, worst first, and ready to be written to files."""

    phase: str
    steps: range | None
    hotspots: tuple[Hotspot, ...]
    trace: Any  # torch.profiler.profile, of operators alone
    chrome_trace: bytes  # gzipped JSON; empty if no files are wanted
    stacks: tuple[list[str], list[str]]  # folded, of host and device, from a run of its own
    wall_s: float  # of the traced window: longer than unprofiled

    def record(self) -> dict[str, object]:
        """Return what is stored of the profile."""
        return {
            "decode_steps": [self.steps.start, self.steps.stop] if self.steps else None,
            "wall_s": self.wall_s,
            "operators": [asdict(hotspot) for hotspot in self.hotspots[:TOP]],
        }

    def table(self) -> str:
        """Return the full table, all operators by their own time."""
        by = "self_device_time_total" if self.on_device else "self_cpu_time_total"
        return str(self.trace.key_averages().table(sort_by=by, row_limit=-1))

    @property
    def on_device(self) -> bool:
        """Whether any time was spent on a GPU."""
        return any(hotspot.self_device_s for hotspot in self.hotspots)

    def write(self, folder: Path) -> list[Path]:
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
        chrome_trace = gzip.compress(exported(operators))
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
