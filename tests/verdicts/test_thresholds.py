"""Limits of one's own: their file is read exactly, they decide, and verdicts say so."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import thresholds, times
from benchmarks.verdicts.judgement import judge
from benchmarks.verdicts.thresholds import ORDERS, Threshold
from tests.verdicts.sides import BASE, decoding, measured, one

SHIPPED = Path(__file__).parents[2] / "benchmarks" / "thresholds.toml"
GOOD = {"benchmark": '"*[int8-*]"', "metric": '"tpot_s"', "floor_percent": "3", "reason": '"why"'}


def written(folder: Path, **changes: str | None) -> Path:
    """Return a file with one entry; a key that is None is left away."""
    lines = [f"{key} = {value}" for key, value in {**GOOD, **changes}.items() if value is not None]
    path = folder / "thresholds.toml"
    path.write_text("\n".join(["[[threshold]]", *lines]))
    return path


def own(metric: str = "round_s", **shares: float) -> Threshold:
    """Return a threshold for a metric of all benchmarks."""
    return Threshold("*", metric, shares, "a reason")


def test_an_entry_is_read_as_it_stands(tmp_path: Path) -> None:
    """Percent become shares, and a pattern's brackets are brackets."""
    (entry,) = thresholds.read(written(tmp_path, gross_percent="20"))
    assert entry.given == {"floor": 0.03, "gross": 0.2}
    assert entry.covers("a::b[int8-b8]", "tpot_s")
    assert not entry.covers("a::b[nf4-b8]", "tpot_s")


def test_no_file_and_the_one_that_ships_change_nothing(tmp_path: Path) -> None:
    """The defaults stay what they are; both commented examples are right ones."""
    assert thresholds.read(tmp_path / "none.toml") == ()
    assert thresholds.read(SHIPPED) == ()
    text = SHIPPED.read_text()
    start = text.index("# [[threshold]]")
    example = tmp_path / "example.toml"
    lines = text[start:].splitlines()
    example.write_text("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    first, second = thresholds.read(example)
    assert first.given == {"floor": 0.03, "gross": 0.2}
    assert second.given == {"tolerance": 0.025}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": None}, "reason is missing; add a text that says why"),
        ({"floor_percent": None}, "expected one of floor_percent, equivalence_percent"),
        ({"floor_percent": '"3"'}, "floor_percent: expected a number from 0 on"),
        ({"floor_percent": "-1"}, "floor_percent: expected a number from 0 on"),
        ({"floor_percent": "true"}, "floor_percent: expected a number from 0 on"),
        ({"floor_percent": "nan"}, "floor_percent: expected a number from 0 on"),
        ({"gross_percent": "2"}, "expected floor_percent of at most gross_percent; got 3 and 2"),
        ({"equivalence_percent": "1"}, "expected floor_percent of at most equivalence_percent"),
        (
            {"flor_percent": "3"},
            "got 'flor_percent'; correct its name: the nearest is 'floor_percent'",
        ),
    ],
)
def test_a_mistake_is_one_line_with_entry_and_key(
    tmp_path: Path, changes: dict[str, str | None], says: str
) -> None:
    """A limit that isn't understood must not let a regression pass unseen."""
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        thresholds.read(path)
    assert str(caught.value).startswith(f"{path}, entry 1: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.dictionaries(st.sampled_from(("floor", "equivalence", "doubt", "gross")), st.floats(0, 1)),
    st.sampled_from([times.STEADY, times.DEVICE, times.COLD, times.OTHER_CARD]),
)
def test_limits_stay_in_order_and_given_ones_stay(
    shares: dict[str, float], usual: times.Limits
) -> None:
    """The other limits make room: with a floor above doubt nothing could ever be doubted."""
    pairs = [pair for order in ORDERS for pair in combinations(order, 2)]
    both = [pair for pair in pairs if {*pair} <= {*shares}]
    assume(all(shares[less] <= shares[more] for less, more in both))  # else it is refused
    found = own(**shares).applied(usual)
    assert all(getattr(found, name) == value for name, value in shares.items())
    for order in ORDERS:
        assert all(getattr(found, a) <= getattr(found, b) for a, b in pairwise(order))


def test_a_gross_limit_of_ones_own_decides_a_time_and_is_told() -> None:
    """13 % needs no duet by default; 20 % of one's own wants one, and the verdict says why."""
    head = [measured(0.12)]
    assert one(judge(BASE, head)).outcome is Outcome.REGRESSED
    verdict = one(judge(BASE, head, limits=[own(gross=0.2)]))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.suspicious
    assert "by a threshold of yours: gross 20 % (a reason)" in verdict.detail


def test_a_lower_limit_decides_what_the_usual_one_lets_pass() -> None:
    """A runner that is steadier than most can ask for more."""
    head = [measured(0.04)]
    assert one(judge(BASE, head)).outcome is Outcome.INCONCLUSIVE
    assert one(judge(BASE, head, limits=[own(gross=0.02)])).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(("launches", "outcome"), [(41, "NO CHANGE"), (43, "REGRESSED")])
def test_a_tolerance_holds_for_counters(launches: int, outcome: str) -> None:
    """One launch in forty is REGRESSED by default, and passes up to 5 % if one asks for that."""
    head = [measured(counters=decoding(kernel_launches=launches))]
    metric = "decode.kernel_launches"
    assert one(judge(BASE, head), metric).outcome is Outcome.REGRESSED
    verdict = one(judge(BASE, head, limits=[own("decode.*", tolerance=0.05)]), metric)
    assert verdict.outcome.value == outcome
    assert "by a threshold of yours: tolerance 5 % (a reason)" in verdict.detail


def test_the_first_entry_for_a_metric_counts_and_other_metrics_keep_theirs() -> None:
    """So a special case stands above a general one; nothing is said where none applied."""
    limits = [own("tpot_s", gross=0.5), own("*", tolerance=0.05), own("*", gross=0.3)]
    verdicts = judge(BASE, [measured(0.2)], limits=limits)
    assert "gross 50 %" in one(verdicts, "tpot_s").detail
    assert "gross 30 %" in one(verdicts, "round_s").detail
    assert "threshold" not in one(verdicts, "top1_agreement").detail
    assert "threshold" not in " ".join(each.detail for each in judge(BASE, [measured(0.2)]))


def test_a_mistyped_metric_is_named() -> None:
    """An entry that is never used looks like one that works."""
    known = [own("tpot", floor=0.1)]
    verdicts = judge(BASE, [measured()], limits=known)
    notes = thresholds.notes(known, verdicts)
    says = f"floor 10 % for tpot of * (a reason): 0 of {len(verdicts)} verdicts"
    assert notes[0] == f"threshold of yours, {says}"
    assert "threshold: no 'tpot' was judged of *" in notes[1]
    assert thresholds.notes((), verdicts) == []
