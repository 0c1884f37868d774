"""Readings of the host: what else ran on it, and what this process may use of it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.common.quantity import Metric, Reading, Unmeasured
from benchmarks.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

ROOT = Path("/")  # tests give a folder of their own, with fake /proc and /sys below it
STAT_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
PROCESS = Path("/proc/self")  # Linux has it


def attempt(read: Callable[..., T], *arguments: Any) -> T | Unmeasured:
    """Return a reading, or the reason for which this machine doesn't give it."""
    try:
        return read(*arguments)
    except OSError as error:
        return Unmeasured(f"can't read {error.filename} ({error.strerror})")
    except (AttributeError, ImportError) as error:
        return Unmeasured(f"{sys.platform} doesn't have it ({error})")
    except (ValueError, LookupError) as error:
        return Unmeasured(f"not in the form that Linux documents ({error})")


def snapshot(root: Path = ROOT) -> dict[str, Metric]:
    """Return the counters of this moment; what happened meanwhile is the difference of two.

    Seconds of a steady clock, of CPU time, of throttling and of memory stalls; switches and
    swapped pages since the start of the process or the machine; the load average of one minute.
    """
    return {
        "wall_s": clock.read(),
        "cpu_s": attempt(lambda: sum(os.times()[:2])),
        "involuntary_switches": attempt(_usage, "ru_nivcsw"),
        "voluntary_switches": attempt(_usage, "ru_nvcsw"),
        "core_wait_s": attempt(_core_wait_s, root),
        "machine_busy_s": attempt(_machine_s, root, "user nice system irq softirq steal"),
        "machine_steal_s": attempt(_machine_s, root, "steal"),
        "load_average": attempt(lambda: os.getloadavg()[0]),
        "throttled_s": throttled_s(root),
        "memory_stall_s": attempt(_memory_stall_s, root),
        "swapped_pages": attempt(_swapped_pages, root),
    }


def facts(threads: int, root: Path = ROOT) -> dict[str, Reading]:
    """Return what doesn't change meanwhile: cores, quota, governor, and torch's `threads`."""
    return {
        "threads": threads,
        "machine_cores": _machine_cores(),
        "affinity_cores": _affinity_cores(),
        "quota_cores": quota_cores(root),
        "available_cores": available_cores(root),
        "governor": attempt(_governor, root),
    }


def available_cores(root: Path = ROOT) -> Metric:
    """Return how many cores' worth of time this process may use: of all limits the tightest."""
    known = (_machine_cores(), _affinity_cores(), quota_cores(root))
    limits = [n for n in known if not isinstance(n, Unmeasured)]
    return min(limits) if limits else known[0]


def core_at(place: float) -> int | None:
    """Return the core that `place`, from 0 to 1, draws from those that this thread may run on.

    The same for each process that may use the same. None if the system can't keep a thread to
    one core.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    core = cores[min(int(place * len(cores)), len(cores) - 1)]
    try:
        with kept_to(core):
            return core
    except OSError:
        return None


@contextlib.contextmanager
def kept_to(core: int | None) -> Iterator[None]:
    """Keep this thread to a core, and let it run where it could before when the block ends.

    Other threads of the process stay where they are; one that is started meanwhile keeps to the
    core as well. None: nothing is done. Raises OSError if the core can't be used.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def quota_cores(root: Path = ROOT) -> Metric:
    """Return how many cores' worth of time the tightest control group allows."""
    quotas = attempt(lambda: [_quota(folder) for folder in _cpu_groups(root)])
    if isinstance(quotas, Unmeasured):
        return quotas
    set_ones = [quota for quota in quotas if quota is not None]
    return min(set_ones) if set_ones else Unmeasured("no control group sets a CPU quota")


def throttled_s(root: Path = ROOT) -> Metric:
    """Return the seconds for which a quota stopped this process's control groups so far."""
    stats = attempt(lambda: [_pairs(folder / "cpu.stat") for folder in _cpu_groups(root)])
    if isinstance(stats, Unmeasured):
        return stats
    version_2 = [stat["throttled_usec"] / 1e6 for stat in stats if "throttled_usec" in stat]
    version_1 = [stat["throttled_time"] / 1e9 for stat in stats if "throttled_time" in stat]
    found = version_2 + version_1
    return max(found) if found else Unmeasured("no control group counts throttled time")


