"""Five rounds of 128 new tokens for each of 8 rows.

pytest benchmarks/test_throughput.py --quantization int8-decomp,int8 --batch-size 1,8
"""


def test_throughput(engine, workload, settings, measure, record, show):
    """Time whole generations of a warm model."""
    engine.warm_up(workload, settings.warmup_rounds, show)
    generations = measure(settings.rounds)
    record(generations)
