"""The formulas, against numbers worked out by hand and against what must hold for all numbers."""

from __future__ import annotations

import dataclasses
import json
import math
from statistics import mean
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    Gemma2Config,
    GPTNeoConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Qwen2Config,
    Qwen3MoeConfig,
    Qwen3NextConfig,
)

from benchmarks.common.quantity import Metric, Unmeasured, as_stored, percentile
from benchmarks.measure.metrics import (
    ModelCost,
    Peaks,
    Round,
    bandwidth_at_once,
    bandwidth_in_turn,
    generation_metrics,
    mean_decode_context,
    script_speed,
    split_round,
    tokens_per_s,
    tpot_s,
)
from benchmarks.model import footprint
from benchmarks.report.columns import METRICS

counts = st.integers(1, 10_000)
seconds = st.floats(1e-6, 1e4)

COST = ModelCost(
    load_s=12.5,
    weights_bytes=2_000_000,
    decode_weight_bytes=856_000,
    kv_bytes_per_token=1000,
    compile_s=40.0,
)
PEAKS = Peaks(
    peak_allocated_bytes=3_000_000,
    peak_reserved_bytes=4_000_000,
    peak_resident_bytes=5_000_000,
    bandwidth_bytes_per_s=4e6,
)
ROUNDS = (
    Round(2.0, 0.5, (0.5, 0.5, 0.5)),
    Round(4.0, 1.0, (0.5, 1.0, 1.5)),
    Round(3.0, 0.75, (0.75, 0.75, 0.75)),
)


def measure(**changes: Any) -> dict[str, Metric]:
    """Return the metrics of 8 rows of 16 prompt tokens and 4 new ones, or of what changes that."""
    given = {"batch_size": 8, "prompt_tokens": 16, "new_tokens": 4, "cost": COST}
    given |= {"rounds": ROUNDS, "peaks": PEAKS, "energy_joules": 480.0} | changes
    return generation_metrics(given.pop("rounds"), **given)


def test_every_metric_by_hand() -> None:
    """Every stored metric has the name and the value that its definition gives."""
    assert measure() == pytest.approx(
        {
            "tokens_per_s": 8 * 4 / 3.0,  # the median round took 3 s
            "tokens_per_s_per_row": 4 / 3.0,
            "ttft_s": 0.75,
            "tpot_s": 0.75,  # of 0.5, 1.0 and 0.75
            "itl_p50_s": 0.75,  # of all nine gaps
            "itl_p95_s": 1.3,  # at 7.6 of 0 to 8, between 1.0 and 1.5
            "itl_p99_s": 1.46,
            "decode_tokens_per_s": 8 / 0.75,
            "decode_weight_bytes": 856_000,
            "decode_kv_cache_bytes": 144_000,  # 8 rows x 18 entries x 1000 bytes
            "decode_bytes": 1_000_000,
            "speed_of_light_tpot_s": 0.25,
            "mbu": 1 / 3,
            "prefill_tokens_per_s": 8 * 16 / 0.75,
            "script_speed": 3 * (16 + 4) / 9.0,
            "joules_per_token": 5.0,  # 480 J for 3 rounds of 8 x 4 tokens
            "compile_s": 40.0,
            "load_s": 12.5,
            "weights_bytes": 2_000_000,
            "peak_allocated_bytes": 3_000_000,
            "peak_reserved_bytes": 4_000_000,
            "peak_resident_bytes": 5_000_000,
        }
    )


def test_the_prompt_never_counts_and_all_rows_do() -> None:
    """Throughput is new tokens of all rows: the old script counted the prompt and one row of 8."""
    one_row, eight_rows = measure(batch_size=1), measure(batch_size=8)
    long_prompt = measure(prompt_tokens=1000)
    assert eight_rows["tokens_per_s"] == 8 * one_row["tokens_per_s"]
    assert long_prompt["tokens_per_s"] == eight_rows["tokens_per_s"]
    assert eight_rows["script_speed"] == one_row["script_speed"]
    assert long_prompt["script_speed"] > eight_rows["script_speed"]


def test_the_old_scripts_speed() -> None:
    """The old script's users find their number: rounds x (prompt + new) / seconds of them all."""
    # Five generations of 16 + 128 tokens in 10 s; eight rows made 5120 new tokens in them.
    assert script_speed(16, 128, [2.0, 1.5, 2.5, 1.0, 3.0]) == 72.0
    assert tokens_per_s(8, 128, 2.0) == 512.0


