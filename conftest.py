"""Pytest wiring: options and hooks. Importing it imports no torch; fixtures: benchmarks/."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import collecting
from benchmarks.common import interrupts, output
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus, first
from benchmarks.common.text import first_line, wrapped
from benchmarks.config.options import HELP, OPTIONS
from benchmarks.config.settings import build_settings
from benchmarks.machine import clock
from benchmarks.model.target import with_own_quantization
from benchmarks.pytest_session import (
    closing,
    failures,
    gating,
    plugins,
    publishing,
    reporting,
    saving,
    selection,
)
from benchmarks.pytest_session.finish import doubtful, judge_and_save, write_compared
from benchmarks.pytest_session.state import STATE, SessionState, state_of
from benchmarks.report import columns

DEFAULT_TIMER = "time.perf_counter"  # pytest-benchmark's


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's options."""
    group = parser.getgroup("LLM.int8() benchmarks", HELP)
    for option in OPTIONS:
        if option.flag:
            group.addoption(option.name, action="store_true", help=option.help)
            continue
        value = {"nargs": "?", "const": option.bare} if option.bare else {}
        group.addoption(
            option.name, default=option.default, metavar=option.metavar, help=option.help, **value
        )


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and give pytest-benchmark its defaults: clock, raw data, storage."""
    with _in_one_line():
        settings = build_settings(config.getoption, os.environ)
        if config.option.quantization is None:
            fetch = not (config.option.collectonly or config.option.help)
            settings = with_own_quantization(settings, fetch=fetch)
        config.stash[STATE] = SessionState(settings, output.last())
        interrupts.listen(config.add_cleanup)
        # pytest-benchmark reads its options after this hook; a timer that the user gave wins.
        if config.option.benchmark_timer == DEFAULT_TIMER:
            config.option.benchmark_timer = clock.TIMER
        config.option.benchmark_save_data = True
        plugins.take_over_table(config.option, work_only=settings.work_only)
        saving.take_over(config)
        config.pluginmanager.register(failures.Table(state_of(config)))
        gating.prepare(config)


@pytest.hookimpl(wrapper=True)
def pytest_report_header() -> Generator[None, list[Any], list[list[str]]]:
    """Fold the lines of all plugins: pytest-benchmark's has 187 characters."""
    found = yield
    given = ([each] if isinstance(each, str) else each for each in found)
    return [[line for each in lines for line in wrapped(each)] for lines in given]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize every benchmark of a model."""
    if collecting.is_benchmark(metafunc.fixturenames):
        state_of(metafunc.config).collected = True
        collecting.parametrize(metafunc, state_of(metafunc.config).settings)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what no option asks for, unless its file is named."""
    return collecting.is_left_out(collection_path, state_of(config).settings) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put benchmarks into the order in which each model is loaded once."""
    settings = state_of(config).settings
    if settings.work_only:
        selection.leave_out_other_times(config, items)
    items.sort(key=lambda item: collecting.order(item, settings))


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Find the model, and say what will be measured. Wrong input ends the session before that."""
    wanted = [item for item in items if collecting.is_benchmark(getattr(item, "fixturenames", ()))]
    if not wanted or config.option.collectonly or config.option.benchmark_skip:
        return []
    if hasattr(config, "workerinput"):  # of pytest-xdist, whose controller refuses benchmarks
        return []
    from benchmarks.pytest_session import opening

    with _in_one_line():
        return opening.begin(config, wanted)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Refuse benchmarks in the processes of pytest-xdist, once these know what is selected."""
    with _in_one_line():
        plugins.check_distributed(node.config, ids)


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of pytest's capture, around its teardown
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Check what really ran when the last benchmark of a model is done, while it is loaded."""
    failure, state = None, state_of(item.config)
    loaded = collecting.loaded
    evidence, done = state.evidence, not nextitem or loaded(nextitem) != loaded(item)
    if evidence and state.progress and done:
        state.evidence = None
        state.history["profiled"] = True
        state.progress.show(f"{failures.loaded(item)}: checking what ran")
        try:
            evidence.finish()
        except Exception as error:  # raised below: the teardown itself must happen in any case
            failure = error
            failures.take_back(state, evidence.names, error)
    result = yield
    if failure:
        raise failure
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: Any, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say that a benchmark failed; an error that the suite understands is one line of its own."""
    report = yield
    state = state_of(item.config)
    if (progress := state.progress) is None:
        return report
    progress.clear()
    if report.failed:
        progress.say(f"{failures.name(item, report.when)}: FAILED")
        if "benchmark" in getattr(item, "funcargs", {}):
            item.funcargs["benchmark"].has_error = True  # a failed benchmark is no result
        if collecting.is_benchmark(getattr(item, "fixturenames", ())):
            failures.take_back(state, [item.nodeid], call.excinfo and call.excinfo.value)
    if (report.failed or report.skipped) and state.gate:
        state.gate.miss(item.nodeid, report.outcome)
    error = call.excinfo.value if call.excinfo and report.failed else None
    if error and (line := failures.as_line(error, state, item.name)):
        report.longrepr = line
    return report


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """Print no dots among the lines that say what a benchmark measured."""
    progress = state_of(config).progress
    return progress.status_of(report) if progress else None


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Add the device and the versions to what pytest-benchmark stores of the machine."""
    if target := state_of(config).target:
        from benchmarks.machine import device

        machine_info.update(device.machine_info(target.device))


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Keep what the other session ran on, to compare it once this session's device is known.

    pytest-benchmark compares before, and all of it, clock rates of the moment included: it would
    warn every time. If nothing seems to differ, it is silent.
    """
    state_of(config).compared.append((compared_benchmark["machine_info"], machine_info))
    state_of(config).doubtful += doubtful(compared_benchmark)
    compared_benchmark["machine_info"] = machine_info


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add how the session ended to the file, that of --benchmark-json as well."""
    output_json["llm_int8"] = state_of(config).outcome


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Keep which benchmarks nobody wants now: the gate doesn't miss them."""
    for item in items:
        if gate := state_of(item.config).gate:
            gate.deselected.add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Keep that all was run: until then a session has not passed, whatever its status says."""
    result = yield
    state_of(session.config).all_run = True
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Keep pytest's account of a Ctrl-C from failing: the session would exit with 1, REGRESSED.

    It reads the source of every frame, which takes long enough for a second Ctrl-C.
    """
    interrupts.ignore()
    interrupts.simplify(excinfo)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-benchmark's, which writes its JSON
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Judge and save, let pytest write its summary, and have the last word.

    It takes seconds, and what was measured took minutes: a Ctrl-C doesn't stop it.
    """
    interrupts.ignore()
    judge_and_save(session)
    try:
        result = yield
    except (pytest.UsageError, pytest.exit.Exception):
        raise
    except Exception as error:  # as of --junitxml; Python's own status, 1, would mean REGRESSED
        closing.fail(session, error)
        result = None
    closing.write(session)
    closing.flush(session)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)  # below pytest-benchmark's tables, whatever they raise
def pytest_terminal_summary(
    terminalreporter: Any, config: pytest.Config
) -> Generator[None, object, object]:
    """Write the tables of the session, then the verdicts, then where the files are."""
    from pytest_benchmark.session import PerformanceRegression

    state = state_of(config)
    state.shown = True
    failure, status = state.not_compared, ExitStatus.NOTHING_COMPARED
    try:
        result = yield
    except PerformanceRegression as error:  # of --benchmark-compare-fail
        failure, status, result = str(error), ExitStatus.FAILED, None
    chosen = columns.chosen(state.settings.columns)
    state.summary.write(terminalreporter, chosen, output.width())
    write_compared(terminalreporter, config)
    if failure:
        terminalreporter.write_line(f"--benchmark-compare-fail: {failure}", red=True)
        saving.end_with(config, first(state.status, status))
    if state.gate:
        terminalreporter.section("gate")
        for line in gating.lines(state.gate, state.status):
            terminalreporter.write_line(line)
    for line in publishing.annotate(config):
        terminalreporter.write_line(line)
    reported = reporting.closing_lines(config)  # first: how the session ends may depend on it
    for line in filter(None, (*state.saved, state.unversioned, *reported)):
        terminalreporter.write_line(line)
    try:
        gating.summarize(config)
    except InputError as error:
        terminalreporter.write_line(str(error), red=True)
        saving.end_with(config, state.status or pytest.ExitCode.INTERNAL_ERROR)
    return result


@contextmanager
def _in_one_line() -> Iterator[None]:
    """End the session by 4, before anything is measured, if something can't be used."""
    try:
        yield
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    except ImportError as error:
        what = error.name or "what a package needs"  # which of them it is, the text says
        told = f"can't import {what}: {first_line(error)}; install it again"
        raise pytest.UsageError(told) from error
