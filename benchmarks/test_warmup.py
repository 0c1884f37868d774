"""The first generations of a process: what a user waits for before the model is warm.

pytest benchmarks/test_warmup.py
"""

import pytest

from benchmarks.harness.engine import cold_start_ratio

FIRST_GENERATIONS = 3


@pytest.mark.runs_first
def test_warmup(benchmark, engine, workload, record, show, watch):
    """Time the first three generations, with nothing before them."""
    generations = []
    benchmark.extra_info["cold_process"] = cold = engine.cold
    with watch:
        benchmark.pedantic(
            engine.generate, args=(workload, generations), rounds=FIRST_GENERATIONS, setup=show
        )
    record(generations, cold_start_ratio=cold_start_ratio(generations, cold=cold))
