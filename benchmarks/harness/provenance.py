"""Where it comes from: versions, commits, the native library, and the checkpoint's weights."""

from __future__ import annotations

import hashlib
import json
import struct
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import device as devices

if TYPE_CHECKING:
    import torch


def index_sha256(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's index, or of its safetensors headers without one."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return hashlib.sha256(index.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(folder.glob("model*.safetensors")):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            digest.update(file.name.encode() + stream.read(length))
    return digest.hexdigest()


def software(device: torch.device) -> dict[str, Any]:
    """Return versions, commits where they are known, and which native library was loaded."""
    import torch
    from bitsandbytes.cextension import lib

    file = getattr(getattr(lib, "_lib", None), "_name", None)
    library = Path(file) if isinstance(file, str) else None
    return {
        **devices.software(device),
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "commits": {"torch": torch.version.git_version}
        | {name: _commit(name) for name in ("transformers", "accelerate", "bitsandbytes")},
        "bitsandbytes_library": library.name if library else None,
        "bitsandbytes_library_sha256": _file_sha256(library) if library else None,
    }


def _commit(package: str) -> str | None:
    """Return the commit that a package was installed from; a release from an index has none."""
    origin = json.loads(metadata.distribution(package).read_text("direct_url.json") or "{}")
    commit: str | None = origin.get("vcs_info", {}).get("commit_id")
    return commit


def _file_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
