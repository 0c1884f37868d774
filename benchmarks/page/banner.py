"""What a reader sees first: the verdict, and whether the session can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.text import short
from benchmarks.report import columns, summary, verdict_table
from benchmarks.sessions import comparable, doubts, session
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.page.subject import Sides
    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session

SAYS = {  # of what has no change to name, in the order of the exit status
    Outcome.REGRESSED: "got worse",
    Outcome.INVALID: "can't be judged",
    Outcome.NOT_COMPARABLE: "can't be compared",
    Outcome.MISSING: "can't be compared: one side lacks it",
    Outcome.INCONCLUSIVE: "can't be told yet: too little data",
}


@dataclass(frozen=True)
class Banner:
    """What a reader sees first: a word of state, a sentence, and what it rests on.

    `machine` says whether the machine could be trusted, and `why` says it in a sentence, if
    `state` is about something else.
    """

    state: str
    headline: str
    machine: str
    why: str
    lines: Sequence[str]


def banner(sides: Sides) -> Banner:
    """Return the verdict, or if nothing was compared, whether the session can be trusted."""
    subject, verdicts = sides.head, sides.verdicts
    told = list(_doubts(subject))
    failed = subject.saved.get("passed") is False
    status = subject.saved.get("exit_status")
    lines = [*(f"{each}." for each in summary.failures(subject.failed)), *told]
    lines = [f"The session didn't pass: exit status {status}.", *lines] if failed else lines
    loose = session.unchecked_of(subject).lines()
    heads = sides.duet.head if sides.duet else [subject]
    unasked = [*comparable.overlooked_note(heads), *loose]
    lines = [*(f"{each[0].upper()}{each[1:]}." for each in unasked), *lines]
    busy = any(each.is_busy for each in comparable.overlooked(heads))
    state, says = _machine(subject, told, loose, busy=busy)
    if verdicts is not None:
        word, headline = _verdict(verdicts, sides.against)
        return Banner(word, headline, state, says, [f"{verdict_table.counts(verdicts)}.", *lines])
    lines = [*lines, "Nothing was compared; pytest benchmarks --gate, or a duet, does."]
    if failed:
        return Banner("FAILED", "A test failed, so this session is no evidence", "", "", lines)
    return Banner(state, says, "", "", lines)


def _machine(
    subject: Session, told: Sequence[str], loose: Sequence[str], *, busy: bool
) -> tuple[str, str]:
    """Return a word and a sentence on whether the machine could be trusted."""
    judged = [measured.info.get("validity") for measured in subject.measured.values()]
    if told:
        return "INVALID", "The machine couldn't be trusted meanwhile"
    if loose:
        word, was = ("NOT JUDGED, BUSY", "busy, and ") if busy else ("NOT JUDGED", "")
        return word, f"The machine was {was}not checked in full"
    if all(measured.work_only for measured in subject.measured.values()):
        return "NOT JUDGED", "No times were taken, only the work"
    if None in judged:
        return "NOT JUDGED", "Whether the machine could be trusted is not known"
    return "VALID", f"The machine could be trusted in {_benchmarks(len(judged))}"


def _doubts(subject: Session) -> Iterator[str]:
    """Yield each cause for which times can't be trusted; of an older release, each reason."""
    judged = {short(name): each.info.get("validity") for name, each in subject.measured.items()}
    yield from (each.line(len(judged)) for each in doubts.sum_up(judged.items()))
    for name, validity in judged.items():
        if not doubts.findings(validity):
            yield from (f"{name}: {reason}" for reason in doubts.of_one(validity))


def _verdict(verdicts: Sequence[Verdict], against: str) -> tuple[str, str]:
    """Return the word and the sentence for verdicts, in the order of the exit status."""
    open_ = [each for each in verdicts if each.acknowledged is None]
    suspicious = [each for each in open_ if each.suspicious]
    status = judgement.exit_status(verdicts)
    if suspicious and status == ExitStatus.UNDECIDED:
        return "SUSPICIOUS", f"{_worst(suspicious, against)}; a duet decides it"
    for outcome in SAYS:
        if found := [each for each in open_ if each.outcome is outcome]:
            return outcome.value, _worst(found, against)
    if status:
        return "NOT COMPARABLE", "Nothing was compared"
    names = list(dict.fromkeys(short(each.benchmark) for each in verdicts))
    where = names[0] if len(names) == 1 else _benchmarks(len(names))
    return "PASSED", f"Nothing got worse in {where}, against {against}"


def _worst(found: Sequence[Verdict], against: str) -> str:
    """Return benchmark, metric and change of the first as it is listed, and how many more."""
    first = verdict_table.worst_first(found)[0]
    name, more = short(first.benchmark), len(found) - 1
    if first.change is not None and first.outcome is not Outcome.INVALID:
        change = verdict_table.cells(first)[5]
        says = f"{columns.title(first.metric)} {change} in {name}, against {against}"
    else:
        what = "The times of " if first.kind == "time" else f"{columns.title(first.metric)} of "
        what = "" if first.metric == "-" else what
        says = f"{what}{name} {SAYS.get(first.outcome, 'changed')}"
    return says + (f"; {more} more" if more else "")


def _benchmarks(count: int) -> str:
    return {1: "the benchmark", 2: "both benchmarks"}.get(count, f"all {count} benchmarks")
