"""Which machine this is, as far as it can be known without torch: CPU, cores, and NVML's GPUs."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import host
from benchmarks.machine.host import ROOT, attempt
from benchmarks.machine.nvml import Gpu

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIB = 2**30
NOISE = re.compile(r"\((?:r|tm|c)\)|\bcpu\b|\bprocessor\b|@.*", re.IGNORECASE)
LONGEST = 40  # characters of a name within a folder's name


def cpu_model(root: Path = ROOT) -> str | None:
    """Return the model of the CPU, or None where the system doesn't say.

    Linux on Arm gives numbers instead of a name: implementer and part.
    """
    lines = attempt(lambda: (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines())
    if isinstance(lines, Unmeasured):
        return platform.processor() or None
    pairs = (line.partition(":") for line in reversed(lines))
    found = {name.strip(): value.strip() for name, _, value in pairs}  # those of the first core
    if name := found.get("model name"):
        return name
    parts = [found.get(f"CPU {each}") for each in ("implementer", "part")]
    return "arm {} {}".format(*parts) if all(parts) else None


def available_cores(root: Path = ROOT) -> float | None:
    """Return how many cores' worth of time this process may use, or None where unknown."""
    cores = host.available_cores(root)
    return None if isinstance(cores, Unmeasured) else cores


def nvml() -> Any:
    """Return the module pynvml, or None where it isn't installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def facts(device: str, nvml: Any, visible: str | None, root: Path = ROOT) -> dict[str, Any]:
    """Return what decides which machine a session runs on; None for what can't be known.

    `device` is that of the settings, `nvml` the module pynvml or None, `visible` the text of
    CUDA_VISIBLE_DEVICES. torch isn't asked, so it may choose otherwise later: a build without
    CUDA, or a machine of different GPUs, which CUDA sorts by speed and NVML by slot.
    """
    gpus = [] if device == "cpu" or nvml is None else _gpus(nvml, visible)
    cpu = {"cpu_model": cpu_model(root)}
    if not gpus:
        return {"device": "cpu", **cpu, "available_cores": available_cores(root)}
    whole, seen = gpus[0]
    board, part = Gpu(nvml, whole).facts(), Gpu(nvml, seen).facts()
    return {
        "device": "cuda",
        "gpu": _known(part["gpu_name"]),
        "gpu_memory_bytes": _known(part["gpu_memory_bytes"]),
        "gpu_count": len(gpus),
        "mig_mode": _known(board["mig_mode"]),
        "power_limit_watts": _known(board["power_limit_watts"]),
        **cpu,
    }


def folder_name(machine: Mapping[str, Any]) -> str:
    """Return the name of a machine's folder: readable, and unique by a hash of all its facts.

    `nvidia-h200-140gib-x1-700w-intel-xeon-platinum-8480c-3fa9c1`, `cpu-amd-epyc-9r14-2-cores-…`.
    """
    decides, cpu = dict(machine), _slug(machine["cpu_model"])
    if machine["device"] == "cuda":
        decides["gpu_memory_bytes"] = gib = _rounded(machine["gpu_memory_bytes"], GIB)
        decides["power_limit_watts"] = watts = _rounded(machine["power_limit_watts"], 1)
        number = machine["gpu_count"]
        parts = [_slug(machine["gpu"]), _with(gib, "gib"), f"x{number}", _with(watts, "w"), cpu]
    else:
        parts = ["cpu", cpu, _with(machine["available_cores"], "-cores")]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return "-".join([part for part in parts if part] + [digest[:6]])


def _gpus(nvml: Any, visible: str | None) -> list[tuple[Any, Any]]:
    """Return NVML's handles of the visible GPUs, in order: of the board, and of what CUDA sees.

    As CUDA reads CUDA_VISIBLE_DEVICES (CUDA C++ Programming Guide, "CUDA Environment Variables"):
    numbers or beginnings of UUIDs, and the first that is none of either ends the list. Of GPUs in
    MIG mode it sees one instance, the first unless the list names another.
    """
    try:
        nvml.nvmlInit()
        boards = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        if visible is not None and visible.startswith("MIG-"):
            instance = nvml.nvmlDeviceGetHandleByUUID(visible.split(",")[0].strip())
            return [(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance), instance)]
        chosen = boards if visible is None else _chosen(nvml, boards, visible.split(","))
        if chosen and Gpu(nvml, chosen[0]).facts()["mig_mode"] == "on":
            return [(chosen[0], nvml.nvmlDeviceGetMigDeviceHandleByIndex(chosen[0], 0))]
        return [(board, board) for board in chosen]
    except Exception:  # pynvml makes a class per error code at run time; no GPU that is seen
        return []


def _chosen(nvml: Any, boards: list[Any], entries: list[str]) -> list[Any]:
    chosen = []
    for entry in map(str.strip, entries):
        if entry.isdecimal() and int(entry) < len(boards):
            chosen.append(boards[int(entry)])
            continue
        named = [each for each in boards if entry and _uuid(nvml, each).startswith(entry)]
        if len(named) != 1:
            break
        chosen += named
    return chosen


def _uuid(nvml: Any, board: Any) -> str:
    uuid = nvml.nvmlDeviceGetUUID(board)
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def _known(reading: Any) -> Any:
    return None if isinstance(reading, Unmeasured) else reading


def _rounded(value: float | None, unit: float) -> int | None:
    """Round, so that a driver that reserves a few bytes more makes no other machine."""
    return None if value is None else round(value / unit)


def _with(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"


def _slug(name: str | None) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", NOISE.sub(" ", name or "").lower()).strip("-")
    return words[:LONGEST].rstrip("-") or "unknown"
