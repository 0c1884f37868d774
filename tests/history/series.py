"""Stored sessions of one machine, one a day, whose figures are those of a list."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from math import exp

from tests.builders import GPU, SOFTWARE, THROUGHPUT, content, info
from tests.verdicts.test_work_verdicts import counts, spent

BEGIN = datetime(2026, 1, 1, 8, tzinfo=UTC)
DEVICE, WALL = 0.0005, 0.007  # the noise of sessions


def noise(count, size, seed=7):
    """Return shifts of so many sessions, on the log scale."""
    rng = random.Random(seed)
    return [rng.gauss(0, size) for _ in range(count)]


def day(
    number, device=0.0, wall=0.0, *, called=None, name=THROUGHPUT, hardware=None, torch=None, **more
):
    """Return the content of the session of a day, its times off by this much on the log scale."""
    rounds = [exp(wall)] * 3
    record = info(rounds, device_time=spent(device), counters=called or counts())
    return content(
        (name, rounds, record),
        when=(BEGIN + timedelta(days=number)).isoformat(),
        commit=f"{number:040x}",
        hardware=GPU | {"card": "a"} | (hardware or {}),
        software=SOFTWARE | ({"torch": torch} if torch else {}),
        **more,
    )
