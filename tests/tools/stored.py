"""Files of JSON as results are stored: plain, or compressed."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read(file: Path) -> Any:
    """Return what a file holds; one whose name ends in .gz is compressed."""
    content = file.read_bytes()
    return json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)


def unpack(raw: Path, folder: Path) -> None:
    """Write what is compressed below `raw` into a folder, as it was."""
    for file in raw.rglob("*.json.gz"):
        target = folder / file.relative_to(raw).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.decompress(file.read_bytes()))
