"""The tables: units that read well, columns that line up, nothing in place of what is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.text import align, duration, percent, rate, size
from benchmarks.report.lines import headline
from benchmarks.report.summary import HOTSPOT_ROWS, Summary, hotspot_table, metric_tables

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


def test_align() -> None:
    """Numbers line up on the right, names on the left, and no line ends in blanks."""
    rows = [["benchmark", "s", "x"], ["a", "10", ""], ["bb", "9.5", "12"]]
    assert align(rows) == ["benchmark    s   x", "a           10", "bb         9.5  12"]
    assert align(rows, left=(2,)) == ["benchmark    s  x", "        a   10", "       bb  9.5  12"]


def test_metric_tables() -> None:
    """A benchmark is one row in each of two tables, under titles of the same columns."""
    speed, row, blank, space, other, last = metric_tables(
        [("throughput[b8]", {"metrics": METRICS})]
    )
    assert blank == last == ""
    assert speed.split()[:3] == ["benchmark", "tokens/s", "TTFT"]
    assert row.split()[:4] == ["throughput[b8]", "512", "42.1", "ms"]
    assert row.endswith("  72")
    cells = dict(zip(space.split(), other.replace(" ms", "_ms").split(), strict=False))
    assert cells["benchmark"] == "throughput[b8]"
    assert "9.08 GB" in other
    assert "11 %" in other


def test_unknown_metrics_are_a_dash() -> None:
    """A null, and a metric that this benchmark hasn't, is a dash: never 0, never a guess."""
    table = metric_tables([("known", {"metrics": METRICS}), ("unknown", {"metrics": {}})])
    rows = [line for line in table if line.startswith("unknown")]
    assert all(set(row.split()[1:]) == {"-"} for row in rows)
    assert len(rows) == 2


def test_a_column_that_nobody_has_a_number_for_is_left_out() -> None:
    """On a CPU nothing is known of a GPU's memory: no column of dashes tells so in every run."""
    without = METRICS | dict.fromkeys(("peak_allocated_bytes", "mbu"))
    header = metric_tables([("throughput", {"metrics": without})])[3]
    assert "resident" in header
    assert "allocated" not in header
    assert "MBU" not in header
    zero = metric_tables([("zero", {"metrics": METRICS | {"mbu": 0.0}})])
    assert "0 %" in zero[4]


def test_the_work_of_a_decode_step_is_in_the_table() -> None:
    """Device time, its share of TPOT, and Python calls of a step; a wide table stays readable."""
    known = METRICS | {"decode_device_s": 0.016478, "decode_busy_share": 0.1386}
    counted = {"decode_steps": [2, 6], "decode": {"python_calls": 78_832}}
    name = "throughput[int8-decomp-b8-p16-n128]"
    header, row, *_ = metric_tables([(name, {"metrics": known, "counters": counted})])
    assert header.split()[-4:] == ["device", "busy", "calls", "script's"]
    assert row.endswith("16.5 ms  13.9 %  19,708        72")
    assert len(row) <= 120
    summary = Summary([(name, {"metrics": known, "counters": counted})]).markdown()
    assert "| device | busy | calls |" in summary
    assert "| 16.5 ms | 13.9 % | 19,708 |" in summary


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
    """Operators keep their order, with share, times and calls in the columns of these names."""
    lines = hotspot_table("decode", [operator(1), operator(2, self_device_s=0.0, calls=1)])
    assert [line.split() for line in lines] == [
        ["share", "device", "host", "calls", "operator", "(decode)"],
        ["25", "%", "2", "ms", "500", "µs", "1,234", "aten::op1"],
        ["25", "%", "-", "500", "µs", "1", "aten::op2"],
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
    lines = metric_tables([(name, record) for name, record in shown.rows])
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