def _cpu_groups(root: Path) -> list[Path]:
    """Find the folders of this process's CPU control group and all above it (cgroups(7)).

    In a container the path may be the host's, which isn't mounted here; the mount itself is then
    the container's own group.
    """
    text = (root / "proc/self/cgroup").read_text(encoding="utf-8")
    top = root / "sys/fs/cgroup"
    folders: list[Path] = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount = top
        elif "cpu" in controllers.split(","):
            mount = next((m for m in (top / controllers, top / "cpu") if m.is_dir()), top)
        else:
            continue
        group = mount / path.lstrip("/")
        chain = [group, *group.parents]
        folders += chain[: chain.index(mount) + 1]
    return [folder for folder in folders if (folder / "cpu.stat").exists()]


def _quota(folder: Path) -> float | None:
    """Return a group's quota in cores, or None if it has none."""
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    if (folder / "cpu.cfs_quota_us").exists():
        quota, period = (
            (folder / name).read_text(encoding="ascii")
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
        return None if int(quota) < 0 else int(quota) / int(period)
    return None


def _machine_cores() -> Metric:
    return os.cpu_count() or Unmeasured("Python can't tell the number of cores")


def _affinity_cores() -> Metric:
    return attempt(lambda: len(os.sched_getaffinity(0)))


def _usage(field: str) -> int:
    import resource  # Unix only

    return int(getattr(resource.getrusage(resource.RUSAGE_SELF), field))


def _core_wait_s(root: Path) -> float:
    """Add the seconds for which this process's threads were ready to run, but had no core.

    The second figure of schedstat, in nanoseconds (Linux, Documentation/scheduler/sched-stats).
    Threads that ended are not in it.
    """
    files = sorted((root / "proc/self/task").iterdir())
    return sum(int((f / "schedstat").read_text(encoding="ascii").split()[1]) for f in files) / 1e9


def _machine_s(root: Path, fields: str) -> float:
    """Add the CPU seconds of the whole machine that went into these fields (proc_stat(5))."""
    first = (root / "proc/stat").read_text(encoding="ascii").splitlines()[0]
    ticks = dict(zip(STAT_FIELDS, map(int, first.split()[1:]), strict=False))
    return sum(ticks[field] for field in fields.split()) / os.sysconf("SC_CLK_TCK")


def _memory_stall_s(root: Path) -> float:
    """Return the seconds in which some process of the machine waited for memory (PSI)."""
    first = (root / "proc/pressure/memory").read_text(encoding="ascii").splitlines()[0]
    return int(first.rpartition("total=")[2]) / 1e6


def _swapped_pages(root: Path) -> int:
    counters = _pairs(root / "proc/vmstat")
    return counters["pswpin"] + counters["pswpout"]


def _governor(root: Path) -> str:
    """Return the frequency governors of the machine's cores, each once."""
    cores = root / "sys/devices/system/cpu"
    files = sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    if not files:
        raise FileNotFoundError(2, "No such file or directory", str(cores / "cpu*/cpufreq"))
    return ", ".join(sorted({file.read_text(encoding="ascii").strip() for file in files}))


def _pairs(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {line[0]: int(line[1]) for line in lines if len(line) == 2}


def reset_peak_resident(process: Path = PROCESS) -> bool:
    """Let the peak of this process's resident memory start again; False if that can't be."""
    try:
        (process / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_resident_bytes(process: Path = PROCESS) -> Metric:
    """Return the largest resident memory of this process since the last reset (proc(5))."""
    status = attempt(lambda: (process / "status").read_text(encoding="ascii"))
    if isinstance(status, Unmeasured):
        return status
    found = re.search(r"^VmHWM:\s*(\d+)", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else Unmeasured(f"{process / 'status'} has no VmHWM")
