"""What a reader sees first: the verdict, or whether the session can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.harness import verdict, verdict_table
from benchmarks.harness.outcome import Outcome
from benchmarks.page.history import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness.outcome import Verdict
    from benchmarks.harness.sessions import Session

SUSPICIOUS = 11  # exit status
SAYS = {
    Outcome.REGRESSED: "Something got worse",
    Outcome.INVALID: "The machine couldn't be believed, or the session failed",
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
    """Return the verdict, or where nothing was compared, whether the session can be believed."""
    doubts = [
        f"{short(name)}: {reason}"
        for name, measured in subject.measured.items()
        for reason in (measured.info.get("validity") or {}).get("reasons") or ()
    ]
    failed = subject.saved.get("passed") is False
    status = subject.saved.get("exit_status")
    lines = [f"The session didn't pass: exit status {status}.", *doubts] if failed else doubts
    if bounds := lifted(subject):
        lines = [f"Not judged by: {', '.join(bounds)}. These bounds were lifted.", *lines]
    if verdicts is not None:
        state, says = _verdict(verdicts)
        return Banner(state, says, [f"{verdict_table.counts(verdicts)}.", *lines])
    lines = [*lines, "Nothing was compared; pytest benchmarks --gate, or a duet, does."]
    if failed:
        return Banner("FAILED", "A test failed, so this session is no evidence", lines)
    if doubts:
        return Banner("INVALID", "The machine couldn't be believed meanwhile", lines)
    judged = [measured.info.get("validity") for measured in subject.measured.values()]
    if bounds:
        return Banner("NOT JUDGED", "Bounds of validity were lifted, so it says nothing", lines)
    if None in judged:
        return Banner("NOT JUDGED", "Whether the machine could be believed is not known", lines)
    return Banner("VALID", f"The machine could be believed in {_benchmarks(len(judged))}", lines)


def lifted(subject: Session) -> list[str]:
    """Return the bounds of validity that some benchmark of a session wasn't held to."""
    found: dict[str, None] = {}
    for measured in subject.measured.values():
        found.update(
            dict.fromkeys((measured.info.get("validity") or {}).get("bounds_lifted") or ())
        )
    return list(found)


def _verdict(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Return the word and the sentence for verdicts, in the order of the exit status."""
    open_ = [each for each in verdicts if each.acknowledged is None]
    if any(each.suspicious for each in open_) and verdict.exit_status(verdicts) == SUSPICIOUS:
        return "SUSPICIOUS", "Beyond what the baselines vary; a duet decides it"
    for outcome, says in SAYS.items():
        if any(each.outcome is outcome for each in open_):
            return outcome.value, says
    if verdict.exit_status(verdicts):
        return "NOT COMPARABLE", "Nothing was compared"
    return "PASSED", "Nothing got worse"


def _benchmarks(count: int) -> str:
    return {1: "the benchmark", 2: "both benchmarks"}.get(count, f"all {count} benchmarks")
