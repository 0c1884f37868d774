"""Events as they were recorded on a GPU, and a stand-in for the trace that gives them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from benchmarks.evidence.kineto import Event

FILE = Path(__file__).parent / "data" / "events-h200.json.gz"


def prefill() -> list[Event]:
    """Return those of one prefill of the tiny model, recorded on an H200."""
    content = json.loads(gzip.decompress(FILE.read_bytes()))
    return [
        Event(content["names"][name], bool(host), device, start, ns, id_, operator, bool(mark), 0)
        for name, host, device, start, ns, id_, operator, mark in content["rows"]
    ]
