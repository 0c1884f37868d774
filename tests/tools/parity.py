"""The old script's timed loop, its faults mended, beside rounds of the suite, on one model."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, floor, log, sqrt
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import clock
from benchmarks.measure import metrics
from benchmarks.model import loading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target


@dataclass(frozen=True)
class Compared:
    """What pairs of rounds said: log(suite's tokens/s ÷ script's), their median and its error."""

    log_ratios: list[float]
    median: float
    standard_error: float

    def __str__(self) -> str:
        """Return it in a line."""
        ratio = f"{exp(self.median):.4f} ± {self.standard_error:.4f}"
        return f"suite : bare loop, tokens/s, {len(self.log_ratios)} pairs: {ratio}"


def compare(target: Target, quantization: str, workload: Workload, pairs: int) -> Compared:
    """Load a model, and let rounds of the suite and the script's loop take turns on it."""
    with loading.load(target, quantization, cold=False) as engine:
        engine.prepare(workload)
        engine.warm_up(workload, 2)
        ratios = log_ratios(engine, workload, pairs)
    return Compared(ratios, *middle(ratios))


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
