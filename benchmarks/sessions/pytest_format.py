"""Write sessions as pytest-benchmark does, where it isn't pytest that measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import mean, median, stdev
from types import SimpleNamespace
from typing import Any

from benchmarks.common import git
from benchmarks.common.quantity import percentile
from benchmarks.sessions import commit as commits

MODULE = "benchmarks/test_throughput.py"  # whose benchmark a duet measures, and is named after


def machine_info() -> dict[str, Any]:
    """Return what pytest-benchmark says of the machine."""
    from pytest_benchmark import plugin  # its hooks, called as it calls them

    return dict(plugin.pytest_benchmark_generate_machine_info())  # type: ignore[no-untyped-call]


def commit_info(folder: Path | None = None) -> dict[str, Any]:
    """Return what pytest-benchmark says of a checkout's commit, and where it is on the web.

    By default of the suite's own.
    """
    from pytest_benchmark import plugin

    config = SimpleNamespace(getoption=lambda _, default=None: default)
    with commits.asked_of(folder or commits.SUITE):
        found = dict(plugin.pytest_benchmark_generate_commit_info(config))  # type: ignore[no-untyped-call]
        found |= git.published()
    return found if folder else dict(commits.if_the_suites(found))


def benchmark(
    params: Mapping[str, Any], data: Sequence[float], extra_info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one benchmark of a file: named as pytest names it, so that results join."""
    mode = f"-{params['generation']}" if "generation" in params else ""  # but for the default one
    sizes = "b{batch_size}-p{prompt_tokens}-n{new_tokens}".format(**params)
    short = f"{params['quantization']}{mode}-{sizes}"
    return {
        "group": None,
        "name": f"test_throughput[{short}]",
        "fullname": f"{MODULE}::test_throughput[{short}]",
        "params": dict(params),
        "param": short,
        "extra_info": dict(extra_info),
        "options": {"timer": "now"},
        "stats": {**statistics(data), "data": list(data), "iterations": 1},
    }


def session(
    benchmarks: Sequence[Mapping[str, Any]],
    machine: Mapping[str, Any],
    commit: Mapping[str, Any],
    ours: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of a file; `ours` is what this suite adds."""
    return {
        "machine_info": dict(machine),
        "commit_info": dict(commit),
        "benchmarks": list(benchmarks),
        "datetime": datetime.now(UTC).isoformat(),
        "version": metadata.version("pytest-benchmark"),
        "llm_int8": {
            "passed": True,
            "exit_status": 0,
            "verdicts": None,
            "promoted": None,
            **ours,
        },
    }


def statistics(data: Sequence[float]) -> dict[str, Any]:
    """Return the statistics that pytest-benchmark stores of the seconds of rounds.

    Null in all but the number of rounds if none was timed.
    """
    if not data:
        return {**dict.fromkeys(statistics([1.0])), "rounds": 0}
    q1, q3 = percentile(data, 25), percentile(data, 75)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)  # Tukey's fences
    middle, spread = mean(data), stdev(data) if len(data) > 1 else 0.0
    far = sum(abs(each - middle) > spread for each in data)
    outside = sum(not low <= each <= high for each in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": middle,
        "stddev": spread,
        "rounds": len(data),
        "median": median(data),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": far,
        "outliers": f"{far};{outside}",
        "ld15iqr": min(each for each in data if each >= low),
        "hd15iqr": max(each for each in data if each <= high),
        "ops": len(data) / sum(data),
        "total": sum(data),
    }
