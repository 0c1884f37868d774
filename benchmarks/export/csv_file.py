"""Sessions as CSV, for those who bring their own tools: a row for each metric and round."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from benchmarks.common import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.sessions.session import Measured, Session

COLUMNS = (
    "session",
    "saved",
    "commit",
    "benchmark",
    "model",
    "quantization",
    "batch_size",
    "prompt_tokens",
    "new_tokens",
    "valid",
    "round",
    "name",
    "value",
    "unmeasured",
)
CSV = "the CSV"
ROUND = ("start_s", "round_s", "ttft_s")


def write(out: Path, sessions: Sequence[Session]) -> None:
    """Write every metric and every round, in base units, oldest session first.

    A round has its number, a metric of the whole benchmark none; what wasn't measured has no
    value, and its reason. Gaps between tokens stay in the JSON: they are a hundred times as many.
    Raises InputError if the file can't be written.
    """
    with files.whole(out, CSV) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for session in sessions:
            writer.writerows(_rows(session))


def _rows(session: Session) -> Iterator[tuple[Any, ...]]:
    whose = session.name, session.when, session.commit.get("id")
    for measured in session.measured.values():
        workload = measured.info["workload"]
        names = ("model", "quantization", "batch_size", "prompt_tokens", "new_tokens")
        valid = (measured.info.get("validity") or {}).get("valid")
        what = measured.fullname, *(workload[name] for name in names), valid
        for row in _values(measured):
            yield *whose, *what, *row


def _values(measured: Measured) -> Iterator[tuple[int | None, str, Any, str | None]]:
    """Yield round, name, value, and why there is none."""
    info = measured.info
    reasons = info.get("unmeasured") or {}
    for name, value in info["metrics"].items():
        yield None, name, value, reasons.get(name)
    for number, each in enumerate(info["rounds"], 1):
        for name in ROUND:
            yield number, name, each.get(name), None
        if steps := each["step_s"]:
            yield number, "tpot_s", sum(steps) / len(steps), None
