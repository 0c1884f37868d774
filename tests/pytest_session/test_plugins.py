"""Other plugins beside the suite: what would run benchmarks otherwise is refused in one line."""

from types import SimpleNamespace

import pytest

from benchmarks.pytest_session.plugins import ASKS, take_over_table
from tests.running import LEAST

# What pytest-codspeed does: its fixture takes the place of all others, and passes for one of
# pytest-benchmark's.
TAKES_OVER = """
import pytest

def taken():
    return object()

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    if hasattr(pytest, "register_fixture"):
        pytest.register_fixture(name="benchmark", func=taken, node=session)
    else:
        session._fixturemanager._register_fixture(name="benchmark", func=taken, nodeid="")
"""
GOES_ON = """
import pytest

@pytest.fixture
def benchmark(benchmark):
    return benchmark
"""
RUNS_AGAIN = """
def pytest_addoption(parser):
    parser.addoption("--{0}", default=None)
    parser.addini("{0}", "the same")
"""
LATER = "--model: expected a folder with a checkpoint"  # what is checked after the plugins


@pytest.fixture
def beside(session, monkeypatch, tmp_path):
    """Return a function that runs a session beside a plugin of this text."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(name, text, *options):
        (tmp_path / f"{name}.py").write_text(text)
        outcome = session("-p", name, "--model=./none", *options)
        assert outcome.status == 4
        (line,) = filter(None, outcome.err.splitlines())
        return line

    return run


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("benchmark_columns", ["mean"]),
        ("benchmark_sort", "mean"),
        ("benchmark_compare", True),
        ("benchmark_histogram", ["x"]),
        ("benchmark_verbose", True),
    ],
)
def test_pytest_benchmarks_table_comes_if_one_of_its_options_asks_for_it(asked, value):
    """Unasked it would say the same as the suite's own; a session of work has no time for it."""
    option = SimpleNamespace(**ASKS, benchmark_quiet=False)
    take_over_table(option, work_only=False)
    assert option.benchmark_quiet is True
    option = SimpleNamespace(**{**ASKS, asked: value}, benchmark_quiet=False)
    take_over_table(option, work_only=False)
    assert option.benchmark_quiet is False
    assert getattr(option, asked) == value
    take_over_table(option, work_only=True)
    assert option.benchmark_columns == ["rounds"]


def test_the_columns_of_pytest_benchmarks_table_are_the_users(session):
    """And ours are: both tables have what was asked for, and nothing else."""
    outcome = session(*LEAST, "--benchmark-columns=mean", "--columns=p99,load")
    assert outcome.status == 0, outcome.out
    (header,) = [line for line in outcome.out.splitlines() if line.startswith("Name (time in")]
    assert header.split()[-1] == "Mean"
    (header,) = [line for line in outcome.out.splitlines() if line.startswith("benchmark  ")]
    assert header.split() == ["benchmark", "p99", "load"]
    refused = session(*LEAST, "--columns=xyzzy")
    assert refused.status == 4
    assert "--columns: expected all or names of columns, got 'xyzzy'" in refused.err
    assert "loading" not in refused.out


def test_another_benchmark_fixture_is_refused(beside):
    """With the plugin that made it; one that hands on what it got is none."""
    line = beside("takes_over", TAKES_OVER, "--gate")
    assert "expected the fixture 'benchmark' of pytest-benchmark, got that of takes_over" in line
    assert LATER in beside("goes_on", GOES_ON)


@pytest.mark.parametrize("name", ["reruns", "forked"])
def test_what_would_run_a_benchmark_again_or_elsewhere_is_refused(beside, name):
    """By the command line, and by the settings of pytest."""
    text = RUNS_AGAIN.format(name)
    for options in ([f"--{name}=1"], ["-o", f"{name}=1"]):
        line = beside(f"plugin_{name}", text, *options)
        assert f"--{name}=1 (pytest-" in line
        assert "expected each benchmark to run once, in this process" in line
    assert LATER in beside(f"plugin_{name}", text)


def test_several_processes_of_xdist_are_refused(session):
    """None of them would measure, and all would pass."""
    outcome = session("-n1", "-k", "throughput")
    assert outcome.status == 4
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("ERROR")]
    assert "-n (pytest-xdist): expected one process for 1 benchmark, got several" in line
    assert "passed" not in outcome.out
