"""Comparability: what decides is named, what nobody knows doesn't, and versions never refuse."""

from __future__ import annotations

import pytest

from benchmarks.sessions import comparable
from benchmarks.sessions.session import Measured
from tests.builders import GPU, THROUGHPUT, foreign, info, session


def on(hardware, cpu="A CPU", software=None):
    """Return a session on this machine."""
    return session(cpu=cpu, hardware=hardware, software=software or {})


HOST = {"device": "cpu", "threads": 1, "available_cores": 2}


@pytest.mark.parametrize(
    ("base", "head", "differ"),
    [
        (on(GPU), on(GPU), []),
        (on(GPU), on({**GPU, "gpu": "B GPU"}), ["gpu A GPU -> B GPU"]),
        (on({**GPU, "mig_mode": None}), on({**GPU, "mig_mode": "on"}), ["mig_mode None -> on"]),
        (on({**GPU, "gpu_count": 1}), on({**GPU, "gpu_count": 2}), ["gpu_count 1 -> 2"]),
        (on(GPU), on({**GPU, "mig_mode": "on"}), []),  # an older session doesn't know
        (on({**GPU, "power_limit_watts": 700}), on({**GPU, "power_limit_watts": 699.8}), []),
        (on({**GPU, "gpu_memory_bytes": 80 * 2**30 - 4096}), on(GPU), []),
        (on(GPU), on(GPU, cpu="B CPU"), ["cpu A CPU -> B CPU"]),
        (on(GPU), on({**GPU, "threads": 4}), []),
        (on(HOST), on({**HOST, "threads": 2}), ["threads 1 -> 2"]),
        (on(HOST), on({**HOST, "available_cores": 4}), ["available_cores 2 -> 4"]),
        (on({}), on(GPU), ["device unknown -> cuda", "gpu unknown -> A GPU"]),
        (foreign([1.0]), foreign([1.0]), []),
    ],
)
def test_the_machine(base, head, differ):
    """Facts of the machine decide where both know them, or where one side must."""
    assert comparable.machine_differences(base, head) == differ


def test_a_fact_that_one_side_lacks_is_said():
    """Where it doesn't refuse."""
    assert comparable.unknown_facts(on(GPU), on({**GPU, "mig_mode": "on"})) == ["mig_mode"]
    assert comparable.unknown_facts(on(GPU), on(GPU)) == []


def record(**changes):
    """Return a record whose workload differs by this."""
    workload = {**info([1.0])["workload"], **changes}
    return Measured(THROUGHPUT, (1.0,), info([1.0], workload=workload))


@pytest.mark.parametrize(
    ("base", "head", "differ"),
    [
        (record(), record(), []),
        (record(), record(prompts_sha256="q"), ["prompts_sha256 p -> q"]),
        (record(), record(revision="abc"), ["revision None -> abc"]),
        (record(), record(attn="eager"), ["attn unknown -> eager"]),
        (Measured("a", (1.0,)), Measured("a", (1.0,)), []),
        (
            record(),
            Measured(THROUGHPUT, (1.0,), info([1.0], schema=2)),
            ["schema 1 -> 2"],
        ),
        (
            Measured(THROUGHPUT, (1.0,), info([1.0], attestation=None)),  # interrupted
            record(),
            [],
        ),
    ],
)
def test_the_workload(base, head, differ):
    """Any fact of the work decides; what neither side says doesn't."""
    assert comparable.workload_differences(base, head) == differ


def test_versions_are_the_treatment():
    """They are told, and refuse nothing."""
    base = on(GPU, software={"torch": "2.12.0", "python": "3.11.7", "pytest-benchmark": "5.2"})
    head = on(GPU, software={"torch": "2.13.0", "python": "3.11.7", "pytest-benchmark": "5.3"})
    assert comparable.treatment(base, head) == ["torch 2.12.0 -> 2.13.0"]
    assert comparable.machine_differences(base, head) == []


def test_a_compared_session_is_another_machine_if_it_is_one_for_the_gate():
    """--benchmark-compare says it in the same facts; other versions are a line of their own."""
    base = on({**GPU, "threads": 4, "gpu_memory_bytes": 80 * 2**30 - 4096})
    assert comparable.differences(base, on(GPU)) == []
    base = on({**GPU, "gpu": "B GPU"}, software={"torch": "1"})
    assert comparable.differences(base, on(GPU, software={"torch": "2"})) == [
        "compared with another machine, so times are not comparable: gpu B GPU -> A GPU",
        "compared with other versions: torch 1 -> 2",
    ]
    assert "device unknown -> cuda" in comparable.differences(foreign([1.0]), on(GPU))[0]
