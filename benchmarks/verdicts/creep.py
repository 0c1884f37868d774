"""Small steps that each passed, and their sum: a second judgement, by a level's oldest baselines.

The newest baselines follow whatever creeps. The oldest ones of the level that was accepted don't.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import count
from benchmarks.sessions import baseline, commit, measures
from benchmarks.sessions.outcome import Cause, Outcome, Verdict
from benchmarks.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from benchmarks.sessions.session import Session

STEPS = 5  # that are listed


def judge(
    base: Sequence[Session], level: Sequence[Session], head: Sequence[Session], **how: Any
) -> list[Verdict]:
    """Return the verdicts of `judgement.judge`, with those that the whole level changes.

    `base` are the newest baselines, `level` all of the level that was accepted. What passes by the
    newest and is REGRESSED by the oldest is REGRESSED, with the steps that led there.
    """
    verdicts = judgement.judge(base, head, **how)
    if not (level and head):
        return verdicts
    summed = {
        (each.benchmark, each.metric): each
        for oldest, with_noise in ((_oldest(level), True), (_of_oldest_code(level), False))
        if _content(oldest) != _content(base)  # the same would be judged the same
        for each in judgement.judge(oldest, head, **how)
        if each.outcome is Outcome.REGRESSED and measures.has_noise(each.metric) is with_noise
    }
    return [
        _crept(each, summed[key], [*level, *head])
        if each.outcome is Outcome.NO_CHANGE and (key := (each.benchmark, each.metric)) in summed
        else each
        for each in verdicts
    ]


def _content(sessions: Sequence[Session]) -> list[tuple[str, list[str]]]:
    return [(each.name, list(each.measured)) for each in sessions]


def _oldest(level: Sequence[Session]) -> list[Session]:
    """Return the oldest of a level, each with the benchmarks of which it is one of the oldest.

    Sessions of work alone, which tell nothing of the wall, take no place of others.
    """
    seen: dict[tuple[str, bool], int] = {}
    found = []
    for session in level:
        kept = {}
        for name, measured in session.measured.items():
            number = seen[name, measured.work_only] = seen.get((name, measured.work_only), 0) + 1
            if number <= baseline.OLDEST:
                kept[name] = measured
        if kept:
            found.append(replace(session, measured=kept))
    return found


def _of_oldest_code(level: Sequence[Session]) -> list[Session]:
    """Return those of a level that ran the code of its first session, benchmark by benchmark."""
    first: dict[str, Hashable] = {}
    found = []
    for session in level:
        code = commit.code(session)
        kept = {
            name: measured
            for name, measured in session.measured.items()
            if first.setdefault(name, code) == code
        }
        if kept:
            found.append(replace(session, measured=kept))
    return found


def _crept(passed: Verdict, summed: Verdict, sessions: Sequence[Session]) -> Verdict:
    """Return the verdict by the oldest baselines, with the steps since then."""
    has_it = [each for each in sessions if passed.benchmark in each.measured]
    first, number = has_it[0].name.rpartition("/")[2], len(has_it) - 1
    says = (
        f"creep: no step was REGRESSED, but their sum is, since {first} "
        f"({count(number, 'stored session')} ago)"
    )
    steps = _steps(passed, has_it)
    return replace(
        summed,
        detail=f"{says}; {summed.detail}",
        reasons=(*_largest(list(steps)), *summed.reasons),
        cause=Cause.CREEP,
    )


def _steps(verdict: Verdict, sessions: Sequence[Session]) -> Iterator[tuple[float, str]]:
    """Yield by how much each session was worse than the one before, if it was, and in words."""
    before = None
    for session in sessions:
        known = measures.trusted(session.measured[verdict.benchmark])
        value = known.get(measures.name_of(verdict.metric))
        if value and before and value > before:
            change = value / before - 1
            name = session.name.rpartition("/")[2]
            code = (commit.known(session) or "unknown")[:10]
            yield change, f"step: {name}, commit {code}: {100 * change:+.2f} %"
        before = value or before


def _largest(steps: Sequence[tuple[float, str]]) -> list[str]:
    """Return the largest steps, in the order in which they came, and how many there are beside."""
    least = sorted((size for size, _ in steps), reverse=True)[:STEPS][-1:]
    found = [says for size, says in steps if size >= least[0]]
    more = len(steps) - len(found)
    return found + ([f"and {count(more, 'smaller step')}"] if more else [])
