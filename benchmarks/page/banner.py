"""What a reader sees first: the verdict, or whether the session can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.text import short
from benchmarks.report import summary, verdict_table
from benchmarks.sessions import doubts, session
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session

SAYS = {
    Outcome.REGRESSED: "Something got worse",
    Outcome.INVALID: "The machine couldn't be trusted, or the session failed",
    Outcome.NOT_COMPARABLE: "Something couldn't be compared",
    Outcome.MISSING: "Something wasn't there to compare",
    Outcome.INCONCLUSIVE: "Not enough data for a verdict",
}


@dataclass(frozen=True)
class Banner:
    """What a reader sees first: a word of state, a sentence, and what it rests on."""

    state: str
    headline: str
    lines: Sequence[str]


def banner(subject: Session, verdicts: Sequence[Verdict] | None) -> Banner:
    """Return the verdict, or if nothing was compared, whether the session can be trusted."""
    told = list(_doubts(subject))
    failed = subject.saved.get("passed") is False
    status = subject.saved.get("exit_status")
    lines = [*(f"{each}." for each in summary.failures(subject.failed)), *told]
    lines = [f"The session didn't pass: exit status {status}.", *lines] if failed else lines
    loose = session.unchecked_of(subject).lines()
    lines = [*(f"{each[0].upper()}{each[1:]}." for each in loose), *lines]
    if verdicts is not None:
        state, says = _verdict(verdicts)
        return Banner(state, says, [f"{verdict_table.counts(verdicts)}.", *lines])
    lines = [*lines, "Nothing was compared; pytest benchmarks --gate, or a duet, does."]
    if failed:
        return Banner("FAILED", "A test failed, so this session is no evidence", lines)
    if told:
        return Banner("INVALID", "The machine couldn't be trusted meanwhile", lines)
    judged = [measured.info.get("validity") for measured in subject.measured.values()]
    if loose:
        return Banner("NOT JUDGED", "The machine was not checked in full", lines)
    if None in judged:
        return Banner("NOT JUDGED", "Whether the machine could be trusted is not known", lines)
    return Banner("VALID", f"The machine could be trusted in {_benchmarks(len(judged))}", lines)


def _doubts(subject: Session) -> Iterator[str]:
    """Yield each cause for which times can't be trusted; of an older release, each reason."""
    judged = {short(name): each.info.get("validity") for name, each in subject.measured.items()}
    yield from (each.line(len(judged)) for each in doubts.sum_up(judged.items()))
    for name, validity in judged.items():
        if not doubts.findings(validity):
            yield from (f"{name}: {reason}" for reason in doubts.of_one(validity))


def _verdict(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Return the word and the sentence for verdicts, in the order of the exit status."""
    open_ = [each for each in verdicts if each.acknowledged is None]
    if (
        any(each.suspicious for each in open_)
        and judgement.exit_status(verdicts) == ExitStatus.UNDECIDED
    ):
        return "SUSPICIOUS", "Beyond what the baselines vary; a duet decides it"
    for outcome, says in SAYS.items():
        if any(each.outcome is outcome for each in open_):
            return outcome.value, says
    if judgement.exit_status(verdicts):
        return "NOT COMPARABLE", "Nothing was compared"
    return "PASSED", "Nothing got worse"


def _benchmarks(count: int) -> str:
    return {1: "the benchmark", 2: "both benchmarks"}.get(count, f"all {count} benchmarks")
