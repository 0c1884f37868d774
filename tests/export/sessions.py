"""Sessions whose exports are read back: a step in the time of a token, and a metric that is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.__main__ import main
from tests import builders
from tests.page.contents import content, day, record

if TYPE_CHECKING:
    from pathlib import Path

NAME = "throughput[int8-decomp-b8-p16-n16]"
COUNT, STEP, NEW = 30, 15, 20  # sessions; the first slower one; the first with a new metric


def series() -> list[dict[str, Any]]:
    """Return the files of sessions, oldest first."""
    found = []
    for n in range(COUNT):
        info = record(n, slower=1.1 if n >= STEP else 1.0)
        info["metrics"] |= {"prefill_device_s": 0.25} if n >= NEW else {}
        found.append(content(info, when=day(n + 1)))
    return found


def export(folder: Path, name: str, file: str, *contents: dict[str, Any]) -> Path:
    """Save sessions in a folder, export them, and return the file."""
    for n, each in enumerate(contents):
        builders.write(folder / "sessions" / f"{n + 1:04}_a.json", each)
    out = folder / file
    assert main(["report", str(folder / "sessions"), "--export", name, str(out)]) == 0
    return out
