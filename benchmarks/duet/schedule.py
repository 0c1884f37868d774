"""Who starts first, and who goes first in each pair: random, seeded, and balanced. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

SIDES = ("base", "head")
FIRST_LOOK = 5  # restarts after which verdicts are tried for the first time
FIRST_LOOK_ALTERNATING = 6  # the same if a drift cancels only over two restarts


@dataclass(frozen=True)
class Take:
    """What is timed once in each pair: a side, and how much it is slowed down on purpose."""

    side: str
    slowdown: float = 0.0


@dataclass(frozen=True)
class Restart:
    """One restart: the order in which the sides start, and the order of each pair of rounds.

    `place`, from 0 to 1, draws the core from which both sides work.
    """

    start: tuple[str, ...]
    pairs: tuple[tuple[Take, ...], ...]
    place: float


@dataclass(frozen=True)
class Budget:
    """What a duet may cost at most, how sure its verdicts are, and the seed of its order."""

    restarts: int
    pairs: int
    minutes: float
    alpha: float
    seed: int


def plan(restarts: int, pairs: int, takes: Sequence[Take], seed: int) -> list[Restart]:
    """Return so many restarts, the same for the same seed.

    Of each two neighbouring restarts one starts with either side: neither a drift over the
    restarts nor an advantage of the process that starts second favours a side. If one process
    runs at a time that makes A B B A of each two, in which a steady drift cancels. Within a restart
    every order of a pair is played forwards and backwards. One pair that is left over begins with
    the side that started second.
    """
    random = Random(seed)  # noqa: S311 (an order of measurements is no secret)
    planned: list[Restart] = []
    while len(planned) < restarts:
        first = random.choice(SIDES)
        for side in (first, other(first)):
            played = _pairs(pairs, takes, other(side), random)
            planned.append(Restart((side, other(side)), played, random.random()))
    return planned[:restarts]


def looks(most: int, alpha: float, first: int = FIRST_LOOK) -> dict[int, float]:
    """Return after how many restarts verdicts are tried, each with its share of the error.

    Planned ahead, and alpha is split in halves: looking twice raises no more false alarms than
    looking once (Bonferroni). With no room for a second look, the only one has all of alpha.
    """
    if most <= first:
        return {most: alpha}
    return {first: alpha / 2, most: alpha / 2}


def other(side: str) -> str:
    """Return the other side."""
    return SIDES[1 - SIDES.index(side)]


def _pairs(
    count: int, takes: Sequence[Take], left_over: str, random: Random
) -> tuple[tuple[Take, ...], ...]:
    orders: list[tuple[Take, ...]] = []
    for _ in range(count // 2):
        order = tuple(random.sample(takes, len(takes)))
        orders += [order, order[::-1]]
    if count % 2:
        order = tuple(random.sample(takes, len(takes)))
        orders.append(tuple(sorted(order, key=lambda take: take.side != left_over)))
    random.shuffle(orders)
    return tuple(orders)
