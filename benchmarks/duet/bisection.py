"""Halve a list of candidates until the place is found where a verdict turns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Turn(Enum):
    """What a duet of a candidate against the good side says."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"  # it can't be tried: no duet, or nothing that could be compared
    UNDECIDED = "undecided"  # it was tried, and neither is shown


@dataclass(frozen=True)
class Tried:
    """One candidate, what its duet said, and why in a few words."""

    name: str
    turn: Turn
    why: str


@dataclass(frozen=True)
class Found:
    """The last good candidate and the first bad one, and what lies between them."""

    good: str
    bad: str
    between: tuple[str, ...]  # none of them is good or bad
    undecided: tuple[str, ...] = ()  # those that were tried, and not decided


def search(candidates: Sequence[str], turn: Callable[[str], Turn]) -> Found | None:
    """Return where the candidates, in order, turn from good to bad; None if the last is good.

    None as well if the last is skipped or undecided. The first is good by definition, the last is
    tried first. `turn` is asked for each candidate at most once; if it is skipped or undecided, the
    nearest one that isn't decides. With one turn among n candidates that takes about log2(n)
    questions.
    """
    if turn(candidates[-1]) is not Turn.BAD:
        return None
    good, bad = 0, len(candidates) - 1
    passed_over: dict[int, Turn] = {}
    while open_ := [i for i in range(good + 1, bad) if i not in passed_over]:
        middle = (good + bad) / 2
        tried = min(open_, key=lambda i: abs(i - middle))
        answer = turn(candidates[tried])
        if answer is Turn.BAD:
            bad = tried
        elif answer is Turn.GOOD:
            good = tried
        else:
            passed_over[tried] = answer
    between = range(good + 1, bad)
    undecided = [candidates[i] for i in between if passed_over[i] is Turn.UNDECIDED]
    names = tuple(candidates[i] for i in between)
    return Found(candidates[good], candidates[bad], names, tuple(undecided))
