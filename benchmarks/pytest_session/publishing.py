"""What CI sees of a session beside its log: a summary in Markdown, test cases, annotations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from benchmarks.common.text import short
from benchmarks.pytest_session.state import state_of
from benchmarks.report import github, step_summary, verdict_lines
from benchmarks.sessions.outcome import COMPARED, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.outcome import Verdict

    When: TypeAlias = Literal["call", "teardown"]


def summary(config: pytest.Config, says: str) -> str:
    """Return the session as Markdown; `says` are the last words of its gate."""
    state = state_of(config)
    judged = None
    if gate := state.gate:
        judged = step_summary.Judgement(says, gate.verdicts, gate.notes)
    return step_summary.markdown(_facts(config), state.summary, judged)


def annotate(config: pytest.Config) -> list[str]:
    """Return the annotations of verdicts and failures; none beyond GitHub Actions."""
    state = state_of(config)
    verdicts = state.gate.verdicts if state.gate else []
    return github.lines(verdicts, os.environ, state.summary.failures())


def add_cases(config: pytest.Config, verdicts: Sequence[Verdict]) -> None:
    """Add a test case for each judged benchmark to the report of --junitxml.

    It fails if something regressed, and is skipped if something couldn't be judged. Only that
    report hears of it: for pytest itself these are no tests.
    """
    plugins = config.pluginmanager
    others = [each for each in plugins.get_plugins() if type(each).__name__ != "LogXML"]
    tell = plugins.subset_hook_caller("pytest_runtest_logreport", others)
    for benchmark in dict.fromkeys(each.benchmark for each in verdicts):
        of_it = [each for each in verdicts if each.benchmark == benchmark]
        tell(report=_case(benchmark, of_it))
        tell(report=_case(benchmark, (), "teardown"))  # which ends it


def _case(benchmark: str, verdicts: Sequence[Verdict], when: When = "call") -> pytest.TestReport:
    file, _, test = benchmark.rpartition("::")
    open_ = [each for each in verdicts if each.acknowledged is None]
    regressed = [each for each in open_ if each.outcome is Outcome.REGRESSED]
    unjudged = [each for each in open_ if each.outcome not in COMPARED]
    unjudged += [each for each in open_ if each.outcome is Outcome.INCONCLUSIVE]
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    says: str | tuple[str, int, str] | None = None
    if regressed:
        outcome, says = "failed", "\n".join(verdict_lines.lines(regressed))
    elif unjudged:
        outcome, says = "skipped", (file, 0, "\n".join(verdict_lines.lines(unjudged)))
    return pytest.TestReport(
        nodeid=f"{file or 'gate'}::gate::{test}",
        location=(file, None, short(benchmark)),
        keywords={},
        outcome=outcome,
        longrepr=says,
        when=when,
    )


def _facts(config: pytest.Config) -> dict[str, str]:
    """Return what was measured, on what, with which versions; nothing if nothing was to be."""
    state = state_of(config)
    if (target := state.target) is None:
        return {}
    from benchmarks.machine import device

    found = device.machine_info(target.device)
    hardware = {name: each for name, each in found["hardware"].items() if each is not None}
    return {
        "model" if len(state.targets) == 1 else "models": state.titles,
        "quantizations": ", ".join(target.settings.quantizations),
        "device": device.describe(target.device, target.settings.device_map),
        "versions": ", ".join(f"{name} {each}" for name, each in found["software"].items() if each),
        "machine": ", ".join(
            f"{name} {each}" for name, each in hardware.items() if name not in ("device", "card")
        ),
    }