def test_a_round_splits_into_first_token_and_gaps() -> None:
    """TTFT is the first logits and the tail that follows them; the gaps lie between the logits."""
    split = split_round(2.0, [0.5, 0.75, 1.25, 1.5])
    assert split == Round(2.0, ttft_s=0.75, step_s=(0.25, 0.5))


@given(st.lists(seconds, min_size=2, max_size=50))
def test_first_token_and_gaps_add_up(spans_s: list[float]) -> None:
    """TTFT and the gaps add up to the whole generation: no time is lost or counted twice."""
    elapsed_s = [float(moment) for moment in np.cumsum(spans_s)]
    split = split_round(elapsed_s[-1], elapsed_s)
    assert len(split.step_s) == len(spans_s) - 2
    assert split.ttft_s + sum(split.step_s) == pytest.approx(elapsed_s[-1])


def test_a_round_without_a_step_is_an_error() -> None:
    """A generation that made no token never becomes a number."""
    with pytest.raises(ValueError, match="at least one step"):
        split_round(1.0, [0.5])


@given(st.lists(seconds, min_size=3, max_size=50))
def test_tpot_is_what_end_to_end_leaves_after_ttft(spans_s: list[float]) -> None:
    """TPOT = (end-to-end - TTFT) / (new tokens - 1), the mean of the gaps."""
    elapsed_s = [float(moment) for moment in np.cumsum(spans_s)]
    new_tokens = len(elapsed_s) - 1
    split = split_round(elapsed_s[-1], elapsed_s)
    # Absolute: end-to-end - TTFT cancels where the first token took nearly all of the time.
    tolerance = pytest.approx(tpot_s(split, new_tokens), rel=1e-9, abs=1e-12 * elapsed_s[-1])
    assert (elapsed_s[-1] - split.ttft_s) / (new_tokens - 1) == tolerance
    assert mean(split.step_s) == tolerance


def test_a_single_token_has_no_tpot() -> None:
    """One token has no gap after it, so asking for TPOT is an error and never a division by 0."""
    with pytest.raises(ValueError, match="at least two"):
        tpot_s(Round(1.0, 1.0, ()), 1)


@given(st.lists(seconds, min_size=1, max_size=60), st.floats(0, 100))
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    """Percentiles are those that numpy gives by default."""
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_percentile_of_nothing_is_an_error(values: list[float], percent: float) -> None:
    """No values, or no percentage, is an error and not a number."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


@given(counts, st.integers(2, 2000))
def test_mean_context_is_the_mean_over_the_decode_steps(prompt: int, new: int) -> None:
    """The KV cache's mean length is that of the steps that read it: prompt + 1 to + (new - 1)."""
    steps = [prompt + step for step in range(1, new)]
    assert mean_decode_context(prompt, new) == pytest.approx(mean(steps))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (LlamaConfig(), None),
        (Qwen2Config(), None),
        (MistralConfig(sliding_window=None), None),
        (MistralConfig(sliding_window=4096), None),  # longer than what is generated
        (MistralConfig(sliding_window=16), "attend to 16 tokens only"),
        (Gemma2Config(sliding_window=16), "attend to 16 tokens only"),
        (GPTNeoConfig(window_size=16), "attend to 16 tokens only"),
        (GPTNeoConfig(window_size=256), None),
        (Qwen3NextConfig(num_experts=0), None),  # its states are read whole
        (LlamaConfig(layer_types=["chunked_attention"] * 32), "one by one"),
        (MixtralConfig(), "some of the experts"),
        (Qwen3MoeConfig(), "some of the experts"),
    ],
    ids=lambda value: getattr(value, "model_type", "") or str(value),
)
def test_bytes_that_a_step_doesnt_read_are_no_bound(config: Any, says: str | None) -> None:
    """Experts that aren't asked, and tokens out of the window: no speed of light can be told."""
    partly, window = footprint.partly_read(config), footprint.window_tokens(config)
    metrics = measure(cost=dataclasses.replace(COST, partly_read=partly, window_tokens=window))
    for name in ("decode_bytes", "decode_kv_cache_bytes", "speed_of_light_tpot_s", "mbu"):
        assert isinstance(metrics[name], Unmeasured) == bool(says)
        assert not says or says in str(metrics[name])


def test_what_a_quantized_cache_reads_is_no_number() -> None:
    """Its tokens take fewer bytes than those that are known; the weights are read as ever."""
    fewer = Unmeasured("a quantized cache keeps its tokens in fewer bits")
    metrics = measure(cost=dataclasses.replace(COST, cache_unread=fewer))
    for name in ("decode_bytes", "decode_kv_cache_bytes", "speed_of_light_tpot_s", "mbu"):
        assert metrics[name] == fewer
    assert metrics["decode_weight_bytes"] == COST.decode_weight_bytes


