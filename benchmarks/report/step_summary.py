"""A session as Markdown, for `--summary` and the summary of a job: what, where, and what came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.report import verdict_markdown
from benchmarks.sessions import unchecked
from benchmarks.sessions.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.report.summary import Summary
    from benchmarks.sessions.outcome import Verdict

TRUSTED = "the machine could be trusted"
NOT_JUDGED = "no times were judged"


@dataclass(frozen=True)
class Judgement:
    """What a gate said: its last words, its verdicts, and the notes above them."""

    says: str
    verdicts: Sequence[Verdict]
    notes: Sequence[str]


def markdown(facts: Mapping[str, str], summary: Summary, judged: Judgement | None) -> str:
    """Return a heading with facts and validity, then verdicts and figures; each reason once."""
    lines = [f"{name}: {fact}" for name, fact in facts.items()] + _validity(summary)
    parts = ["## LLM.int8() benchmarks", _listed(lines)]
    if judged:
        shown = _without_validity(judged.verdicts) if summary.causes else judged.verdicts
        title = f"Gate: {judged.says}"
        parts.append(verdict_markdown.markdown(shown, judged.notes, title=title))
    if summary.rows:
        parts += ["### Figures", summary.markdown()]
        parts.append(_listed([*summary.against_half(), *summary.failures()]))
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {verdict_markdown.text(each)}" for each in lines)


def _validity(summary: Summary) -> list[str]:
    found = summary.validity()
    judged = [info["validity"] for _, info in summary.records]
    if summary.causes or unchecked.of_records(judged):
        return found
    return [*found, f"validity: {TRUSTED if judged and all(judged) else NOT_JUDGED}"]


def _without_validity(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts; why wall times are INVALID is in the heading."""
    said = (Outcome.INVALID, "time")
    return [replace(v, detail="") if (v.outcome, v.kind) == said else v for v in verdicts]
