"""The figures of a page say in words what they draw, and leave nothing out unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.page.benchmark import views
from benchmarks.page.figures import (
    distribution,
    flame_graph,
    gpu_samples,
    overview,
    timing,
    work,
)
from benchmarks.report import columns
from tests import builders
from tests.page.contents import NAME, read, record


def test_warm_up_and_refused_rounds_are_apart() -> None:
    """Rounds that don't count are drawn in order, as another kind, and in the table."""
    info = record(rounds=2)
    info["refused"] = [{"rounds": record(1, rounds=2)["rounds"], "validity": None}]
    cold = record(2, rounds=3)
    figure = timing.rounds(info, cold)
    kinds = [row[1] for row in figure.table.rows]
    assert kinds == ["warm-up"] * 3 + ["refused"] * 2 + ["counted"] * 2
    assert "2 rounds" in figure.says


def test_a_hiccup_is_named_where_it_happened() -> None:
    """The longest gap is labelled with its token and round, also where points are thinned."""
    info = record(new_tokens=3000, rounds=4)
    info["rounds"][2]["step_s"][1234] = 0.5
    figure = timing.gaps(info)
    assert figure
    assert "500 ms before token 1236 of round 3" in figure.says
    points = figure.plots[0]["data"]["values"]
    assert len(points) <= timing.MOST_POINTS
    assert max(row["value"] for row in points) == pytest.approx(500)


def test_single_tokens_have_no_gaps() -> None:
    """Nothing is drawn in place of what doesn't exist."""
    info = record(new_tokens=1)
    assert timing.gaps(info) is None
    assert distribution.figure(info) is None


def test_rounds_of_all_benchmarks_have_one_scale() -> None:
    """Each axis reaches as far from its own median, so that steady rounds look steady."""
    contents = [record(n, new_tokens=16 * (n + 1)) for n in range(2)]
    contents[0]["rounds"][2]["round_s"] *= 1.4
    names = [NAME, NAME.replace("b8", "b16")]
    (session,) = read(builders.content(*zip(names, contents, strict=True)))
    domains = [
        view.figures[0].plots[0]["layer"][0]["encoding"]["y"]["scale"]["domain"]
        for view in views(session, None, Path("page.html"))
    ]
    (low, high), (other_low, other_high) = domains
    assert high / low == pytest.approx(other_high / other_low)
    assert high / low > 1.4


def test_memory_is_drawn_if_it_differs() -> None:
    """Bars that are all as long say less than the table, which has the same numbers."""
    one, same = record(), record(1)
    assert overview.memory([("a", one), ("b", same)]) is None
    same["metrics"]["weights_bytes"] *= 2
    figure = overview.memory([("a", one), ("b", same)])
    assert figure
    assert figure.table.rows[0][2] == columns.UNMEASURED


def test_every_gap_is_counted_once() -> None:
    """The bins of a distribution and what is beyond them add up to all gaps."""
    info = record(new_tokens=64)
    info["rounds"][0]["step_s"][0] = 9.0
    figure = distribution.figure(info)
    assert figure
    assert sum(row["n"] for row in figure.plots[0]["data"]["values"]) == 63 * 5 - 1
    assert "1 longer than drawn, up to 9 s" in figure.says


def test_few_gaps_are_dots() -> None:
    """Of fewer gaps than a histogram needs each is a dot, and is in the table as it is said."""
    info = record(new_tokens=4, rounds=3)
    figure = distribution.figure(info)
    assert figure
    assert len(figure.plots[0]["data"]["values"]) == len(figure.table.rows) == 9
    p50 = columns.text("itl_p50_s", info["metrics"]["itl_p50_s"])
    assert figure.plots[0]["layer"][-1]["data"]["values"][0]["label"] == f"p50: {p50}"


def test_the_gpu_is_aligned_with_the_rounds() -> None:
    """Samples and rounds share a clock, and throttling says its reason and its share."""
    figure = gpu_samples.gpu(record(on_gpu=True))
    assert figure
    assert "sw_thermal_slowdown" in figure.says
    spans = figure.plots[0]["layer"][0]["data"]["values"]
    assert [span["round"] for span in spans] == [f"round {n}" for n in range(1, 6)]
    assert len(figure.plots) == len(gpu_samples.SIGNALS)
    assert gpu_samples.gpu(record()) is None


def test_a_flame_graph_adds_up() -> None:
    """Boxes are as wide as their share; chains are one box, and small frames are left out."""
    text = "nn.Module: A;b;c 50\nnn.Module: A;b;d 49\ne 900\ne;tiny 1\nno number\nx;y z"
    flame = flame_graph.flame("title", text.splitlines())
    boxes = {name: (depth, width) for depth, _, width, name, _, _ in flame.boxes}
    assert flame.total == 1000
    assert boxes["all"] == (0, 1)
    assert boxes["nn.Module: A"] == (1, pytest.approx(0.099))  # with b, in which it is all
    assert "tiny" not in boxes
    assert boxes["c"] == (2, pytest.approx(0.05))
    assert flame.table.rows[0] == ("e", "900 µs", "90 %")


def test_the_work_is_shown_by_kernel_and_by_function() -> None:
    """TTFT and TPOT as device and host; of two sides the names that changed most come first."""
    usual = record(on_gpu=True)
    split = work.split([("a", usual)])
    assert split is not None
    assert [row[0] for row in split.table.rows] == ["a, TTFT", "a, TPOT"]
    assert split.table.rows[1][2] == "4.9 ms"
    slower = record(on_gpu=True, slower=1.1)
    slower["counters"]["decode"]["functions"] = {"injected": 896, "os.path.join": 40}
    before, after = read(
        builders.content((NAME, usual)),
        builders.content((NAME, slower), when="2026-11-25T08:00:00"),
    )
    kernels, functions = work.figures(None, before.measured[NAME])
    assert kernels.table.rows[0] == ("s8_gemm<256, 128>", "4 ms")
    assert functions.table.rows[0][1] == "2,250"
    kernels, functions = work.compared(before, after)
    assert kernels.table.columns == ("name", "base", "head", "change")
    assert kernels.table.rows[0] == ("s8_gemm<256, 128>", "4 ms", "4.4 ms", "+10 %")
    assert functions.table.rows[1] == ("injected", "at most 10", "224", "-")
    assert "torch.nn.modules.module.Module.__call__" in [row[0] for row in functions.table.rows]
    assert "os.path.join" not in [row[0] for row in functions.table.rows]  # as many calls
    assert work.compared(before, before) == []
    (on_cpu,) = read(builders.content((NAME, record())))
    assert work.split([("a", on_cpu.measured[NAME].info)]) is None
    assert len(list(work.figures(None, on_cpu.measured[NAME]))) == 1  # no device time there
