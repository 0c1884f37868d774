"""What a command line asks for, of benchmarks that aren't there now."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.pytest_session.selection import Selection

THROUGHPUT = "benchmarks/test_throughput.py::test_throughput"
WARMUP = "benchmarks/test_warmup.py::test_warmup"
ROOT = Path(__file__).parents[2]
ALL = Selection(ROOT, ROOT, ["benchmarks"], [], [], set(), set(), "single")


def after(selected, left_out):
    """Return the selection that -k made."""
    return dataclasses.replace(ALL, selected=set(selected), left_out=set(left_out))


@pytest.mark.parametrize(
    ("selected", "left_out", "name", "asked"),
    [
        # -k throughput --new-tokens 64
        (["[int8-b1-p16-n64]"], [f"{WARMUP}[int8-b1-p16-n64]"], WARMUP, False),
        (["[int8-b1-p16-n64]"], [f"{WARMUP}[int8-b1-p16-n64]"], THROUGHPUT, True),
        # -k "throughput and b8": that of b1 is left out by it, with whatever tokens
        (["[int8-b8-p16-n64]"], ["[int8-b1-p16-n64]"], THROUGHPUT, False),
        (["[int8-b1-p16-n64]"], ["[int8-b8-p16-n64]"], THROUGHPUT, True),
        # -k decomp
        (["[int8-decomp-b1-p16-n64]"], ["[int8-b1-p16-n64]"], THROUGHPUT, False),
        # a batch that is as unlike the one as the other: rather missed than unseen
        (["[int8-b2-p16-n64]"], ["[int8-b4-p16-n64]"], THROUGHPUT, True),
        # a test that isn't there at all any more
        ([], [f"{WARMUP}[int8-b1-p16-n128]"], THROUGHPUT, True),
        (["[int8-b1-p16-n128]"], [], THROUGHPUT, True),
        ([], ["[int8-b1-p16-n128]"], THROUGHPUT, False),
    ],
)
def test_what_is_not_there_is_left_out_as_its_like_are(selected, left_out, name, asked):
    """With other parameters a benchmark has another name, but -k means the same."""
    sides = [
        [each if each.startswith("benchmarks") else THROUGHPUT + each for each in side]
        for side in (selected, left_out)
    ]
    assert after(*sides).asks_for(f"{name}[int8-b1-p16-n128]") is asked


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["benchmarks"], True),
        (["."], True),
        (["benchmarks/test_throughput.py"], True),
        ([f"{THROUGHPUT}"], True),
        ([f"{THROUGHPUT}[int8-n128]"], True),
        ([f"{THROUGHPUT}[int8-n64]"], False),
        ([WARMUP], False),
        (["tests", "benchmarks/test_warmup.py"], False),
        (["--pyargs-name-of.a.module"], True),  # which may contain anything
    ],
)
@pytest.mark.parametrize("link", [None, "root", "argument", "here"])
def test_paths_are_compared_as_they_are_on_the_disk(tmp_path, arguments, asked, link):
    """By whichever link the checkout, the argument or the current folder is reached."""
    linked = tmp_path / "linked"
    linked.symlink_to(ROOT)
    selection = dataclasses.replace(
        ALL,
        root=linked if link == "root" else ROOT,
        here=linked if link == "here" else ROOT,
        arguments=[f"{linked}/{each}" for each in arguments] if link == "argument" else arguments,
    )
    assert selection.asks_for(f"{THROUGHPUT}[int8-n128]") is asked


@pytest.mark.parametrize(
    "options",
    [
        {"ignored": ["benchmarks/test_throughput.py"]},
        {"ignored": ["./benchmarks"]},
        {"ignored": ["benchmarks/*_through*"]},
        {"prefixes": ["benchmarks/test_warmup.py", THROUGHPUT]},
    ],
)
def test_what_other_options_leave_out_is_not_asked_for(options):
    """--ignore, --ignore-glob and --deselect name it, though it isn't there."""
    assert ALL.asks_for(f"{THROUGHPUT}[int8-n128]")
    assert not dataclasses.replace(ALL, **options).asks_for(f"{THROUGHPUT}[int8-n128]")


def test_a_split_model_and_a_whole_one_are_not_asked_for_together():
    """A baseline of the one misses nothing in a session of the other."""
    ranks = "benchmarks/test_tensor_parallel.py::test_tensor_parallel[fp16-n128]"
    assert not ALL.asks_for(ranks)
    split = dataclasses.replace(ALL, device_map="tensor")
    assert split.asks_for(ranks)
    assert not split.asks_for(f"{THROUGHPUT}[int8-n128]")
