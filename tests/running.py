"""How tests run whole sessions of `pytest benchmarks`, and what they see of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECRET = "hf_aSecretThatMustNotLeak"  # noqa: S105 (not one)
FAST = ["--new-tokens", "6", "--rounds", "3", "--warmup-rounds", "1"]
ALONE = ["-k", "throughput"]


@dataclass
class Outcome:
    """How a session ended, what it printed, and where it stored its results."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def saved(self) -> dict[str, Any]:
        """The session that was saved in the storage."""
        (file,) = self.folder.glob("storage/*.json")
        return json.loads(file.read_text())


def command(folder: Path, *options: str, storage: str | None = "{}/storage") -> list[str]:
    """Return the arguments of a session that stores below `folder`, or by default."""
    ours = [
        "-p",
        "no:cacheprovider",
        "--device=cpu",
        "--bounds=*=inf",  # the tests may run on any machine, beside anything
        *([f"--benchmark-storage={storage.format(folder)}"] if storage else []),
    ]
    return [
        f"--rootdir={ROOT}",
        "-c",
        str(ROOT / "pytest.ini"),
        str(ROOT / "benchmarks"),
        *ours,
        *options,
    ]
