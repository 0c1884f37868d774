"""What a duet has decided so far: the verdicts of its looks, and whether they are enough. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session
    from benchmarks.verdicts.acknowledged import Acknowledgement
    from benchmarks.verdicts.thresholds import Threshold


def look(
    base: Sequence[Session],
    head: Sequence[Session],
    alpha: float,
    earlier: Sequence[Verdict],
    acknowledged: Sequence[Acknowledgement] = (),
    *,
    limits: Sequence[Threshold] = (),
    work: bool = False,
) -> list[Verdict]:
    """Judge the restarts that there are, or their work alone.

    A time that an earlier look decided stays decided.
    """
    decided = {
        (verdict.benchmark, verdict.metric): verdict
        for verdict in earlier
        if verdict.kind == "time" and verdict.outcome is not Outcome.INCONCLUSIVE
    }
    gate = "work" if work else "screen"
    verdicts = judge(
        base, head, paired=True, gate=gate, alpha=alpha, acknowledged=acknowledged, limits=limits
    )
    return [decided.get((verdict.benchmark, verdict.metric), verdict) for verdict in verdicts]


def is_enough(verdicts: Sequence[Verdict], asked: tuple[str, str] | None = None) -> bool:
    """Whether the one benchmark and metric that was `asked` for is decided.

    Without `asked`: whether every benchmark is, that is, one of its times regressed (and the
    regression is not acknowledged) or none is INCONCLUSIVE. Of work alone: its device times.
    """
    if asked:
        return any(
            (verdict.benchmark, verdict.metric) == asked
            and verdict.outcome is not Outcome.INCONCLUSIVE
            for verdict in verdicts
        )
    wall, device = (
        [verdict for verdict in verdicts if verdict.kind == kind] for kind in ("time", "device")
    )
    times = wall or device
    counted = [verdict for verdict in times if not verdict.acknowledged]
    regressed = {each.benchmark for each in counted if each.outcome is Outcome.REGRESSED}
    open_ = {each.benchmark for each in counted if each.outcome is Outcome.INCONCLUSIVE}
    return bool(times) and open_ <= regressed
