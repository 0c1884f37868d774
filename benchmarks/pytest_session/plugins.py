"""Other plugins: those that would run benchmarks otherwise, and pytest-benchmark's own table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

# By option, its plugin. In another process, or a second time after the model was checked and
# freed, a benchmark leaves nothing behind, or fails.
OTHERWISE = {
    "--reruns": "pytest-rerunfailures",
    "--force-reruns": "pytest-rerunfailures",
    "--retries": "pytest-retry",
    "--force-flaky": "flaky",
    "--forked": "pytest-forked",
    "--workers": "pytest-parallel",
}
# What asks for pytest-benchmark's own table, by option: any value but this one, its default.
ASKS: dict[str, Any] = {
    "benchmark_columns": None,
    "benchmark_sort": "min",
    "benchmark_group_by": "group",
    "benchmark_name": "normal",
    "benchmark_time_unit": None,
    "benchmark_compare": None,
    "benchmark_compare_fail": None,
    "benchmark_histogram": [],
    "benchmark_cprofile": None,
    "benchmark_verbose": False,
}
THEIR_COLUMNS = ["min", "median", "max", "iqr", "rounds"]
FIXTURE = "benchmark"
OURS = ("benchmarks.conftest", "pytest_benchmark.plugin")  # who makes the fixture, from above


def take_over_table(option: Any, *, work_only: bool) -> None:
    """Leave pytest-benchmark's table out unless an option asks for it: ours says the same.

    pytest-benchmark has an option for that, --benchmark-quiet. `work_only`: the one short round
    has no time.
    """
    if all((getattr(option, name) or default) == default for name, default in ASKS.items()):
        option.benchmark_quiet = True
    if work_only:
        option.benchmark_columns = ["rounds"]
    elif not option.benchmark_columns:
        option.benchmark_columns = THEIR_COLUMNS
    if option.benchmark_sort == ASKS["benchmark_sort"]:
        option.benchmark_sort = "fullname"


def check(config: pytest.Config, benchmarks: Iterable[Any]) -> None:
    """Raise InputError if a plugin would run these benchmarks otherwise than the suite expects."""
    for option, plugin in OTHERWISE.items():
        if value := _asked(config, option):
            raise InputError(
                f"{option}={value} ({plugin}): expected each benchmark to run once, in this "
                "process: a second try would hide a failure; leave it out"
            )
    for each in benchmarks:
        _check_fixture(each)


def check_distributed(config: pytest.Config, ids: Sequence[str]) -> None:
    """Raise InputError if a process of pytest-xdist collected benchmarks: it measures nothing."""
    folder = Path(__file__).parents[1]
    found = [each for each in ids if folder in (config.rootpath / each.partition("::")[0]).parents]
    if found:
        raise InputError(
            f"-n (pytest-xdist): expected one process for {count(len(found), 'benchmark')}, got "
            "several, which would disturb each other; write -n0"
        )


def _asked(config: pytest.Config, option: str) -> Any:
    """Return the value of another plugin's option, by command line or settings; None without it."""
    name = option.lstrip("-").replace("-", "_")
    if value := getattr(config.option, name, None):
        return value
    try:
        return config.getini(name)
    except (KeyError, ValueError):  # no such setting
        return None


def _check_fixture(item: Any) -> None:
    """Raise InputError if another plugin took the fixture over, as pytest-codspeed does.

    Some of them pass for a BenchmarkFixture, so it is asked who makes it. One that goes on from
    the fixture before it, as ours does, is fine.
    """
    makers = []
    for each in reversed(item._fixtureinfo.name2fixturedefs[FIXTURE]):
        makers.append(each.func.__module__)
        if FIXTURE not in each.argnames:
            break
    if not set(OURS) <= set(makers):
        raise InputError(
            f"{item.name}: expected the fixture {FIXTURE!r} of pytest-benchmark, got that of "
            f"{makers[-1]}; leave its options out, or switch the plugin off with -p no:NAME"
        )
