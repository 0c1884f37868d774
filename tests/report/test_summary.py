"""The tables: units that read well, columns that line up, nothing in place of what is unknown."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import InputError
from benchmarks.common.text import align, duration, least, percent, rate, size
from benchmarks.page.figures.work import split
from benchmarks.report import columns
from benchmarks.report.lines import headline, placement_line
from benchmarks.report.summary import HOTSPOT_ROWS, Summary, hotspot_table, metric_table

METRICS: dict[str, float | None] = {
    "tokens_per_s": 512.0,
    "tokens_per_s_per_row": 64.0,
    "ttft_s": 0.0421,
    "tpot_s": 0.0152,
    "itl_p50_s": 0.015,
    "itl_p95_s": 0.016,
    "itl_p99_s": 0.0199,
    "prefill_tokens_per_s": 3040.4,
    "decode_tokens_per_s": 526.3,
    "script_speed": 72.0,
    "load_s": 12.34,
    "weights_bytes": 9_081_200_640,
    "peak_allocated_bytes": None,
    "peak_resident_bytes": 1_234_000,
    "decode_bytes": 8_030_000_000,
    "speed_of_light_tpot_s": 0.00167,
    "mbu": 0.1099,
}


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (rate, 0.0, "0"),
        (rate, 72.0, "72"),
        (rate, 512.345, "512.3"),
        (rate, 999.94, "999.9"),
        (rate, 1000.0, "1,000"),
        (rate, 1_234_567.0, "1,234,567"),
        (duration, 0.0, "0 µs"),
        (duration, 5e-7, "0.5 µs"),
        (duration, 0.000999, "999 µs"),
        (duration, 0.0009996, "1 ms"),
        (duration, 0.01523, "15.2 ms"),
        (duration, 0.9996, "1 s"),
        (duration, 999.6, "1,000 s"),
        (duration, 3661.2, "3,661 s"),
        (size, 0, "0 B"),
        (size, 999_400, "999 kB"),
        (size, 999_600, "1 MB"),
        (size, 16_060_522_496, "16.1 GB"),
        (size, 1.5e12, "1.5 TB"),
        (percent, 0, "0 %"),
        (percent, 0.1099, "11 %"),
        (percent, 0.9999, "100 %"),
    ],
)
def test_numbers_have_few_digits_and_the_unit_that_reads_best(
    form: Any, value: float, text: str
) -> None:
    """Rates four digits, all others three, also where they round up; MB is never MiB."""
    assert form(value) == text


@given(st.floats(1e-7, 1e6), st.integers(0, 10**16))
def test_every_time_and_size_reads_back(seconds: float, count: int) -> None:
    """They are told to three digits, without an exponent."""
    units = {"µs": 1e-6, "ms": 1e-3, "s": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    for text, value in ((duration(seconds), seconds), (size(count), count)):
        number, unit = text.replace(",", "").split()
        assert "e" not in number
        assert float(number) * units[unit] == pytest.approx(value, rel=0.0051)


def test_limits_keep_their_digits_and_what_was_measured_has_two() -> None:
    """1.25 % is a limit that somebody set; as 1.2 % nobody would find it again."""
    shares = (0.0125, 0.125, 0.02, 0.2, 0.01254, 0.0334, 0.09951, 0.1549)
    assert [least(each) for each in shares] == [
        *("1.25 %", "12.5 %", "2 %", "20 %", "1.3 %", "3.34 %", "10 %", "15 %")
    ]


def test_align() -> None:
    """Numbers line up on the right, names on the left, and no line ends in blanks."""
    rows = [["benchmark", "s", "x"], ["a", "10", ""], ["bb", "9.5", "12"]]
    assert align(rows) == ["benchmark    s   x", "a           10", "bb         9.5  12"]
    assert align(rows, left=(2,)) == ["benchmark    s  x", "        a   10", "       bb  9.5  12"]


COUNTED = {"decode_steps": [2, 6], "decode": {"python_calls": 78_832}}
ON_CUDA = METRICS | {
    "tokens_per_s": 12_345.6,
    "ttft_s": 0.182,
    "tpot_s": 0.179,
    "decode_device_s": 0.016478,
    "decode_busy_share": 0.1386,
    "joules_per_token": 3.13,
    "peak_allocated_bytes": 9_280_000_000,
    "peak_reserved_bytes": 9_500_000_000,
    "cold_start_ratio": 1.26,
}
LONGEST = "throughput[int8-decomp-b32-p1024-n128] * !"


def test_the_table_has_what_matters_in_one_row_of_120_columns() -> None:
    """On CUDA speed, device time, its share of TPOT, the calls of one step, and memory."""
    record = {"metrics": ON_CUDA, "counters": COUNTED}
    header, row, blank = metric_table([(LONGEST, record)])
    assert blank == ""
    assert header.split() == [
        *("benchmark", "tokens/s", "TTFT", "TPOT", "device", "busy", "calls", "allocated")
    ]
    assert row.endswith("12,346  182 ms  179 ms  16.5 ms  13.9 %  19,708    9.28 GB")
    assert len(row) <= 120
    summary = Summary([("a", record)]).markdown()
    assert "| device | busy | calls |" in summary
    assert "| 16.5 ms | 13.9 % | 19,708 |" in summary


def test_on_a_cpu_host_memory_stands_in_for_that_of_a_gpu() -> None:
    """A column that no benchmark has a number for is left out, not filled with dashes."""
    header, row, _ = metric_table([("throughput[b8]", {"metrics": METRICS, "counters": COUNTED})])
    assert header.split() == ["benchmark", "tokens/s", "TTFT", "TPOT", "calls", "resident"]
    assert row.endswith("1.23 MB")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_column_is_shown_if_asked_for_and_no_line_is_too_long(width: int) -> None:
    """What doesn't fit beside the rest stands in another table below it, under the same names."""
    record = {"metrics": ON_CUDA | {"mbu": 0.0}, "counters": COUNTED}
    lines = metric_table([(LONGEST, record)], columns.chosen("all"), width)
    assert max(map(len, lines)) <= width
    headers = [line for line in lines if line.startswith("benchmark")]
    rows = [line for line in lines if line.startswith(LONGEST)]
    assert len(headers) == len(rows) > 1
    shown = {each for line in headers for each in re.split("  +", line)[1:]}
    assert shown == {
        each.column
        for metric, each in columns.METRICS.items()
        if each.column and columns.figure(record, metric) is not None
    }
    assert any("0 %" in row for row in rows)  # zero is a number


