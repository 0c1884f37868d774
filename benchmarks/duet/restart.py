"""One restart of a duet: a fresh worker for each side, and their rounds in the planned order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.common import process
from benchmarks.common.errors import InputError, OutputError
from benchmarks.duet import schedule
from benchmarks.duet.schedule import Take
from benchmarks.duet.worker_process import LostError, Partner
from benchmarks.environments import installed
from benchmarks.machine import clock
from benchmarks.model import target
from benchmarks.sessions import pytest_format

if TYPE_CHECKING:
    from benchmarks.config.settings import Settings
    from benchmarks.duet.schedule import Restart
    from benchmarks.environments.overlay import Environment

SAME = ("device", "gpu", "gpu_count", "threads")  # both sides must run on the same of each
ANSWER_WITHIN_S = 600  # a worker that says nothing for so long is ended
LOADED_WITHIN_S = 10 * ANSWER_WITHIN_S  # the same while it loads, warms up or collects
ALTERNATE = (
    "one process at a time from here on, in the order A B B A over two restarts: a steady drift "
    "cancels in each two of them, but not within one, so expect wider intervals"
)


@dataclass(frozen=True)
class Conditions:
    """What both sides do, and how."""

    settings: Settings
    options: Mapping[str, str | None]  # the texts that a worker makes its settings from
    takes: tuple[Take, ...]
    variables: Mapping[str, str]
    alternate: bool = False  # one process at a time, instead of two that alternate rounds
    evidence: bool = True  # profiles and the output, in one restart; work in each
    work: bool = False  # nothing else: no round is timed

    def with_own_quantization(self) -> Conditions:
        """Return these, with the quantization that the model has already if none was asked for."""
        if self.options.get("quantization") is not None:
            return self
        settings = target.with_own_quantization(self.settings, fetch=True)
        named = {"quantization": settings.quantizations[0]} if settings != self.settings else {}
        return replace(self, settings=settings, options={**self.options, **named})

    def check(self) -> None:
        """Raise InputError, before anything is installed or started, for what no side can use."""
        target.check(self.settings)
        if len(modes := self.settings.generations) > 1:
            raise InputError(
                f"--generation: expected one mode for both sides, got {', '.join(modes)}; measure "
                "one after the other"
            )


@dataclass
class Played:
    """What came of a restart: benchmarks by take, what each side is, and how they agree.

    `agreement` is by quantization, `outputs` and `workloads` by benchmark and side.
    """

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    benchmarks: defaultdict[Take, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    outputs: defaultdict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    workloads: defaultdict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    agreement: dict[str, Any] = field(default_factory=dict)
    cores: dict[str, int | None] = field(default_factory=dict)  # by side; None: wherever it likes
    evidence_s: float = 0.0  # that the evidence took, beside the rounds
    notes: list[str] = field(default_factory=list)


@dataclass
class RestartRun:
    """Plays a restart, with profiles and logits at the end if `evidence` is wanted.

    `log` is where logs are, and how their names begin.
    """

    conditions: Conditions
    environments: Mapping[str, Environment]
    planned: Restart
    log: Path
    say: Callable[[str], None]
    evidence: bool
    deadline: float
    pulse: Callable[[str], None] = lambda _: None  # parts of a line that shows that it lives

    def play(self) -> Played:
        """Return what came of it.

        Raises LostError if it is lost, and the worker's own error if a side can't run at all.
        """
        self._played, start = Played(), self.planned.start
        with TemporaryDirectory(prefix="duet-") as scratch:
            for sides in [(side,) for side in start] if self.conditions.alternate else [start]:
                with ExitStack() as stack:
                    self._partners = {
                        side: stack.enter_context(self._start(side)) for side in sides
                    }
                    self._describe()
                    for quantization in self.conditions.settings.quantizations:
                        self.pulse(f"{self.log.name}, {quantization}: load ")
                        try:
                            self._play_model(quantization, Path(scratch))
                        finally:
                            self.pulse("\n")
        _compare_outputs(self._played)
        return self._played

    def _play_model(self, quantization: str, scratch: Path) -> None:
        """Play all that is asked of one model, on the sides that live now."""
        self._load(quantization)
        for batch_size in self.conditions.settings.batch_sizes:
            self.pulse(f" b{batch_size} ")
            play = self._prepare if self.conditions.work else self._measure
            play(batch_size)
        self.pulse(" collect ")
        began = clock.read()
        if self.evidence:
            self._compare_logits(quantization, scratch)
        self._collect()
        if self.evidence and not self.conditions.work:
            self._played.evidence_s += clock.read() - began

    def _start(self, side: str) -> Partner:
        log = self.log.with_name(f"{self.log.name}-{side}.log")
        variables = self.conditions.variables
        return start(side, self.environments[side], variables, log, self.say, self.deadline)

    def _describe(self) -> None:
        """Let the workers import at the same time: nothing is timed yet. Check what they are."""
        packages = sorted({name for each in self.environments.values() for name in each.packages})
        for side, partner in self._partners.items():
            overlay = self.environments[side].overlay
            place = str(overlay) if overlay else None
            options = dict(self.conditions.options)
            partner.send("start", options=options, overlay=place, packages=packages)
        started = self._played.started
        for side, partner in self._partners.items():
            started[side] = partner.answer("start", LOADED_WITHIN_S)
        if len(started) == len(schedule.SIDES):
            check_sides(started, {side: each.spec for side, each in self.environments.items()})

    def _load(self, quantization: str) -> None:
        """Load one after the other: two at once could need more memory than both hold afterwards.

        Then put all sides on the same core, if they keep to one. Once: later ones stay there.
        """
        for partner in self._partners.values():
            partner.ask("load", LOADED_WITHIN_S, quantization=quantization)
            self.pulse(".")
        cores = self._played.cores
        for side, partner in self._partners.items():
            if side not in cores:
                answer = partner.ask("pin", ANSWER_WITHIN_S, place=self.planned.place)
                cores[side] = answer["core"]
        if len(set(cores.values())) > 1:
            raise LostError(f"expected both sides on the same core, got {cores}")

    def _prepare(self, batch_size: int) -> None:
        """Let each side record a batch size without timed rounds."""
        pids = [partner.pid for partner in self._partners.values()]
        for partner in self._partners.values():
            partner.ask("prepare", LOADED_WITHIN_S, batch_size=batch_size, own_pids=pids)
            self.pulse(".")

    def _measure(self, batch_size: int) -> None:
        """Warm up and play the pairs. One side works at a time."""
        partners = self._partners
        pids = [partner.pid for partner in partners.values()]
        for partner in partners.values():
            partner.ask("warm_up", LOADED_WITHIN_S, batch_size=batch_size, own_pids=pids)
        for take in (take for pair in self.planned.pairs for take in pair if take.side in partners):
            asked = {"batch_size": batch_size, "slowdown": take.slowdown}
            partners[take.side].ask("round", ANSWER_WITHIN_S, **asked)
            self.pulse(".")
        for partner in partners.values():
            partner.ask("record", ANSWER_WITHIN_S, batch_size=batch_size)

    def _collect(self) -> None:
        """Fetch what is stored of all rounds with this quantization."""
        played, conditions = self._played, self.conditions
        work = conditions.evidence and len(conditions.takes) == len(schedule.SIDES)  # no selftest
        asked = {"evidence": self.evidence and not conditions.work, "work": work}
        for side, partner in self._partners.items():
            answer = partner.ask("collect", LOADED_WITHIN_S, **asked)
            self.pulse(".")
            if answer["note"]:
                played.notes.append(f"{side}: no counters: {answer['note']}")
            for each in answer["benchmarks"]:
                bench = pytest_format.benchmark(each["params"], each["data"], each["extra_info"])
                played.benchmarks[Take(side, each["slowdown"])].append(bench)
                played.outputs[bench["param"]][side] = each["tokens"]
                played.workloads[bench["param"]][side] = each["extra_info"]["workload"]

    def _compare_logits(self, quantization: str, scratch: Path) -> None:
        """Compare those of the fixed text: the side that comes first leaves its own in a file."""
        file = scratch / f"{quantization}.safetensors"
        for partner in self._partners.values():
            try:
                if not file.exists():
                    partner.ask("logits", ANSWER_WITHIN_S, file=str(file))
                    continue
                agreement = partner.ask("compare_logits", ANSWER_WITHIN_S, file=str(file))
            except LostError as error:
                self._played.notes.append(f"no comparison of logits: {error}")
                return
            del agreement["done"]
            self._played.agreement[quantization] = agreement


def start(
    side: str,
    environment: Environment,
    inherited: Mapping[str, str],
    log: Path,
    say: Callable[[str], None],
    deadline: float = inf,
) -> Partner:
    """Start a worker in an environment; see `Partner`."""
    command = process.module_command(environment.python, "benchmarks", "worker")
    variables = environment.variables(inherited)
    # An idle worker must not spin: Intel's OpenMP does for 200 ms after its work, and with this
    # policy any OpenMP does for ever.
    variables.setdefault("KMP_BLOCKTIME", "1")
    if variables.get("OMP_WAIT_POLICY", "").lower() == "active":
        del variables["OMP_WAIT_POLICY"]
    variables["PYTHONFAULTHANDLER"] = "1"  # a crash leaves its stack in the log
    return Partner(side, command, variables, log, say, deadline=deadline)


def check_sides(started: Mapping[str, Mapping[str, Any]], specs: Mapping[str, str]) -> None:
    """Raise InputError if both are the same though another was asked for, or machines differ."""
    base, head = (started[side] for side in schedule.SIDES)
    if specs["base"] != specs["head"] and installed.identical(base["loaded"], head["loaded"]):
        raise InputError(
            f"--base {specs['base']} and --head {specs['head']}: expected two environments that "
            f"differ, got the same on both sides ({versions(base)}); name another version"
        )
    ours, theirs = (
        {name: each["machine"]["hardware"].get(name) for name in SAME} for each in (base, head)
    )
    if ours != theirs:
        raise InputError(
            f"expected both sides on the same device, got {ours} and {theirs}; "
            "choose it with --device, and --threads"
        )


def versions(started: Mapping[str, Any]) -> str:
    """Return the versions that a worker reports, in a few words."""
    return ", ".join(f"{name} {each['version']}" for name, each in started["loaded"].items())


def _compare_outputs(played: Played) -> None:
    """Say where the greedy tokens of the two sides differ. Another number of them is an error."""
    for workload in played.workloads.values():
        if workload["base"] != workload["head"]:
            raise InputError(f"expected the same work, got {workload}; report this as a bug")
    for name, tokens in played.outputs.items():
        base, head = tokens["base"], tokens["head"]
        if [len(row) for row in base] != [len(row) for row in head]:
            raise OutputError(f"{name}: the sides made different numbers of tokens")
        rows = [row for row in range(len(base)) if base[row] != head[row]]
        if rows:
            first = min(_first_difference(base[row], head[row]) for row in rows)
            played.notes.append(
                f"{name}: greedy tokens differ in {len(rows)} of {len(base)} rows, from new token "
                f"{first + 1} on: the sides do not compute the same"
            )


def _first_difference(base: Sequence[int], head: Sequence[int]) -> int:
    return next(k for k, (a, b) in enumerate(zip(base, head, strict=True)) if a != b)
