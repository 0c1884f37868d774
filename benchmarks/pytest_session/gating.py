"""The gate: a session judged by its baselines when it ends, and what pytest makes of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus, first
from benchmarks.common.files import append
from benchmarks.pytest_session import publishing, saving, selection
from benchmarks.pytest_session.state import Gate, state_of
from benchmarks.sessions import baseline, comparable
from benchmarks.sessions.outcome import Verdict
from benchmarks.sessions.session import Session, parse_session, read_session
from benchmarks.verdicts import acknowledged, thresholds

ACKNOWLEDGED = acknowledged.FILE  # tests have files of their own
THRESHOLDS = thresholds.FILE
ANY = "[0-9][0-9][0-9][0-9]_"  # what pytest-benchmark compares with if no name is given
JUDGED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)  # unless something went wrong

SAYS: dict[int, str] = {
    ExitStatus.FINE: "passed",
    ExitStatus.FAILED: "FAILED",
    ExitStatus.INVALID: "INVALID",
}


def prepare(config: pytest.Config) -> None:
    """Find what to judge by, before anything is measured.

    Raises InputError for a baseline or an acknowledgement that can't be used.
    """
    name = config.option.benchmark_compare
    _check_compare(config)
    _check_compare_fail(config)
    _hand_on_compare(config)
    state = state_of(config)
    if not state.settings.gate or config.option.collectonly:
        return
    folder = saving.folder(config)
    acknowledgements, limits = acknowledged.read(ACKNOWLEDGED), thresholds.read(THRESHOLDS)
    if isinstance(name, str) and name:
        base = [read_session(path) for path in baseline.named(folder, name)]
        state.gate = Gate(base, [f"baselines: {name}"], acknowledgements, limits, named=True)
        return
    known = baseline.stored(folder)
    base = [each for each in known.sessions if baseline.is_baseline(each)]
    notes = [f"baselines: {len(base)} promoted of {len(known.sessions)} saved in {folder}"]
    if loose := sum(map(baseline.is_loose, known.sessions)):
        notes.append(f"not checked in full (--bounds), and so no baselines: {loose} promoted")
    state.gate = Gate(base, [*notes, *known.damaged], acknowledgements, limits)


def heralded(gate: Gate, machine: dict[str, Any]) -> list[str]:
    """Return what is said before minutes are spent: that no baseline is there, or of this machine.

    `machine` is what a session that is saved now would say of it.
    """
    here = Session("this session", measured={}, machine=machine)
    differ = [comparable.machine_differences(each, here) for each in gate.base]
    if not all(differ):
        return []
    others = [f"all are of another machine, the newest: {', '.join(differ[-1])}"] if differ else []
    status = int(ExitStatus.NOTHING_COMPARED)
    says = f"nothing to judge by: this session can't pass (exit status {status})"
    return [*gate.notes, *others, says]


def _check_compare(config: pytest.Config) -> None:
    """Refuse names that are no saved session's, and those that pytest-benchmark fails at."""
    name = config.option.benchmark_compare
    if not isinstance(name, str) or Path(name).is_file():
        return
    if not name.strip():
        raise InputError(
            "--benchmark-compare: expected a saved session, got an empty name; "
            "without a name it is the newest one"
        )
    if Path(name).is_absolute() or len(Path(name).parts) > 2 or "**" in name:
        raise InputError(
            f"--benchmark-compare={name}: expected a saved file, a number such as 0001, or a "
            "pattern of file names; there is no such file"
        )
    baseline.named(saving.folder(config), name)


def _hand_on_compare(config: pytest.Config) -> None:
    """Let pytest-benchmark compare with what is meant: below a folder, too, as the gate does.

    By itself it looks into the storage and its own folder of system and Python version there.
    """
    option, folder = config.option, saving.folder(config)
    name = option.benchmark_compare
    if not name or (name is not True and Path(name).is_file()):
        return
    try:
        found = baseline.named(folder, ANY if name is True else name)
    except InputError:  # nothing is saved yet
        return
    if name is True or len(found) == 1:
        option.benchmark_compare = str(max(found, key=lambda each: (each.name, each.parent)))
    elif len(Path(name).parts) == 1:
        option.benchmark_compare = f"*/{name}"


