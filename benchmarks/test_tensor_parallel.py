"""One model that several processes hold together: each has a part of every layer.

pytest benchmarks --device-map tensor --quantization fp16
"""


def test_tensor_parallel(benchmark, ranks, store_record):
    """Time rounds that all of them do together."""
    found = benchmark.pedantic(ranks.run)
    store_record(found)
