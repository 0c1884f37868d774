"""Sessions in, verdicts out: what regressed, what did not, and what can't be said. Pure.

`--gate`, `python -m benchmarks judge` and `python -m benchmarks duet` all end here. A session is
one observation; what was not compared is never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus, first
from benchmarks.sessions import commit, comparable
from benchmarks.sessions.outcome import COMPARED, Cause, Outcome, Verdict
from benchmarks.verdicts import blame, device_times, exact, reasons, thresholds, times
from benchmarks.verdicts.acknowledged import Acknowledgement
from benchmarks.verdicts.records import ComparableRecords, collect, verdict_without_data
from benchmarks.verdicts.thresholds import Threshold
from benchmarks.verdicts.times import Timing

if TYPE_CHECKING:
    from benchmarks.sessions.session import Session

ALPHA = 0.05  # two-sided, for all times that are judged together
FINE = ExitStatus.FINE
STATUS = {
    Outcome.REGRESSED: ExitStatus.FAILED,
    Outcome.INVALID: ExitStatus.INVALID,
    Outcome.NOT_COMPARABLE: ExitStatus.NOTHING_COMPARED,
    Outcome.MISSING: ExitStatus.NOTHING_COMPARED,
    Outcome.INCONCLUSIVE: ExitStatus.UNDECIDED,
}


def judge(
    base: Sequence[Session],
    head: Sequence[Session],
    *,
    paired: bool = False,
    gate: str = "screen",
    alpha: float = ALPHA,
    acknowledged: Sequence[Acknowledgement] = (),
    limits: Sequence[Threshold] = (),
    absent: Mapping[str, Cause] | None = None,
    today: date | None = None,
) -> list[Verdict]:
    """Return a verdict for each metric of each benchmark that either side has.

    `base` are sessions of the past, `head` new ones; or, `paired`, the i-th of both are one
    restart of a duet. `gate`: how wall times are judged against the past: "screen" lets a
    duet decide what is suspicious, "strict" doesn't, "work" leaves them out. `alpha`: the
    two-sided level for all times together, and once more for all device times. `limits`: thresholds
    in place of the usual ones. `absent`: why benchmarks have no result in head, by full name.
    `today`: on which acknowledgements must hold; today's date by default.
    Raises InputError if a duet lacks a partner.
    """
    if paired and len(base) != len(head):
        raise InputError(
            f"a duet needs as many sessions of head as of base, one pair for each restart; "
            f"got {len(base)} of base and {len(head)} of head"
        )
    found = [] if paired else _failures(head)
    wall: list[Timing] = []
    device: list[Timing] = []
    by_name: dict[str, ComparableRecords] = {}
    for name in _names(base, head):
        records = collect(name, base, head, paired=paired)
        if verdict := verdict_without_data(records, base, head, absent or {}):
            found.append(verdict)
            continue
        by_name[name] = records
        own = partial(thresholds.tolerance, limits, name)
        found += exact.verdicts(name, records.base, records.head, own)
        timed = _timings(records) if gate != "work" else ([], [])
        for timings, (more, unjudged) in ((device, device_times.timings(records)), (wall, timed)):
            timings += [_with_limits(each, limits) for each in more]
            found += unjudged
    decide = _decide(base, head)
    for timings, strict in ((device, True), (wall, gate == "strict")):
        if paired:
            found += times.duel(timings, alpha=alpha)
        else:
            found += times.screen(timings, alpha=alpha, strict=strict, decide=decide)
    found = [thresholds.told(each, limits) for each in found]
    found = [device_times.at_their_clocks(each, by_name.get(each.benchmark)) for each in found]
    if not paired:
        found = [
            blame.the_machine(each, found, by_name.get(each.benchmark), decide) for each in found
        ]
    found = [_explain(each, found, by_name) for each in found]
    found = [_acknowledge(each, acknowledged, today or date.today()) for each in found]
    return sorted(found, key=lambda each: (each.benchmark, each.kind, each.metric))


def _names(base: Sequence[Session], head: Sequence[Session]) -> list[str]:
    """Return the benchmarks to judge, less those that sessions of work alone leave out."""
    now = [each for session in head for each in session.measured.values()]
    work_only = bool(now) and all(each.work_only for each in now)
    return sorted(
        {
            name
            for session in (*base, *head)
            for name, each in session.measured.items()
            if not (work_only and each.is_of_its_own)
        }
    )


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """Return what a command ends with: 0 only if all was compared and nothing is open.

    What is acknowledged passes.
    """
    compared = any(each.outcome in COMPARED for each in verdicts)
    open_ = [STATUS.get(each.outcome, FINE) for each in verdicts if each.acknowledged is None]
    return first(FINE if compared else ExitStatus.NOTHING_COMPARED, *open_)


def _timings(records: ComparableRecords) -> tuple[list[Timing], list[Verdict]]:
    """Return the times of a benchmark, estimated, and verdicts on those that can't be."""
    name = records.benchmark
    if all(each.measured.work_only for each in records.head):
        return [], []  # nobody wanted times
    base, head, doubted = records.timed().trusted()
    if head and not base:
        says = "new: the baselines measured work only; promote a session with timed rounds"
        if doubted:
            says = (
                f"no baseline could be trusted ({doubted[0].says}); demote it, and promote another"
            )
        return [], [Verdict(name, "round_s", "time", Outcome.MISSING, detail=says)]
    if not base or not head:
        return [], [Verdict(name, "round_s", "time", Outcome.INVALID, detail=doubted[0].says)]
    note = _note([each.short for each in (*records.left_out, *doubted)])
    if records.paired and (cut := times.cut_short(list(zip(base, head, strict=True)))):
        note = "; ".join(filter(None, (note, cut)))
    timings, gone = [], []
    for metric in dict.fromkeys(metric for each in base for metric in times.series(each)):
        if records.paired:
            found = times.paired(metric, list(zip(base, head, strict=True)))
        else:
            found = times.unpaired(metric, base, head)
        if found:
            timings.append(Timing(name, metric, found, times.limits(metric), note))
        else:
            says = "gone: the baseline has it, this session has not"
            gone.append(
                Verdict(name, metric, "time", Outcome.MISSING, detail=says, cause=Cause.GONE)
            )
    return timings, gone