def _check_compare_fail(config: pytest.Config) -> None:
    """Take --benchmark-compare-fail from pytest-benchmark if it would end in a traceback.

    With nothing saved yet the session still runs and is saved: the first of a runner.
    """
    option, folder = config.option, saving.folder(config)
    if not option.benchmark_compare_fail:
        return
    if not option.benchmark_compare:
        raise InputError(
            "--benchmark-compare-fail: expected --benchmark-compare as well, got none; "
            "add it, or use --gate"
        )
    try:
        name = option.benchmark_compare
        baseline.named(folder, ANY if name is True else name)
    except InputError as error:
        option.benchmark_compare_fail = None
        state_of(config).not_compared = str(error)


def finish(session: pytest.Session, content: dict[str, Any] | None) -> int | None:
    """Judge what was measured, and return the status to end with; None if nothing is judged.

    A status that says more, such as a test that failed or an interrupt, stays.
    """
    from benchmarks.verdicts import creep, judgement

    state = state_of(session.config)
    if not (gate := state.gate):
        return None
    head = parse_session(content, "this session") if content else None
    asked = selection.of_session(session, gate.deselected)
    base, heads = _base(gate, head, asked), [head] if head else []
    gate.notes += comparable.notes(base, heads, by_work=state.settings.gate == "work")
    level = baseline.level(gate.base, head) if head and not gate.named else []
    gate.verdicts = creep.judge(
        base,
        level,
        heads,
        gate=state.settings.gate or "screen",
        acknowledged=gate.acknowledgements,
        limits=gate.limits,
        absent=gate.absent,
    )
    gate.notes += filter(None, (each.note(gate.verdicts) for each in gate.acknowledgements))
    gate.notes += thresholds.notes(gate.limits, gate.verdicts)
    status = judgement.exit_status(gate.verdicts)
    if session.exitstatus not in JUDGED:
        return None
    doubted = state.summary.causes and judges_the_wall(session.config)
    return first(status, ExitStatus.INVALID) if doubted else status


def judges_the_wall(config: pytest.Config) -> bool:
    """Whether there is a gate that wall times have to pass."""
    state = state_of(config)
    return state.gate is not None and state.settings.gate != "work"


def lines(gate: Gate, status: int) -> list[str]:
    """Return what the terminal shows of the judgement."""
    from benchmarks.report import conclusion, verdict_lines

    return [
        *verdict_lines.lines(gate.verdicts, gate.notes),
        *conclusion.lines(gate.verdicts, "this session"),
        f"gate: {_says(status)}",
    ]


def _says(status: int) -> str:
    return f"{SAYS.get(status, 'NOT PASSED')}, exit status {status}"


def summarize(config: pytest.Config) -> None:
    """Add verdicts and metrics to the files that want them, as Markdown.

    Raises InputError if a file can't be written.
    """
    state = state_of(config)
    if not state.settings.summaries or not (state.gate or state.summary.rows):
        return
    text = publishing.summary(config, _says(state.status))
    for path in state.settings.summaries:
        append(path, text, "--summary")


def add_properties(verdicts: list[Verdict], add: Callable[[str, object], None]) -> None:
    """Add verdicts to the report of --junitxml."""
    for each in verdicts:
        change = "" if each.change is None else f" {each.change:+.2%}"
        add(f"{each.benchmark} {each.metric}", f"{each.outcome.value}{change}")


def _base(gate: Gate, head: Session | None, asked: selection.Selection) -> list[Session]:
    """Return the sessions to judge by, less the benchmarks that nobody asked for now."""
    current = head or (gate.base[-1] if gate.base else None)
    base = gate.base if gate.named or current is None else baseline.baselines(gate.base, current)
    measured = head.measured if head else {}
    unselected = {
        name
        for each in base
        for name in each.measured
        if name not in measured and not asked.asks_for(name)
    }
    if unselected:
        gate.notes.append(f"not selected now, and so not judged: {len(unselected)} of the baseline")
    kept = [
        replace(each, measured={k: v for k, v in each.measured.items() if k not in unselected})
        for each in base
    ]
    return [each for each in kept if each.measured]
