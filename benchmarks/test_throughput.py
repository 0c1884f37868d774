"""Five rounds of 128 new tokens for each of 8 rows.

pytest benchmarks/test_throughput.py --quantization int8-decomp,int8 --batch-size 1,8
"""


def test_throughput(benchmark, engine, workload, settings, record, show, watch):
    """Time whole generations of a warm model."""
    generations = []
    engine.warm_up(workload, settings.warmup_rounds, show)
    with watch:
        benchmark.pedantic(
            engine.generate, args=(workload, generations), rounds=settings.rounds, setup=show
        )
    record(generations)
