"""The pages of results, and what they lack."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sessions import outcome

RESULTS = Path(__file__).parents[2] / "docs" / "results"
H200 = RESULTS / "nvidia-h200.md"
JUDGING = RESULTS / "nvidia-h200-judging.md"
SEVERAL = RESULTS / "nvidia-h200-several.md"


def missing(lines, page):
    """Return those of the lines that a page lacks."""
    said = page.read_text().splitlines()
    return [line for line in lines if line not in said]


def moved(verdict, digits=1):
    """Return a change and where it begins and ends, as a page has it."""
    return outcome.moved(verdict.change, verdict.low, verdict.high, digits=digits)
