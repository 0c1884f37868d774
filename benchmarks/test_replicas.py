"""Several processes at once, each with its own copy of the model, on all visible GPUs in turn.

pytest benchmarks/test_replicas.py --replicas 1,2,4 --quantization int8-decomp,int8
"""


def test_replicas(benchmark, fleet, record_replicas):
    """Time rounds that all of them begin together."""
    found = benchmark.pedantic(fleet.run)
    record_replicas(found)
