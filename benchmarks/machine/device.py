"""Which device is used, and what this machine and its software are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import host, identity, nvml
from benchmarks.machine.software import software

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch


def resolve(device: str, device_map: str) -> torch.device:
    """Return the device to use: the first GPU, or the CPU.

    Raises InputError if CUDA was asked for and can't be had.
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
    check_map(device, device_map)
    return torch.device("cuda", 0) if device == "cuda" else torch.device("cpu")


def check_map(device: str, device_map: str) -> None:
    """Raise InputError if a model can't be placed so on this device."""
    if device == "cpu" and device_map == "auto":
        raise InputError(f"--device-map {device_map}: expected GPUs; the device is the CPU")


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what decides whether two sessions ran on the same machine; None if unknown.

    The CPU, the cores that this process may use, and torch's threads; of the GPUs name, memory in
    bytes, number, MIG mode and power limit. `card` tells apart GPUs that are equal in all of that:
    it decides for device time alone.
    """
    import torch

    cores = host.available_cores()
    facts: dict[str, Any] = {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "cpu_model": identity.cpu_model(),
        "available_cores": None if isinstance(cores, Unmeasured) else cores,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "gpu_count": torch.cuda.device_count(),
            "card": card([_uuid(index) for index in range(torch.cuda.device_count())]),
            "compute_capability": f"{properties.major}.{properties.minor}",
            **_limits(device, properties.name),
        }
    return facts


def card(uuids: Sequence[str]) -> str:
    """Return what tells the visible GPUs from others of their kind: a hash, no serial number."""
    return hashlib.sha256(",".join(uuids).encode()).hexdigest()[:12]


def _uuid(index: int) -> str:
    import torch

    return str(torch.cuda.get_device_properties(index).uuid)


def _limits(device: torch.device, name: str) -> dict[str, Any]:
    """Return MIG mode and power limit; a MIG instance can't be found in NVML by torch's UUID."""
    gpu = nvml.find(device)
    facts = gpu.facts() if isinstance(gpu, nvml.Gpu) else {}
    known = {name: value for name, value in facts.items() if not isinstance(value, Unmeasured)}
    return {
        "mig_mode": "on" if " MIG " in name else known.get("mig_mode"),
        "power_limit_watts": known.get("power_limit_watts"),
    }


def machine_info(device: torch.device) -> dict[str, Any]:
    """Return what a saved session says of its machine, beside what pytest-benchmark adds."""
    return {"hardware": hardware(device), "software": software(device)}


def describe(device: torch.device, device_map: str = "single") -> str:
    """Return the device in a few words, for the header; of a sharded model all that it may use."""
    import torch

    if device.type == "cuda":
        last = torch.cuda.device_count() if device_map != "single" else 1
        devices = [device, *(torch.device("cuda", index) for index in range(1, last))]
        return in_words({str(each): torch.cuda.get_device_name(each) for each in devices})
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''})"


def in_words(names: Mapping[str, str]) -> str:
    """Return devices with their names: a name that several share stands once, with their number."""
    alike: dict[str, list[str]] = {}
    for device, name in names.items():
        alike.setdefault(name, []).append(device)
    return ", ".join(
        f"{', '.join(devices)} ({f'{len(devices)} x ' if len(devices) > 1 else ''}{name})"
        for name, devices in alike.items()
    )
