"""The one-token generate, timed and profiled, and profiled decode steps.

pytest benchmarks/test_profile.py --artifacts artifacts
"""

import pytest

from benchmarks.evidence.profiling import profile_decode, profile_prefill


@pytest.mark.runs_last  # a profiler may leave its hooks in the process, and slow down what follows
@pytest.mark.parametrize("new_tokens", [1], ids="n{}".format)
def test_profile(engine, workload, settings, measure, record, store_profiles, show):
    """Time the generation of one token unprofiled, then profile it and the decode steps."""
    engine.warm_up(workload, settings.warmup_rounds, show)
    generations = measure(settings.rounds)
    record(generations)
    frames = settings.artifacts is not None
    store_profiles(
        profile_prefill(engine, workload, frames=frames),
        profile_decode(engine, workload, frames=frames),
    )