def _with_limits(timing: Timing, limits: Sequence[Threshold]) -> Timing:
    return thresholds.of_timing(limits, timing, at_least=timing.elsewhere)


def _note(left_out: Sequence[str]) -> str:
    """Return how many records were left out, and why the first was, without what to do."""
    return f"{len(left_out)} left out ({left_out[0]})" if left_out else ""


def _failures(head: Sequence[Session]) -> list[Verdict]:
    """Return a verdict for each new session that failed: what it did measure isn't all."""
    return [
        Verdict(each.name, "-", "-", Outcome.INVALID, detail=f"{failed}; repair it, and run again")
        for each in head
        if (failed := comparable.failure(each))
    ]


def _explain(
    verdict: Verdict, found: Sequence[Verdict], by_name: Mapping[str, ComparableRecords]
) -> Verdict:
    """Return the verdict with its reasons if a time regressed, or device time changed."""
    device = verdict.kind == "device"
    regressed = verdict.kind == "time" and verdict.outcome is Outcome.REGRESSED
    if not (device or regressed) or verdict.benchmark not in by_name:
        return verdict
    records = by_name[verdict.benchmark]
    if device:
        return reasons.explain_device(verdict, *device_times.explaining(verdict.metric, records))
    base, head = (
        exact.with_evidence(exact.newest_code(side)) for side in (records.base, records.head)
    )
    others = [each for each in found if each.benchmark == verdict.benchmark]
    return reasons.explain_time(verdict, others, base.session, head.session)


def _acknowledge(verdict: Verdict, known: Sequence[Acknowledgement], today: date) -> Verdict:
    """Return the verdict: passed if an acknowledgement covers it; if not, with the reason."""
    slower = verdict.suspicious and (verdict.change or 0) > 0
    if verdict.outcome is not Outcome.REGRESSED and not slower:
        return verdict
    for each in known:
        if not each.covers(verdict):
            continue
        if today > each.expires:
            says = f"its acknowledgement expired on {each.expires}"
        elif verdict.change is None or abs(verdict.change) > each.ceiling:
            says = f"worse than the acknowledged {each.ceiling:.1%}"
        else:
            return replace(verdict, acknowledged=each.reason)
        verdict = replace(verdict, detail=f"{verdict.detail}; {says}")
    return verdict


def _decide(base: Sequence[Session], head: Sequence[Session]) -> str:
    """Return the next step for what the past can't decide: a duet against what ran then."""
    if not base or not head:
        return ""
    then, now = (max(side, key=lambda each: (each.when, each.name)) for side in (base, head))
    changed = comparable.changed_versions(then, now)
    duet = "decide it: python -m benchmarks duet --base"
    if "driver" in changed:
        return f"no duet can bring back driver {changed['driver'][0]}: measure a new baseline"
    if beyond := comparable.beyond_a_duet(changed):
        needed = ", ".join(f"{name} {sides[0] or 'unknown'}" for name, sides in beyond.items())
        return f"{duet} PATH (the Python of an environment with {needed})"
    if changed:
        return f"{duet} {comparable.as_spec(changed)}"
    code = (commit.known(then) or "")[:12]
    return f"{duet} PATH (a checkout of {code or 'the baseline'})"
