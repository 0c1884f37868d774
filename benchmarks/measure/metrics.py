"""The formulas: seconds, counts and bytes in, metrics out. No torch, no pytest, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from benchmarks.common.quantity import (
    NO_GPU,
    NOT_COMPILED,
    NOT_WHOLE,
    ONE_TOKEN,
    Metric,
    Unmeasured,
    percentile,
)


@dataclass(frozen=True)
class Round:
    """One timed generation, in seconds: all of it, its first token, and each gap after that."""

    round_s: float
    ttft_s: float
    step_s: tuple[float, ...]

    def record(self) -> dict[str, object]:
        """Return the round as it is stored."""
        return {"round_s": self.round_s, "ttft_s": self.ttft_s, "step_s": list(self.step_s)}


def split_round(round_s: float, elapsed_s: Sequence[float]) -> Round:
    """Split a round into its first token and the gaps that follow.

    `elapsed_s` are seconds from the start of `generate` to each step's logits, and last to its
    end. What comes after the last logits (choosing the token, appending it, the stop check) comes
    after the first ones as well, so TTFT is the time to the first logits plus that tail: the
    moment at which the token is available. TTFT and the gaps add up to the whole generation.
    """
    *logits, end = elapsed_s
    if not logits:
        raise ValueError("a round has at least one step")
    gaps = tuple(later - earlier for earlier, later in pairwise(logits))
    return Round(round_s, ttft_s=logits[0] + end - logits[-1], step_s=gaps)


def tokens_per_s(batch_size: int, new_tokens: int, round_s: float) -> float:
    """Return new tokens of all rows per second of a round; the prompt never counts."""
    return batch_size * new_tokens / round_s


def script_speed(prompt_tokens: int, new_tokens: int, rounds_s: Sequence[float]) -> float:
    """Return the "Speed" of the old script, in its tokens per second: a wrong number, on purpose.

    It added the length of the first row, prompt included, once a round, and divided by all
    seconds (bitsandbytes, benchmarking/int8/int8_benchmark.py). Kept so that its users can find
    their number again.
    """
    return len(rounds_s) * (prompt_tokens + new_tokens) / sum(rounds_s)


def tpot_s(round_: Round, new_tokens: int) -> float:
    """Return seconds per output token after the first: (end-to-end - TTFT) / (new tokens - 1).

    Raises ValueError for a single token, which has no gap. Source: the definition of NVIDIA's
    GenAI-Perf and of vLLM's benchmark_serving.
    """
    if new_tokens < 2:
        raise ValueError("TPOT needs at least two new tokens")
    return sum(round_.step_s) / (new_tokens - 1)


def mean_decode_context(prompt_tokens: int, new_tokens: int) -> float:
    """Return how many tokens of a row the KV cache holds on average over the decode steps.

    Decode step k of new tokens - 1 reads prompt tokens + k entries.
    """
    return prompt_tokens + new_tokens / 2


def speed_of_light_s(bytes_read: float, bandwidth_bytes_per_s: float) -> float:
    """Return the least seconds in which so many bytes can be read: bytes / peak bandwidth."""
    return bytes_read / bandwidth_bytes_per_s


def bandwidth_in_turn(held: Mapping[str, int], bandwidths: Mapping[str, Metric]) -> Metric:
    """Return the bandwidth with which devices read the bytes that each holds, one after the other.

    A token passes through the layers of one device before those of the next: bytes of all / (sum of
    bytes / bandwidth of each).
    """
    seconds = 0.0
    for name, count in held.items():
        bandwidth = bandwidths[name]
        if isinstance(bandwidth, Unmeasured):
            return bandwidth
        seconds += speed_of_light_s(count, bandwidth)
    if len({*bandwidths.values()}) == 1:
        return next(iter(bandwidths.values()))
    return sum(held.values()) / seconds if seconds else NO_GPU


def bandwidth_at_once(held: Mapping[str, int], bandwidths: Mapping[str, Metric]) -> Metric:
    """Return the bandwidth with which devices read the bytes that each holds, all at once.

    A token passes through the parts of a layer together: bytes of all / the longest of the times.
    """
    seconds = 0.0
    for name, count in held.items():
        bandwidth = bandwidths[name]
        if isinstance(bandwidth, Unmeasured):
            return bandwidth
        seconds = max(seconds, speed_of_light_s(count, bandwidth))
    return sum(held.values()) / seconds if seconds else NO_GPU


DECODE = (
    "tpot_s",
    "itl_p50_s",
    "itl_p95_s",
    "itl_p99_s",
    "decode_tokens_per_s",
    "decode_kv_cache_bytes",
    "decode_bytes",
    "speed_of_light_tpot_s",
    "mbu",
)


SHORTEST_ENERGY_S = 2.0  # the counters of GPUs move in steps of up to a tenth of a second


@dataclass(frozen=True)
class ModelCost:
    """What a loaded model weighs, in bytes, and what a decode step has to read of it."""

    load_s: float
    weights_bytes: int
    decode_weight_bytes: int
    kv_bytes_per_token: int  # of one row
    state_bytes: int = 0  # of one row, however long it is: a recurrent state
    partly_read: Unmeasured | None = None  # why a step reads less than all of it
    window_tokens: int | None = None  # to which some layers attend; None if all see all
    cache_unread: Unmeasured | None = None  # why a step reads less of the cache than in 16 bits
    compile_s: Metric = NOT_COMPILED


@dataclass(frozen=True)
class Peaks:
    """What the machine reported: peaks in bytes, and its memory bandwidth if it is known."""

    peak_allocated_bytes: Metric
    peak_reserved_bytes: Metric
    peak_resident_bytes: Metric
    bandwidth_bytes_per_s: Metric


def generation_metrics(
    rounds: Sequence[Round],
    *,
    batch_size: int,
    prompt_tokens: int,
    new_tokens: int,
    cost: ModelCost,
    peaks: Peaks,
    energy_joules: Metric = NO_GPU,
) -> dict[str, Metric]:
    """Return every metric of a benchmark, by name; the names are stored and never change.

    Rates and times are medians over the rounds, each of its own; inter-token latencies (ITL) pool
    the gaps of all rounds. MBU is the bytes that a decode step has to read (weights and KV cache)
    over TPOT and peak bandwidth, as Databricks define it ("LLM Inference Performance Engineering",
    2023).
    `energy_joules` is what the device used over all rounds.
    """
    rounds_s = [each.round_s for each in rounds]
    round_s = median(rounds_s)
    ttft_s = median(each.ttft_s for each in rounds)
    return {
        "tokens_per_s": tokens_per_s(batch_size, new_tokens, round_s),
        "tokens_per_s_per_row": tokens_per_s(1, new_tokens, round_s),
        "ttft_s": ttft_s,
        **_decode_metrics(rounds, batch_size, prompt_tokens, new_tokens, cost, peaks),
        "prefill_tokens_per_s": batch_size * prompt_tokens / ttft_s,
        "script_speed": script_speed(prompt_tokens, new_tokens, rounds_s)
        if new_tokens > 1
        else NOT_WHOLE,
        "joules_per_token": joules_per_token(energy_joules, rounds_s, batch_size * new_tokens),
        "compile_s": cost.compile_s,
        "load_s": cost.load_s,
        "weights_bytes": cost.weights_bytes,
        "decode_weight_bytes": cost.partly_read or cost.decode_weight_bytes,
        "peak_allocated_bytes": peaks.peak_allocated_bytes,
        "peak_reserved_bytes": peaks.peak_reserved_bytes,
        "peak_resident_bytes": peaks.peak_resident_bytes,
    }


def joules_per_token(energy_joules: Metric, rounds_s: Sequence[float], tokens: int) -> Metric:
    """Return the energy of rounds of so many new tokens each, idle power included, per token."""
    if isinstance(energy_joules, Unmeasured):
        return energy_joules
    if sum(rounds_s) < SHORTEST_ENERGY_S:
        return Unmeasured(f"the rounds took less than {SHORTEST_ENERGY_S:g} s in all")
    return energy_joules / (len(rounds_s) * tokens)


def _decode_metrics(
    rounds: Sequence[Round],
    batch_size: int,
    prompt_tokens: int,
    new_tokens: int,
    cost: ModelCost,
    peaks: Peaks,
) -> dict[str, Metric]:
    if new_tokens < 2:
        return dict.fromkeys(DECODE, ONE_TOKEN)
    tpot = median(tpot_s(each, new_tokens) for each in rounds)
    gaps = [gap for each in rounds for gap in each.step_s]
    context = mean_decode_context(prompt_tokens, new_tokens)
    kv_cache = round(batch_size * (context * cost.kv_bytes_per_token + cost.state_bytes))
    decode_bytes = cost.decode_weight_bytes + kv_cache
    bandwidth = peaks.bandwidth_bytes_per_s
    light: Metric = (
        bandwidth
        if isinstance(bandwidth, Unmeasured)
        else speed_of_light_s(decode_bytes, bandwidth)
    )
    reads: dict[str, Metric] = {
        "decode_kv_cache_bytes": kv_cache,
        "decode_bytes": decode_bytes,
        "speed_of_light_tpot_s": light,
        "mbu": light if isinstance(light, Unmeasured) else light / tpot,
    }
    partly = cost.partly_read or cost.cache_unread
    if partly is None and cost.window_tokens and prompt_tokens + new_tokens > cost.window_tokens:
        partly = Unmeasured(f"some layers attend to {cost.window_tokens} tokens only")
    return {
        "tpot_s": tpot,
        "itl_p50_s": percentile(gaps, 50),
        "itl_p95_s": percentile(gaps, 95),
        "itl_p99_s": percentile(gaps, 99),
        "decode_tokens_per_s": batch_size / tpot,
        **(dict.fromkeys(reads, partly) if partly else reads),
    }
