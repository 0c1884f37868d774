"""Quantizations against 16 bits: what is compared with what, in which words, what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.common.text import COLUMNS, wrapped
from benchmarks.report import against_half, half_lines
from benchmarks.report.step_summary import markdown
from benchmarks.report.summary import Summary

INVALID = {"valid": False, "reasons": ["the clock dropped"]}
THRESHOLDS = {"int8": 0.0, "int8-decomp": 6.0}
HALF = {
    "weights_bytes": 16_060_000_000,
    "peak_allocated_bytes": 16_137_000_000,
    "tokens_per_s": 388.9,
    "tpot_s": 0.0204,
    "decode_device_s": 0.00684,
    "decode_busy_share": 0.335,
    "joules_per_token": 1.0,
    "top1_agreement": 1.0,
}
INT8 = {
    "weights_bytes": 9_087_000_000,
    "peak_allocated_bytes": 9_160_000_000,
    "tokens_per_s": 159.1,
    "tpot_s": 0.0502,
    "decode_device_s": 0.00746,
    "decode_busy_share": 0.149,
    "joules_per_token": 1.6,
    "top1_agreement": 0.991,
}
LINE = (
    "int8 against fp16, batch 8: weights 1.77x smaller, peak 1.76x smaller, 0.41x the tokens/s, "
    "TPOT 2.46x, device time 1.09x, energy 1.60x, top-1 agreement 99.1 %"
)


def record(quantization: str, metrics: dict[str, Any], **workload: Any) -> tuple[str, Any]:
    """Return a benchmark of throughput, by its name and its record."""
    usual = {
        "model": "m",
        "quantization": quantization,
        "threshold": THRESHOLDS.get(quantization),
        "dtype": "bfloat16" if quantization == "bf16" else "float16",
        "batch_size": 8,
        "prompt_tokens": 16,
        "new_tokens": 16,
    }
    kept = {"weights_kept_bytes": 2_102_000_000, "linears_kept": ["lm_head"]}
    info = {
        "workload": usual | workload,
        "metrics": metrics,
        "unmeasured": {},
        "validity": {"valid": True, "reasons": []},
        "refused": [],
        "attestation": kept,
    }
    return f"throughput[{quantization}-{workload}]", info


def test_a_line_has_all_that_was_measured_as_multiples_of_16_bits() -> None:
    """Memory, speed, device time, energy and agreement; no line is too long for a terminal."""
    first, *expected = half_lines.lines([record("fp16", HALF), record("int8", INT8)])
    assert first == LINE
    assert len(expected) == 2
    assert max(len(line) for each in (first, *expected) for line in wrapped(each)) <= COLUMNS


def test_what_was_not_measured_is_left_out() -> None:
    """On either side; and there is no line if nothing is in 16 bits, or nothing else."""
    for name in INT8:
        for sides in (({**HALF, name: None}, INT8), (HALF, {**INT8, name: None})):
            if name == "top1_agreement" and sides[0] is not HALF:
                continue  # what 16 bits agree with doesn't matter
            line = half_lines.lines([record("fp16", sides[0]), record("int8", sides[1])])[0]
            parts = len(LINE.split(", ")) - (name != "decode_busy_share")
            assert len(line.split(", ")) == parts, line
    assert half_lines.lines([record("int8", INT8), record("nf4", INT8)]) == []
    assert half_lines.lines([record("fp16", HALF), record("bf16", HALF)]) == []


@pytest.mark.parametrize(
    "other",
    [
        {"batch_size": 1},
        {"generation": "compiled"},
        {"model": "another"},
        {"prompt_tokens": 512},
        {"new_tokens": 128},
        {"replicas": 2},
    ],
)
def test_only_what_is_the_same_otherwise_is_compared(other: dict[str, Any]) -> None:
    """In another mode, at another batch size, of another model: there is no line."""
    assert half_lines.lines([record("fp16", HALF), record("int8", INT8, **other)]) == []
    both = [record(name, HALF, **more) for name in ("fp16", "int8") for more in ({}, other)]
    found = against_half.pairs(both)
    assert [each.half["workload"].get(key) for each in found for key in other] == [
        each.workload.get(key) for each in found for key in other
    ]
    labels = {line.partition(":")[0] for line in half_lines.lines(both)[:2]}
    assert len(labels) == len(found) == 2


def test_a_warm_up_is_not_compared_if_the_throughput_was_measured() -> None:
    """One benchmark stands for its quantization; without it any other does."""
    both = [record("fp16", HALF), record("int8", INT8)]
    cold = [(name.replace("throughput", "warmup"), info) for name, info in both]
    assert len(against_half.pairs([*cold, *both])) == 1
    assert len(against_half.pairs(cold)) == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_of_fp16_and_bf16_the_one_of_the_same_dtype_counts(dtype: str) -> None:
    """Then nothing but the quantization differs; if it wasn't measured, the other counts."""
    same = {"float16": "fp16", "bfloat16": "bf16"}[dtype]
    int8, halves = record("int8", INT8, dtype=dtype), [record(n, HALF) for n in ("bf16", "fp16")]
    (pair,) = against_half.pairs([*halves, int8])
    assert pair.reference == same
    for half in halves:
        (pair,) = against_half.pairs([half, int8])
        assert pair.reference == half[1]["workload"]["quantization"]


