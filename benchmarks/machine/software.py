"""What was installed: versions, commits, the native library, and the checkpoint's weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.packages import LAID_OVER, PACKAGES
from benchmarks.machine import nvml

if TYPE_CHECKING:
    import torch


def provenance(device: torch.device) -> dict[str, Any]:
    """Return versions, commits if they are known, and which native library was loaded."""
    import torch
    from bitsandbytes.cextension import lib

    file = getattr(getattr(lib, "_lib", None), "_name", None)
    library = Path(file) if isinstance(file, str) else None
    return {
        **software(device),
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "commits": {"torch": torch.version.git_version}
        | {name: _commit(name) for name in LAID_OVER},
        "bitsandbytes_library": library.name if library else None,
        "bitsandbytes_library_sha256": _file_sha256(library) if library else None,
    }


def _commit(package: str) -> str | None:
    """Return the commit that a package was installed from; a release from an index has none."""
    origin = json.loads(metadata.distribution(package).read_text("direct_url.json") or "{}")
    commit: str | None = origin.get("vcs_info", {}).get("commit_id")
    return commit


def _file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages under test, without importing them.

    One that isn't installed is left out: a worker of a duet needs no pytest-benchmark.
    """
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package.name] = metadata.version(package.name)
    return found


def software(device: torch.device) -> dict[str, Any]:
    """Return versions of packages, Python, CUDA and the driver, for the saved session."""
    import torch

    facts: dict[str, Any] = {**versions(), "python": platform.python_version()}
    facts["cuda"] = torch.version.cuda
    gpu = nvml.find(device)
    driver = gpu.driver() if isinstance(gpu, nvml.Gpu) else None
    facts["driver"] = driver if isinstance(driver, str) else None
    return facts
