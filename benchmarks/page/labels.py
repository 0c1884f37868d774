"""Machines, commits and workloads in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.common.text import count, short
from benchmarks.sessions import commit

if TYPE_CHECKING:
    from benchmarks.sessions.session import Measured, Session


def machine_label(session: Session) -> str:
    """Return a machine in a few words."""
    hardware = session.hardware
    cpu = (session.machine.get("cpu") or {}).get("brand_raw") or "unknown CPU"
    if gpu := hardware.get("gpu"):
        number = hardware.get("gpu_count") or 1
        return f"{gpu}, {number} of them" if number > 1 else str(gpu)
    threads = hardware.get("threads")
    return f"{cpu}, {count(threads, 'thread')}" if threads else str(cpu)


def commit_label(session: Session) -> str:
    """Return the commit of a session, with its branch, in a few words."""
    name, facts = commit.known(session), session.commit
    if name is None:
        return "unknown"
    words = [
        name[:10],
        f"on {facts['branch']}" if facts.get("branch") else "",
        "with uncommitted changes" if facts.get("dirty") else "",
    ]
    return " ".join(filter(None, words))


def workload_label(measured: Measured) -> str:
    """Return a benchmark and its model in a few words."""
    workload = measured.info["workload"]
    return f"{short(measured.fullname)}, {workload['model']}"