def test_columns_are_named_by_their_headers_or_as_they_are_stored() -> None:
    """In any case, once each; a wrong name is refused with those that there are."""
    assert columns.chosen(None) is None
    names = columns.chosen("P99, tpot,itl_p99_s,script's")
    assert names == ("itl_p99_s", "tpot_s", "script_speed")
    header = metric_table([("a", {"metrics": METRICS})], names)[0]
    assert header.split() == ["benchmark", "p99", "TPOT", "script's"]
    for wrong in ("xyzzy", "", "all,p99"):
        with pytest.raises(InputError, match="--columns: expected all or names of columns, got"):
            columns.chosen(wrong)


def test_unknown_metrics_are_a_dash() -> None:
    """A null, and a metric that this benchmark hasn't, is a dash: never 0, never a guess."""
    table = metric_table([("known", {"metrics": METRICS}), ("unknown", {"metrics": {}})])
    (row,) = [line for line in table if line.startswith("unknown")]
    assert set(row.split()[1:]) == {"-"}


def test_all_of_a_session_fits_120_columns() -> None:
    """Evidence, causes and failures are folded; the words stay."""
    found = {
        "linears": {"Linear8bitLt": 224},
        "linears_expected": 224,
        "path": {
            "outliers": {"decode": {"share_of_linears": 0.97, "columns_min": 6, "columns_max": 65}}
        },
    }
    decode = {"operators_total": 22_154, "kernel_launches": 19_748, "synchronizations": {"x": 2696}}
    info = {
        "workload": {"quantization": "int8-decomp", "batch_size": 8, "distinct_prompts": 8},
        "metrics": ON_CUDA | {"top1_agreement": 0.992, "logits_relative_error": 0.0091},
        "attestation": found,
        "counters": {"decode_steps": [2, 6], "decode": decode},
        "device_time": {"decode": {"repeats_s": [0.0164, 0.0165, 0.0164]}},
        "validity": None,
        "refused": [],
    }
    shown = Summary([(LONGEST, info)], failed={"t::test_x": "OutputError: " + "so wrong " * 30})
    lines: list[str] = []
    terminal = SimpleNamespace(
        section=lambda *_: None, write_line=lambda line, **_: lines.append(line)
    )
    shown.write(terminal)
    assert max(map(len, lines)) <= 120
    said = " ".join(" ".join(lines).split())
    assert "a decode step: 5,538.5 operator calls, 4,937 launches, 674 synchronizations" in said
    assert "logits off by 0.91 %" in said


def operator(number: int, **changes: Any) -> dict[str, Any]:
    """Return an operator of a profile, as it is stored."""
    return {
        "name": f"aten::op{number}",
        "share": 0.25,
        "self_device_s": 0.002,
        "self_host_s": 0.0005,
        "calls": 1234,
    } | changes


def test_hotspot_table() -> None:
    """Operators keep their order; their times and calls are those of one of the steps."""
    operators = [operator(1), operator(2, self_device_s=0.0, calls=2)]
    lines = hotspot_table("a step", operators, steps=4)
    assert [line.split() for line in lines] == [
        ["share", "device", "host", "calls", "operator", "(a", "step)"],
        ["25", "%", "500", "µs", "125", "µs", "308.5", "aten::op1"],
        ["25", "%", "-", "125", "µs", "0.5", "aten::op2"],
    ]