def test_a_state_is_read_whole_however_long_the_text() -> None:
    """What a row keeps beside its tokens is read once a step, for each row."""
    less, more = measure(cost=COST), measure(cost=dataclasses.replace(COST, state_bytes=7))
    rows = (more["decode_kv_cache_bytes"] - less["decode_kv_cache_bytes"]) / 7
    assert rows == less["tokens_per_s"] / less["tokens_per_s_per_row"]


def test_without_a_known_bandwidth_there_is_no_mbu() -> None:
    """An unknown bandwidth leaves null and its reason for what needs it, and nothing else."""
    unknown = Unmeasured("no device reports its bandwidth")
    peaks = Peaks(unknown, unknown, 5_000_000, bandwidth_bytes_per_s=unknown)
    values, reasons = as_stored(measure(peaks=peaks))
    without = {"mbu", "speed_of_light_tpot_s", "peak_allocated_bytes", "peak_reserved_bytes"}
    assert {name for name, value in values.items() if value is None} == without
    assert reasons == dict.fromkeys(without, "no device reports its bandwidth")


def test_a_single_new_token_has_no_decode_metrics() -> None:
    """Metrics of the decode phase are null with a reason where there was none; never 0."""
    values, reasons = as_stored(measure(rounds=[Round(2.0, 2.0, ())], new_tokens=1))
    decode = {
        name
        for name in values
        if name.startswith(("itl_", "decode_")) or "tpot" in name or name == "mbu"
    } - {"decode_weight_bytes"}  # it follows from the model alone
    nulls = {name for name, value in values.items() if value is None}
    assert nulls == set(reasons) == decode | {"script_speed"}
    assert {reasons[name] for name in decode} == {"a single new token has no decode step"}
    assert values["tokens_per_s"] == 4.0
    assert values.keys() == measure().keys()


def test_energy_needs_a_counter_and_some_time() -> None:
    """Joules per token are null where no GPU was watched, and where its counter hardly moved."""
    for changes, reason in (
        ({"energy_joules": Unmeasured("no GPU was watched")}, "no GPU was watched"),
        ({"rounds": [Round(0.4, 0.1, (0.1,) * 3)] * 4}, "the rounds took less than 2 s in all"),
    ):
        values, reasons = as_stored(measure(**changes))
        assert values["joules_per_token"] is None
        assert reasons["joules_per_token"] == reason


def test_stored_metrics_are_plain_json() -> None:
    """What is stored reads back from JSON as it was, rounds included."""
    values, reasons = as_stored(measure())
    assert json.loads(json.dumps(values)) == values
    assert set(values) <= set(METRICS)  # each has a title
    assert reasons == {}
    stored = ROUNDS[0].record()
    assert json.loads(json.dumps(stored)) == stored
    assert stored == {"round_s": 2.0, "ttft_s": 0.5, "step_s": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_comes_out_as_no_number_was_not_measured(value: float) -> None:
    """It is null, and the reason says what came out."""
    values, reasons = as_stored({"mbu": value, "tpot_s": 0.5})
    assert values == {"mbu": None, "tpot_s": 0.5}
    assert reasons == {"mbu": f"it came out as {value}, which is no number"}


def test_devices_in_turn_read_with_the_bandwidth_between_theirs() -> None:
    """Three quarters at 4 bytes a second, and a quarter at 2."""
    held = {"cuda:0": 12, "cuda:1": 4}
    assert bandwidth_in_turn(held, {"cuda:0": 4.0, "cuda:1": 2.0}) == 16 / 5
    assert bandwidth_in_turn(held, {"cuda:0": 3.35e12, "cuda:1": 3.35e12}) == 3.35e12
    unknown = Unmeasured("no NVML")
    assert bandwidth_in_turn(held, {"cuda:0": 4.0, "cuda:1": unknown}) is unknown


def test_devices_at_once_read_as_long_as_the_slowest() -> None:
    """The first takes 3 seconds for its part, and meanwhile the second one reads its own."""
    held = {"cuda:0": 12, "cuda:1": 4}
    assert bandwidth_at_once(held, {"cuda:0": 4.0, "cuda:1": 2.0}) == 16 / 3
    equal = {"cuda:0": 8, "cuda:1": 8}
    assert bandwidth_at_once(equal, dict.fromkeys(equal, 3e12)) == 6e12
    unknown = Unmeasured("no NVML")
    assert bandwidth_at_once(held, {"cuda:0": 4.0, "cuda:1": unknown}) is unknown
