"""One restart of a duet: a fresh worker for each side, and their rounds in the planned order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
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
from benchmarks.sessions import pytest_format

if TYPE_CHECKING:
    from benchmarks.config.settings import Settings
    from benchmarks.duet.schedule import Restart
    from benchmarks.environments.overlay import Environment

SAME = ("device", "gpu", "gpu_count", "threads")  # both sides must run on the same of each
PATIENCE = 10  # loading may take so many times longer than any other answer
ALTERNATE = (
    "one process at a time from here on, in the order A B B A over two restarts: a steady drift "
    "cancels in each two of them, but not within one, so expect wider intervals"
)


@dataclass(frozen=True)
class Conditions:
    """What both sides do, and how."""

    settings: Settings
    options: Mapping[str, str | bool | None]  # the texts that a worker makes its settings from
    takes: tuple[Take, ...]
    variables: Mapping[str, str]
    answer_within_s: float
    alternate: bool  # one process at a time, instead of two that alternate rounds
    evidence: bool = True  # profiles and the output, in one restart; work in each
    work: bool = False  # nothing else: no round is timed


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


def play(
    conditions: Conditions,
    environments: Mapping[str, Environment],
    planned: Restart,
    logs: Path,
    name: str,
    say: Callable[[str], None],
    *,
    evidence: bool,
    deadline: float,
) -> Played:
    """Play a restart, with counters, profiles and logits at the end where `evidence` is wanted.

    Raises LostError where it is lost, and the worker's own error where a side can't run at all.
    """
    played = Played()
    groups = [(side,) for side in planned.start] if conditions.alternate else [planned.start]
    with TemporaryDirectory(prefix="duet-") as scratch:
        for sides in groups:
            with ExitStack() as stack:
                partners = {}
                for side in sides:
                    log = logs / f"{name}-{side}.log"
                    partner = _partner(side, environments[side], conditions, log, say, deadline)
                    partners[side] = stack.enter_context(partner)
                _start(partners, environments, conditions, played)
                for quantization in conditions.settings.quantizations:
                    _load(partners, quantization, conditions)
                    _pin(partners, planned.place, conditions, played)
                    for batch_size in conditions.settings.batch_sizes:
                        if conditions.work:
                            _prepare(partners, batch_size, conditions)
                        else:
                            _measure(partners, planned, batch_size, conditions)
                    began = clock.read()
                    if evidence:
                        _logits(partners, quantization, Path(scratch), conditions, played)
                    profiled = evidence and not conditions.work
                    _collect(partners, conditions, played, evidence=profiled)
                    played.evidence_s += clock.read() - began
    _compare_outputs(played)
    return played


def _partner(
    side: str,
    environment: Environment,
    conditions: Conditions,
    log: Path,
    say: Callable[[str], None],
    deadline: float,
) -> Partner:
    command = process.module_command(environment.python, "benchmarks", "worker")
    if any(take.slowdown for take in conditions.takes):
        command.append("--may-slow-down")
    variables = environment.variables(conditions.variables)
    # An idle worker must not spin: Intel's OpenMP does for 200 ms after its work, and with this
    # policy any OpenMP does for ever.
    variables.setdefault("KMP_BLOCKTIME", "1")
    if variables.get("OMP_WAIT_POLICY", "").lower() == "active":
        del variables["OMP_WAIT_POLICY"]
    variables["PYTHONFAULTHANDLER"] = "1"  # a crash leaves its stack in the log
    return Partner(side, command, variables, log, say, deadline=deadline)


def _start(
    partners: Mapping[str, Partner],
    environments: Mapping[str, Environment],
    conditions: Conditions,
    played: Played,
) -> None:
    """Start the workers at the same time: nothing is timed yet. Check that they can be compared."""
    patience_s = PATIENCE * conditions.answer_within_s
    packages = sorted({name for each in environments.values() for name in each.packages})
    for side, partner in partners.items():
        overlay = environments[side].overlay
        place = str(overlay) if overlay else None
        options = dict(conditions.options)
        partner.send("start", options=options, overlay=place, packages=packages)
    for side, partner in partners.items():
        played.started[side] = partner.answer("start", patience_s)
    if len(played.started) == len(schedule.SIDES):
        check_sides(played.started, {side: each.spec for side, each in environments.items()})


def check_sides(started: Mapping[str, Mapping[str, Any]], specs: Mapping[str, str]) -> None:
    """Raise InputError where both are the same though another was asked for, or machines differ."""
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


def _load(partners: Mapping[str, Partner], quantization: str, conditions: Conditions) -> None:
    """Load one after the other: two at once could need more memory than both hold afterwards."""
    for partner in partners.values():
        patience_s = PATIENCE * conditions.answer_within_s
        partner.ask("load", patience_s, quantization=quantization)


def _pin(
    partners: Mapping[str, Partner], place: float, conditions: Conditions, played: Played
) -> None:
    """Put all sides on the same core, where they keep to one. Once: later ones stay there."""
    for side, partner in partners.items():
        if side not in played.cores:
            found = partner.ask("pin", conditions.answer_within_s, place=place)
            played.cores[side] = found["core"]
    if len(set(played.cores.values())) > 1:
        raise LostError(f"expected both sides on the same core, got {played.cores}")


def _prepare(partners: Mapping[str, Partner], batch_size: int, conditions: Conditions) -> None:
    """Let each side record a batch size without timed rounds."""
    pids = [partner.pid for partner in partners.values()]
    patience_s = PATIENCE * conditions.answer_within_s
    for partner in partners.values():
        partner.ask("prepare", patience_s, batch_size=batch_size, own_pids=pids)


def _measure(
    partners: Mapping[str, Partner],
    planned: Restart,
    batch_size: int,
    conditions: Conditions,
) -> None:
    """Warm up and play the pairs. One side works at a time."""
    patience_s = conditions.answer_within_s
    pids = [partner.pid for partner in partners.values()]
    for partner in partners.values():
        partner.ask("warm_up", PATIENCE * patience_s, batch_size=batch_size, own_pids=pids)
    for pair in planned.pairs:
        for take in pair:
            if take.side in partners:
                asked = {"batch_size": batch_size, "slowdown": take.slowdown}
                partners[take.side].ask("round", patience_s, **asked)
    for partner in partners.values():
        partner.ask("record", patience_s, batch_size=batch_size)


def _collect(
    partners: Mapping[str, Partner], conditions: Conditions, played: Played, *, evidence: bool
) -> None:
    """Fetch what is stored of all rounds with this quantization."""
    patience_s = PATIENCE * conditions.answer_within_s
    for side, partner in partners.items():
        work = conditions.evidence and len(conditions.takes) == len(schedule.SIDES)  # no selftest
        found = partner.ask("collect", patience_s, evidence=evidence, work=work)
        if found["note"]:
            played.notes.append(f"{side}: no counters: {found['note']}")
        for each in found["benchmarks"]:
            bench = pytest_format.benchmark(each["params"], each["data"], each["extra_info"])
            played.benchmarks[Take(side, each["slowdown"])].append(bench)
            played.outputs[bench["param"]][side] = each["tokens"]
            played.workloads[bench["param"]][side] = each["extra_info"]["workload"]


def _logits(
    partners: Mapping[str, Partner],
    quantization: str,
    scratch: Path,
    conditions: Conditions,
    played: Played,
) -> None:
    """Compare the logits of the fixed text: the side that comes first leaves its own in a file."""
    file = scratch / f"{quantization}.safetensors"
    for partner in partners.values():
        asked = {"file": str(file)}
        try:
            if file.exists():
                found = partner.ask("compare_logits", conditions.answer_within_s, **asked)
                found.pop("done")
                played.agreement[quantization] = found
            else:
                partner.ask("logits", conditions.answer_within_s, **asked)
        except LostError as error:
            played.notes.append(f"no comparison of logits: {error}")
            return


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
