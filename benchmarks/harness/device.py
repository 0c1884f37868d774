"""Which device is used, and what this machine and its software are."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import gpu as gpus
from benchmarks.harness import machine as machines
from benchmarks.harness.errors import InputError
from benchmarks.harness.metrics import Metric, Unmeasured

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

PROCESS = Path("/proc/self")  # Linux has it
PACKAGES = ("torch", "transformers", "bitsandbytes", "accelerate", "pytest-benchmark")


def resolve(device: str, device_map: str) -> torch.device:
    """Return the device to use: the first GPU, or the CPU.

    Raises InputError where CUDA was asked for and can't be had.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        build = torch.version.cuda
        reason = "no GPU is visible" if build else f"torch {torch.__version__} has no CUDA"
        raise InputError(
            f"--device cuda: expected a GPU that torch can use; {reason}; "
            "check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu"
        )
    if device == "cpu" and device_map != "single":
        raise InputError(f"--device-map {device_map}: expected GPUs; the device is the CPU")
    return torch.device("cuda", 0) if device == "cuda" else torch.device("cpu")


def versions() -> dict[str, str]:
    """Return the versions of the packages under test, without importing them.

    One that isn't installed is left out: a worker of a duet needs no pytest-benchmark.
    """
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def software(device: torch.device) -> dict[str, Any]:
    """Return versions of packages, Python, CUDA and the driver, for the saved session."""
    import torch

    facts: dict[str, Any] = {**versions(), "python": platform.python_version()}
    facts["cuda"] = torch.version.cuda
    gpu = gpus.find(device)
    driver = gpu.driver() if isinstance(gpu, gpus.Gpu) else None
    facts["driver"] = driver if isinstance(driver, str) else None
    return facts


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what decides whether two sessions ran on the same machine; None where unknown.

    The CPU, the cores that this process may use, and torch's threads; of the GPUs name, memory in
    bytes, number, MIG mode and power limit.
    """
    import torch

    facts: dict[str, Any] = {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "cpu_model": machines.cpu_model(),
        "available_cores": machines.available_cores(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "gpu_count": torch.cuda.device_count(),
            "compute_capability": f"{properties.major}.{properties.minor}",
            **_limits(device, properties.name),
        }
    return facts


def _limits(device: torch.device, name: str) -> dict[str, Any]:
    """Return MIG mode and power limit; a MIG instance can't be found in NVML by torch's UUID."""
    gpu = gpus.find(device)
    facts = gpu.facts() if isinstance(gpu, gpus.Gpu) else {}
    known = {name: value for name, value in facts.items() if not isinstance(value, Unmeasured)}
    return {
        "mig_mode": "on" if " MIG " in name else known.get("mig_mode"),
        "power_limit_watts": known.get("power_limit_watts"),
    }


def machine(device: torch.device) -> dict[str, Any]:
    """Return what a saved session says of its machine, beside what pytest-benchmark adds."""
    return {"hardware": hardware(device), "software": software(device)}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for another machine, and a line for other versions, of a compared session."""
    lines = []
    for part, says in (
        ("hardware", "compared with another machine, so times are not comparable"),
        ("software", "compared with other versions"),
    ):
        then, now = theirs.get(part) or {}, ours[part]
        changed = [
            f"{name} {then.get(name)} -> {now.get(name)}"
            for name in {**then, **now}
            if then.get(name) != now.get(name)
        ]
        if changed:
            lines.append(f"{says}: {', '.join(changed)}")
    return lines


def describe(device: torch.device) -> str:
    """Return the device in a few words, for the header."""
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''})"


def reset_peak_resident(process: Path = PROCESS) -> bool:
    """Let the peak of this process's resident memory start again; False where that can't be."""
    try:
        (process / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_resident_bytes(process: Path = PROCESS) -> Metric:
    """Return the largest resident memory of this process since the last reset (proc(5))."""
    try:
        status = (process / "status").read_text(encoding="ascii")
    except OSError as error:
        return Unmeasured(f"can't read {process / 'status'} ({error.strerror})")
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return Unmeasured(f"{process / 'status'} has no VmHWM")
