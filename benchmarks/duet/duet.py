"""Two environments on one machine: restarts of two workers that alternate rounds, one verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.common.errors import AttestationError, HarnessError, OutOfMemoryError, OutputError
from benchmarks.duet import decisions, progress, restart, schedule
from benchmarks.duet.restart import Conditions, Played, RestartRun
from benchmarks.duet.saving import Files
from benchmarks.duet.schedule import FIRST_LOOK, FIRST_LOOK_ALTERNATING, Budget
from benchmarks.duet.worker_process import LostError
from benchmarks.machine import clock
from benchmarks.sessions.outcome import Verdict
from benchmarks.verdicts.estimate import ENOUGH

if TYPE_CHECKING:
    from benchmarks.duet.schedule import Restart, Take
    from benchmarks.environments.overlay import Environment
    from benchmarks.sessions.session import Session
    from benchmarks.verdicts.acknowledged import Acknowledgement
    from benchmarks.verdicts.thresholds import Threshold

GIVE_UP = 3  # restarts in a row that are lost: the next one would be as well
WRONG = (OutputError, AttestationError)  # what a side does isn't what it is measured for


@dataclass
class Duet:
    """A duet: what it compares, what it has measured so far, and what it has decided."""

    conditions: Conditions
    environments: Mapping[str, Environment]
    budget: Budget
    out: Path
    say: Callable[[str], None]
    pulse: Callable[[str], None] = lambda _: None  # parts of a line, as each restart goes on
    asked: tuple[str, str] | None = None  # the one benchmark and metric that have to be decided
    acknowledged: Sequence[Acknowledgement] = ()  # regressions that pass
    limits: Sequence[Threshold] = ()  # in place of the usual ones
    command: str = ""  # that measures the same again
    id: str = field(default_factory=lambda: uuid4().hex)  # the same in all files of this duet
    takes: dict[Take, list[Session]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    longest_s: float = 0.0  # of the restarts so far, without the evidence that one gathers
    _looked: int = 0  # how many restarts were complete when they were judged last
    _deadline: float = inf  # in the seconds of `clock.read`
    _in_a_row: int = 0  # restarts that were lost since the last complete one
    _files: Files = field(init=False)

    def __post_init__(self) -> None:
        """Ask what is saved with each session before hours are spent on measuring."""
        specs = {side: environment.spec for side, environment in self.environments.items()}
        self._files = Files(self.out, specs)

    @property
    def restarts(self) -> int:
        """How many restarts are complete."""
        return min(map(len, self.takes.values()), default=0)

    @property
    def trusted(self) -> int:
        """How many of them count: the machine could be trusted on both sides."""
        return sum(not _doubts(*pair) for pair in zip(*self.sides, strict=True))

    @property
    def is_over(self) -> bool:
        """Whether its time was over before it was done."""
        return clock.read() >= self._deadline

    @property
    def sides(self) -> tuple[list[Session], list[Session]]:
        """The sessions of base and head, restart by restart."""
        base, head, *_ = self.conditions.takes
        return self.takes.get(base, []), self.takes.get(head, [])

    @property
    def looks(self) -> dict[int, float]:
        """After how many restarts it is judged, each with its share of the error."""
        first = FIRST_LOOK_ALTERNATING if self.conditions.alternate else FIRST_LOOK
        return schedule.looks(self.budget.restarts, self.budget.alpha, first)

    @property
    def facts(self) -> dict[str, Any]:
        """What tells this duet from others, and how sure its verdicts are."""
        looks = {str(count): alpha for count, alpha in self.looks.items()}
        facts = {"id": self.id, "alpha": self.budget.alpha, "looks": looks}
        return {**facts, "command": self.command} if self.command else facts

    def run(self) -> None:
        """Add restarts until every time has a verdict, or the budget is spent.

        Each complete restart is saved, and stays, whatever ends the duet. Raises InputError and
        the like if a side can't run at all.
        """
        for number, planned in self.within_budget():
            if not self.add(number, planned):
                continue
            self.say(self.progress(number))
            first = min(self.looks)
            if not self._looked and self.trusted == first:
                self.look(self.looks[first])
                if decisions.is_enough(self.verdicts, self.asked):
                    return
        self.conclude()

    def conclude(self) -> None:
        """Judge what is complete for the last time, whatever ended the duet."""
        if self.restarts > self._looked:
            self.look(self.looks[max(self.looks)])

    def look(self, alpha: float) -> None:
        """Judge what there is."""
        self._looked = self.restarts
        self.verdicts = self._judged(alpha)

    def _judged(self, alpha: float) -> list[Verdict]:
        return decisions.look(
            *self.sides,
            alpha,
            self.verdicts,
            self.acknowledged,
            limits=self.limits,
            work=self.conditions.work,
        )

    def within_budget(self) -> Iterator[tuple[int, Restart]]:
        """Yield the planned restarts while there is time, and a verdict can still be had.

        The order of one that was lost is played again: so the orders stay balanced.
        """
        budget = self.budget
        self._deadline = clock.read() + budget.minutes * 60
        enough = min(ENOUGH, budget.restarts)
        planned = schedule.plan(budget.restarts, budget.pairs, self.conditions.takes, budget.seed)
        for number in range(1, budget.restarts + 1):
            left = budget.restarts - number + 1
            if self._in_a_row == GIVE_UP:
                self.say(f"giving up: {GIVE_UP} restarts in a row were lost")
            elif self.restarts + left < enough:
                self.say(f"giving up: only {self.restarts + left} restarts are still possible")
            elif clock.read() + self.longest_s > self._deadline:
                minutes = progress.minutes(budget.minutes)
                self.say(f"another restart doesn't fit into {minutes}{self._short_of_time()}")
            else:
                yield number, planned[self.restarts]
                continue
            return

    def _short_of_time(self) -> str:
        """Return what it takes to judge times, if there is too little time for that."""
        missing_s = (ENOUGH - self.restarts) * self.longest_s
        over_s = clock.read() + missing_s - self._deadline
        if self.budget.restarts < ENOUGH or missing_s <= 0 or over_s <= 0:
            return ""
        least = progress.whole(self.budget.minutes + over_s / 60)
        return (
            f"; times need {ENOUGH} restarts, which take about {self.longest_s:.0f} s each: give "
            f"at least --max-minutes {least}"
        )

    def add(self, number: int, planned: Restart) -> bool:
        """Play a restart and save it. False if it is lost.

        Before the first complete restart an error is raised, because the side probably cannot run
        at all. After that the restart counts as lost; GIVE_UP lost restarts in a row end the duet.
        """
        began = clock.read()
        try:
            played = self._play(number, planned)
        except HarnessError as error:
            fatal = not self.takes or isinstance(error, WRONG)
            if fatal and not isinstance(error, LostError):
                raise
            self.lost.append(f"restart {number}: {error}")
            self.say(f"lost: {self.lost[-1]}")
            self._in_a_row += 1
            return False
        self._in_a_row = 0
        if not self.takes:
            for line in progress.describe_sides(played, self.environments):
                self.say(line)
        for note in played.notes:
            if note not in self.notes:
                self.notes.append(note)
                self.say(note)
        self._save(number, planned, played)
        base, head = self.sides
        if doubts := _doubts(base[-1], head[-1]):
            self.say(f"restart {number} doesn't count: {doubts[0].partition(';')[0]}")
        self.longest_s = max(self.longest_s, clock.read() - began - played.evidence_s)
        return True

    def _play(self, number: int, planned: Restart) -> Played:
        """Play a restart; if two models don't fit at once, one after the other from here on.

        Only before any restart is complete: one test is of one design.
        """
        run = RestartRun(
            self.conditions,
            self.environments,
            planned,
            self.out / "logs" / f"restart-{number:02}",
            self.say,
            evidence=self.conditions.evidence and not self.takes,
            deadline=self._deadline,
            pulse=self.pulse,
        )
        try:
            return run.play()
        except OutOfMemoryError as error:
            if self.conditions.alternate or self.takes:
                raise
            self.say(f"two models don't fit at once: {error}")
            self.say(restart.ALTERNATE)
            self.conditions = replace(self.conditions, alternate=True)
        return replace(run, conditions=self.conditions).play()

    def _save(self, number: int, planned: Restart, played: Played) -> None:
        """Save a session of each take: all of them, and then they count."""
        facts = {**self.facts, "seed": self.budget.seed}
        saved = self._files.save(number, planned, played, self.conditions, facts)
        for take, session in saved.items():
            self.takes.setdefault(take, []).append(session)

    def progress(self, number: int) -> str:
        """Return the estimate so far, and about how long it takes if all restarts are needed.

        The estimate is that of the next look.
        """
        alpha = self.looks[max(self.looks) if self._looked else min(self.looks)]
        left = self.budget.restarts - number
        left_s = max(0.0, min(left * self.longest_s, self._deadline - clock.read()))
        more = f", about {left_s / 60:.1f} minutes more for all" if left else ""
        return (
            f"restart {number} of at most {self.budget.restarts}: "
            f"{progress.standing(self._judged(alpha), self.asked)}; "
            f"{self.longest_s:.0f} s a restart{more}{self._short_of_time()}"
        )

    def cost(self) -> str:
        """Return about what it may cost if all of it is needed, before it starts."""
        return progress.cost(self.conditions, self.budget, min(self.looks), self.out)


def _doubts(*sides: Session) -> list[str]:
    """Return why the times of a restart can't be trusted; empty if they can."""
    return [why for side in sides for each in side.measured.values() for why in each.doubts]
