"""The first generations of a process: what a user waits for before the model is warm.

pytest benchmarks/test_warmup.py
"""

import pytest

from benchmarks.measure.rounds import cold_start_ratio

FIRST_GENERATIONS = 3


@pytest.mark.runs_first
def test_warmup(benchmark, engine, measure, record):
    """Time the first three generations, with nothing before them."""
    benchmark.extra_info["cold_process"] = cold = engine.cold
    generations = measure(FIRST_GENERATIONS)
    record(generations, cold_start_ratio=cold_start_ratio(generations, cold=cold))
