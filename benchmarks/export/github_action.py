"""The custom JSON of github-action-benchmark: of the newest session, in one of two directions.

The action takes one direction a file (`tool: customBiggerIsBetter` or `customSmallerIsBetter`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.text import short
from benchmarks.sessions import measures
from benchmarks.sessions.measures import Better

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.sessions.session import Session

TITLE = "the file for github-action-benchmark"


def write_bigger(out: Path, sessions: Sequence[Session]) -> None:
    """Write the metrics of which more is better. Raises InputError if there are none."""
    _write(out, sessions[-1], Better.MORE)


def write_smaller(out: Path, sessions: Sequence[Session]) -> None:
    """Write the metrics of which less is better. Raises InputError if there are none."""
    _write(out, sessions[-1], Better.LESS)


def _write(out: Path, session: Session, better: Better) -> None:
    entries = [
        {
            "name": f"{short(each.benchmark)} {each.metric}",
            "unit": each.unit,
            "value": each.value,
            "extra": _extra(session, each.benchmark),
        }
        for each in measures.of_session(session)
        if each.better is better
    ]
    if not entries:  # the action fails at an empty list, in words that don't say why
        raise InputError(
            f"{session.name}: expected metrics of which {better.value} is better, got none that "
            "can be trusted; measure again on a quiet machine"
        )
    with files.whole(out, TITLE) as file:
        file.write(files.as_json(entries, indent=1) + "\n")


def _extra(session: Session, benchmark: str) -> str:
    """Return what is to be known beside a number: the tool shows it in a tooltip."""
    workload = session.measured[benchmark].workload
    machine = session.hardware.get("gpu") or session.hardware.get("device")
    versions = [f"{name} {value}" for name, value in session.software.items() if value]
    return "\n".join([str(workload.get("model")), str(machine), *versions])
