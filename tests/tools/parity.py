"""The old script's timed loop, its faults mended, beside rounds of the suite, on one model."""

from __future__ import annotations

from math import ceil, floor, log, sqrt
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import clock
from benchmarks.measure import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine


def log_ratios(engine: Engine, workload: Workload, pairs: int) -> list[float]:
    """Return log(suite's tokens/s ÷ script's) of that many pairs of rounds, which take turns."""
    found = []
    for number in range(pairs):
        first, second = (script, suite) if number % 2 else (suite, script)
        one, two = first(engine, workload), second(engine, workload)
        found.append(log(two / one if number % 2 else one / two))
    return found


def script(engine: Engine, workload: Workload) -> float:
    """Return tokens/s by a loop without the suite.

    What is mended: new tokens of all rows count and no others, their number is fixed, and the
    clock waits for the device.
    """
    import torch

    arguments = engine.arguments(workload, workload.new_tokens)
    start = clock.read()
    with torch.inference_mode():
        tokens = engine.model.generate(**arguments)
    if engine.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = clock.read() - start
    return float((tokens.shape[1] - workload.prompt_tokens) * tokens.shape[0] / seconds)


def suite(engine: Engine, workload: Workload) -> float:
    """Return tokens/s as the suite times a round."""
    start = clock.now()
    engine.generate(workload)
    seconds = clock.now() - start
    return metrics.tokens_per_s(workload.batch_size, workload.new_tokens, seconds)


def middle(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the median of log ratios, and its standard error by their ranks.

    A median lies between two order statistics, sqrt(n) x 0.98 ranks to either side of the middle,
    with a probability of 95 % (the binomial's normal approximation), whatever the distribution:
    half of that interval is 1.96 errors. A few disturbed pairs don't widen it.
    """
    ordered, count = sorted(ratios), len(ratios)
    reach = 0.98 * sqrt(count)
    low = ordered[max(0, floor(count / 2 - reach) - 1)]
    high = ordered[min(count - 1, ceil(count / 2 + reach))]
    return median(ordered), (high - low) / 2 / 1.96
