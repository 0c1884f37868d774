"""Halve a list of candidates until the place is found where a verdict turns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Turn(Enum):
    """What a duet of a candidate against the good side says."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Tried:
    """One candidate, what its duet said, and why in a few words."""

    name: str
    turn: Turn
    why: str


@dataclass(frozen=True)
class Found:
    """The last good candidate and the first bad one; between them, those that can't be tried."""

    good: str
    bad: str
    between: tuple[str, ...]


def search(candidates: Sequence[str], turn: Callable[[str], Turn]) -> Found | None:
    """Return where the candidates, in order, turn from good to bad; None if the last is good.

    The first is good by definition, the last is tried first. `turn` is asked for each candidate at
    most once; where it is skipped, the nearest one that isn't decides. With one turn among n
    candidates that takes about log2(n) questions.
    """
    if turn(candidates[-1]) is not Turn.BAD:
        return None
    good, bad = 0, len(candidates) - 1
    skipped: set[int] = set()
    while open_ := [i for i in range(good + 1, bad) if i not in skipped]:
        middle = (good + bad) / 2
        tried = min(open_, key=lambda i: abs(i - middle))
        answer = turn(candidates[tried])
        if answer is Turn.SKIPPED:
            skipped.add(tried)
        elif answer is Turn.BAD:
            bad = tried
        else:
            good = tried
    return Found(candidates[good], candidates[bad], tuple(candidates[good + 1 : bad]))
