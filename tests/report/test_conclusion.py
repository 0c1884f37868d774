"""The last lines of a comparison: what came of it, in a sentence for each quantization."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.report.conclusion import lines
from benchmarks.sessions.outcome import Outcome, Verdict

NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n128]"
DEVICE, WALL = ("decode_device_s", "device"), ("round_s", "time")
CALLS = ("decode.python_calls", "counter")


def verdict(
    of: tuple[str, str],
    outcome: Outcome,
    change: float = 0.0,
    half: float | None = None,
    **more: Any,
) -> Verdict:
    """Return a verdict with an interval of so much to either side."""
    low, high = (None, None) if half is None else (change - half, change + half)
    name = more.pop("benchmark", NAME)
    return Verdict(name, *of, outcome, 1.0, 1.0 + change, change, low, high, **more)


SLOWER = verdict(DEVICE, Outcome.REGRESSED, 0.02, 0.01)
OPEN = verdict(WALL, Outcome.INCONCLUSIVE, 0.01, 0.05)


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (
            [SLOWER, OPEN],
            "head is 1.02 ± 0.01 times slower in device work, the wall can't tell (±6 %)",
        ),
        (
            [
                verdict(DEVICE, Outcome.NO_CHANGE, 0.0001, 0.001),
                verdict(CALLS, Outcome.IMPROVED, -0.41),
                verdict(WALL, Outcome.IMPROVED, -0.5, 0.05),
            ],
            "head is as fast in device work (±0.11 %), 2.00 ± 0.20 times faster on the wall, "
            "with 41 % fewer Python calls a step",
        ),
        (
            [verdict(DEVICE, Outcome.REGRESSED, 0.0027, 0.0006), verdict(CALLS, Outcome.NO_CHANGE)],
            "head is 1.0027 ± 0.0006 times slower in device work",
        ),
        (
            [verdict(CALLS, Outcome.NO_CHANGE), verdict(WALL, Outcome.NO_CHANGE, 0.01, limit=0.05)],
            "head makes as many Python calls a step, no change above 5 % seen on the wall",
        ),
        (
            [verdict(WALL, Outcome.INCONCLUSIVE, 0.03, 0.035)],
            "the wall can't tell (-0.5 to +6.5 %)",
        ),
        (
            [verdict(CALLS, Outcome.REGRESSED, 0.1)],
            "head makes 10 % more Python calls a step",
        ),
        (
            [OPEN, verdict(("tpot_s", "time"), Outcome.REGRESSED, 0.1, 0.02)],
            "head is 1.10 ± 0.02 times slower on the wall (tpot_s)",
        ),
        (
            [verdict(WALL, Outcome.INCONCLUSIVE, 0.2, suspicious=True)],
            "the wall is suspicious: 1.20 times slower",
        ),
        ([Verdict(NAME, *WALL, Outcome.INVALID)], "the wall was not judged (INVALID)"),
    ],
)
def test_a_sentence_says_how_the_new_side_compares(verdicts: list[Verdict], says: str) -> None:
    """In device work, in calls and on the wall, each with how sure that is."""
    assert lines(verdicts) == [f"int8-decomp: {says}"]


def test_several_workloads_of_a_quantization_have_a_line_each() -> None:
    """By the names of their benchmarks; other quantizations by their own."""
    more = [
        verdict(WALL, Outcome.NO_CHANGE, 0.0, 0.01, benchmark=NAME.replace(*each))
        for each in (("b8", "b1"), ("int8-decomp", "nf4"))
    ]
    found = lines([OPEN, *more], head="this session")
    assert [each.partition(":")[0] for each in found] == [
        *("int8-decomp-b8-p16-n128", "int8-decomp-b1-p16-n128", "nf4")
    ]
    assert found[1].endswith(": this session is as fast on the wall (±1 %)")


def test_what_got_worse_is_named_with_its_quantization() -> None:
    """If there are several: fp16 with three times its weights is not int8's affair."""
    other = NAME.replace("int8-decomp", "fp16")
    worse = [Verdict(each, "weights_bytes", "memory", Outcome.REGRESSED) for each in (other, NAME)]
    assert lines([SLOWER, worse[0]])[-1] == "worse as well: weights_bytes of fp16"
    assert lines([SLOWER, *worse])[-1] == "worse as well: weights_bytes of fp16 and int8-decomp"


def test_what_got_worse_comes_before_what_is_good() -> None:
    """Else the end of a duet that REGRESSED would be good news."""
    memory = Verdict(NAME, "weights_bytes", "memory", Outcome.REGRESSED)
    assert lines([OPEN, replace(memory, acknowledged="known")]) == lines([OPEN])
    first, second = lines([OPEN, memory])
    assert first == "worse: weights_bytes"
    assert second.startswith("int8-decomp: ")


def test_what_got_worse_beside_is_named() -> None:
    """So that no sentence hides it; in 120 columns."""
    cold = Verdict(NAME.replace("throughput", "warmup"), "cold_round_s", "time", Outcome.REGRESSED)
    memory = [Verdict(NAME, f"{n}_bytes", "memory", Outcome.REGRESSED) for n in range(20)]
    _, first, *rest = lines([SLOWER, OPEN, cold, *memory])
    assert first.startswith("worse as well: cold_round_s, 0_bytes, 1_bytes")
    assert rest[-1].endswith("19_bytes")
    assert max(map(len, (first, *rest))) <= 120


def test_nothing_judged_is_nothing_said() -> None:
    """A benchmark that is missing has no sentence: the counts say so."""
    assert lines([]) == []
    assert lines([Verdict(NAME, "-", "-", Outcome.MISSING)]) == []