def test_a_hotspot_table_of_the_cpu_has_no_device() -> None:
    """There all time is the host's."""
    header, row = hotspot_table("decode", [operator(1, self_device_s=0.0)])
    assert header.split() == ["share", "host", "calls", "operator", "(decode)"]
    assert row.split() == ["25", "%", "500", "µs", "1,234", "aten::op1"]


def test_a_hotspot_table_is_short() -> None:
    """Only the worst operators are shown, and a kernel's endless name doesn't wrap the terminal."""
    lines = hotspot_table("decode", [operator(number, name="k" * 500) for number in range(50)])
    assert len(lines) == 1 + HOTSPOT_ROWS
    assert max(len(line) for line in lines) < 100


def test_headline() -> None:
    """While it runs, a benchmark is summed up in the metrics that it has."""
    assert headline({"metrics": METRICS}) == "512 tokens/s, TTFT 42.1 ms, TPOT 15.2 ms"
    single = {"metrics": METRICS | {"tpot_s": None}}
    assert headline(single) == "512 tokens/s, TTFT 42.1 ms"


def test_a_benchmark_that_failed_has_no_number() -> None:
    """Its row says FAILED, its reason is said once for all that have it, nothing of it is kept."""
    info = {"metrics": METRICS, "validity": {"valid": False, "reasons": ["r"]}, "refused": []}
    shown = Summary([("fine[a]", {**info, "validity": None}), ("wrong[a]", info), ("x[a]", info)])
    shown.failed = {
        "t.py::test_wrong[a]": "OutputError: logits are NaN",
        "t.py::test_x[a]": "OutputError: logits are NaN",
        "t.py::test_never[b]": "InputError: no such file",
    }
    lines = metric_table([(name, record) for name, record in shown.rows])
    assert sum(line.startswith("fine[a]") and "512" in line for line in lines) == 1
    rows = shown.markdown().splitlines()[2:]
    for name in ("wrong[a]", "x[a]", "never[b]"):
        (row,) = [row for row in rows if f"`{name}` FAILED" in row]
        assert set(row.split("|")[2:-1]) == {" - "}
    assert shown.failures() == [
        "FAILED: OutputError: logits are NaN (wrong[a], x[a])",
        "FAILED: InputError: no such file (never[b])",
    ]
    assert shown.validity() == []
    assert [name for name, _ in shown.records] == ["fine[a]"]


def test_what_was_timed_after_a_profiler_is_marked() -> None:
    """Not what wasn't timed at all."""
    info = {"metrics": METRICS, "validity": None, "process": {"profiled": True}}
    for record, row in ((info, "| `a` * |"), (info | {"work_only": True}, "| `a` |")):
        shown = Summary([("a", record)]).markdown()
        assert row in shown
        assert ("after a profiler" in shown) is ("*" in row)


def test_device_time_that_cannot_be_trusted_is_marked() -> None:
    """In its columns, and by its reason; the times of the wall are another matter."""
    metrics = METRICS | {"decode_device_s": 0.0223, "decode_busy_share": 0.532}
    why = "repeats of the decode disagree by 152.07%, bound 2%; measure again"
    info = {"metrics": metrics, "validity": None}
    for reasons, cells in (([], "22.3 ms | 53.2 % |"), ([why], "22.3 ms ! | 53.2 % ! |")):
        validity = {"valid": not reasons, "reasons": reasons}
        record = {**info, "device_time": {"validity": validity}}
        shown = Summary([("a", record), ("b", record)])
        figure = split(shown.records)
        assert figure is not None
        names = [row[0] for row in figure.table.rows]
        assert names == [f"a, TPOT{' !' * bool(reasons)}", f"b, TPOT{' !' * bool(reasons)}"]
        assert shown.markdown().count(f"| 15.2 ms | {cells}") == 2
        assert [line for line in shown.markdown().splitlines() if "device time !" in line] == [
            f"device time ! (a): {each}" for each in reasons
        ]
        rows = (line for line in metric_table(shown.rows) if line.startswith("a "))
        assert ("22.3 ms !" in "".join(rows)) is bool(reasons)


def test_a_sharded_model_is_placed_in_a_line() -> None:
    """Weights, peak and device time of each device, and what goes between them; of one, nothing."""
    on = {"weights_bytes": 3_230_000_000, "peak_allocated_bytes": 4_100_000_000}
    info: dict[str, Any] = {
        "placement": {"cuda:0": on, "cuda:1": on | {"weights_bytes": 5_850_000_000}},
        "device_time": {"decode": {"share_by_gpu": {"0": 0.36, "1": 0.64}}},
        "counters": {"decode_steps": [2, 6], "decode": {"copies_peer_to_peer": 12}},
    }
    assert placement_line(info) == (
        "cuda:0: weights 3.23 GB, peak 4.1 GB, 36 % of the device time of a decode step; "
        "cuda:1: weights 5.85 GB, peak 4.1 GB, 64 % of the device time of a decode step; "
        "3 copies between them in a decode step"
    )
    assert placement_line({"placement": {"cuda:0": on}}) is None
    assert placement_line({}) is None