@pytest.mark.parametrize("side", [0, 1])
def test_times_that_cannot_be_trusted_are_marked_and_not_judged(side: int) -> None:
    """Whichever side they are of; memory, device time and agreement stand."""
    both = [record("fp16", HALF), record("int8", INT8)]
    both[side][1]["validity"] = INVALID
    line, _, speed = half_lines.lines(both)
    marked = [part for part in line.split(", ") if part.endswith(" !")]
    assert marked == ["0.41x the tokens/s !", "TPOT 2.46x !", "energy 1.60x !"]
    assert speed.endswith("Can't be told here: the times are INVALID")
    both[side][1]["validity"] = {"valid": True, "reasons": []}
    both[side][1]["device_time"] = {"validity": INVALID}
    assert "device time 1.09x !," in half_lines.lines(both)[0]


def test_what_was_expected_of_int8_is_answered_by_the_figures() -> None:
    """Not so, with the reasons: what stays in 16 bits, and a GPU that waits for its host."""
    _, memory, speed = half_lines.lines([record("fp16", HALF), record("int8", INT8)])
    assert memory == (
        "Expected of INT8: memory at least halved. Not so here: weights take 56.6 % and the peak "
        "56.8 % of what they take in 16 bits, since embeddings, norms and lm_head (13.1 % of the "
        "weights) aren't quantized"
    )
    assert speed == (
        "Expected of INT8: about the speed of 16 bits, or more. Not so here: 0.41x the tokens/s. "
        "The GPU works for 14.9 % of a decode step and waits for the host. Its own time is 1.09x "
        "that of 16 bits"
    )
    small = {"weights_bytes": 8_100_000_000, "peak_allocated_bytes": 8_200_000_000}
    fast = {"tokens_per_s": 380.0}
    _, memory, speed = half_lines.lines([record("fp16", HALF), record("int8", INT8 | small | fast)])
    assert "True here: weights take 50.4 % and the peak 50.8 % of what they" in memory
    assert memory.endswith("16 bits")
    assert speed.endswith("True here: 0.98x the tokens/s")
    assert len(half_lines.lines([record("fp16", HALF), record("nf4", INT8)])) == 1


def test_a_reason_is_said_only_if_it_explains_the_figures() -> None:
    """Weights that are larger than what stays in 16 bits makes them; a GPU that is busy."""
    odd = {"weights_bytes": 12_000_000_000, "decode_busy_share": 0.9}
    _, memory, speed = half_lines.lines([record("fp16", HALF), record("int8", INT8 | odd)])
    assert "74.7 %" in memory
    assert "since" not in memory
    assert "host" not in speed


def test_several_of_int8_make_a_span() -> None:
    """One sentence for all of them, of the mode that the old script had."""
    slow = {"tokens_per_s": 63.87, "decode_busy_share": 0.134}
    records = [
        *(record("fp16", HALF, **mode) for mode in ({}, {"generation": "static"})),
        record("int8", INT8),
        record("int8-decomp", INT8 | slow),
        record("int8", INT8 | {"tokens_per_s": 9.0}, generation="static"),
    ]
    *_, speed = half_lines.lines(records)
    assert "Not so here: 0.16x to 0.41x the tokens/s" in speed
    assert "for 13.4 to 14.9 % of a decode step" in speed


def test_agreement_says_with_what_unless_it_is_the_other_side() -> None:
    """A checkpoint in bfloat16 is compared with that, whatever else the session measured."""
    name, info = record("int8", INT8)
    info["attestation"] = {"agreement": {"with": "bf16"}}
    assert (
        "top-1 agreement with bf16 99.1 %"
        in half_lines.lines([record("fp16", HALF), (name, info)])[0]
    )
    info["attestation"] = {"agreement": {"with": "fp16"}}
    assert "top-1 agreement 99.1 %" in half_lines.lines([record("fp16", HALF), (name, info)])[0]


def test_why_there_is_no_agreement_is_said_once() -> None:
    """A checkpoint that is quantized already needs --reference; nobody has to look for that."""
    why = "m is quantized already; name the 16-bit checkpoint that it was made from by --reference"
    records = [record(name, INT8 | {"top1_agreement": None}) for name in ("int8", "nf4")]
    for _, info in records:
        info["unmeasured"] = {"top1_agreement": why}
    assert half_lines.lines(records) == [
        f"Agreement with 16 bits was not measured: {why} (int8, nf4)"
    ]


def test_the_summary_of_a_job_has_the_lines_and_no_empty_column() -> None:
    """Below its figures; a column that no benchmark has a number for is left out."""
    shown = Summary([record("fp16", HALF), record("int8", INT8)])
    figures = markdown({}, shown, None).partition("### Figures")[2]
    assert "\n- int8 against fp16, batch 8: weights 1.77x smaller" in figures
    assert "| J/token | allocated |" in figures
    for _, info in shown.recorded:
        info["metrics"] = {**info["metrics"], "joules_per_token": None, "ttft_s": None}
    header = next(line for line in shown.markdown().splitlines() if line.startswith("| bench"))
    assert header == "| benchmark | tokens/s | TPOT | device | busy | allocated |"
