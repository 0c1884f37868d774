"""Which machine this is, as far as it can be known without torch: its CPU, and its first GPU."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import nvml
from benchmarks.machine.host import ROOT, attempt

if TYPE_CHECKING:
    from pathlib import Path

NOISE = re.compile(r"\((?:r|tm|c)\)|\bcpu\b|\bprocessor\b|@.*", re.IGNORECASE)
LONGEST = 40  # characters of a name within a folder's name


def cpu_model(root: Path = ROOT) -> str | None:
    """Return the model of the CPU, or None if the system doesn't say.

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


def folder_name(device: str, visible: str | None, root: Path = ROOT) -> str:
    """Return the name of the folder for this machine's sessions: its first GPU, or its CPU.

    `nvidia-h200`, `cpu-amd-epyc-9r14`. `device` is that of the settings, `visible` the text of
    CUDA_VISIBLE_DEVICES. It is only a name, known before torch is imported: whether two sessions
    ran on one machine is read from their files.
    """
    gpu = None if device == "cpu" or visible in ("", "-1") else nvml.first_name()
    return _slug(gpu) if gpu else f"cpu-{_slug(cpu_model(root))}"


def _slug(name: str | None) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", NOISE.sub(" ", name or "").lower()).strip("-")
    return words[:LONGEST].rstrip("-") or "unknown"
