"""Accepted regressions: their file is read exactly, and they pass until they are worse."""

from datetime import date
from pathlib import Path

import pytest

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts import acknowledged
from benchmarks.verdicts.acknowledged import Acknowledgement
from benchmarks.verdicts.judgement import exit_status, judge
from tests.verdicts.sides import BASE, decoding, measured, one

SHIPPED = Path(__file__).parents[2] / "benchmarks" / "acknowledged.toml"
GOOD = {
    "benchmark": '"*::test_throughput[int8-*]"',
    "metric": '"tpot_s"',
    "ceiling_percent": "5",
    "reason": '"exact since 0.51"',
    "expires": "2027-03-31",
}


def written(folder, **changes):
    """Return a file with one entry; a key that is None is left away."""
    lines = [f"{key} = {value}" for key, value in {**GOOD, **changes}.items() if value is not None]
    path = folder / "acknowledged.toml"
    path.write_text("\n".join(["[[acknowledged]]", *lines]))
    return path


def test_an_entry_is_read_as_it_stands(tmp_path):
    """Percent become a share, the pattern stays, the date is a date."""
    (entry,) = acknowledged.read(written(tmp_path))
    assert entry.pattern == "*::test_throughput[int8-*]"
    assert entry.metric == "tpot_s"
    assert entry.ceiling == pytest.approx(0.05)
    assert entry.reason == "exact since 0.51"
    assert entry.expires == date(2027, 3, 31)


def test_no_file_and_an_empty_one_acknowledge_nothing(tmp_path):
    """The file that ships has only a commented example, and the example is a right one."""
    assert acknowledged.read(tmp_path / "none.toml") == ()
    assert acknowledged.read(SHIPPED) == ()
    text = SHIPPED.read_text()
    start = text.index("# [[acknowledged]]")
    example = tmp_path / "example.toml"
    example.write_text(
        text[:start] + "\n".join(line.removeprefix("# ") for line in text[start:].splitlines())
    )
    (entry,) = acknowledged.read(example)
    assert entry.ceiling == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": None}, "reason is missing; add a text that says why"),
        ({"expires": None}, "expires is missing; add a date"),
        ({"expires": '"2027-03-31"'}, "expires: expected a date without quotes"),
        ({"expires": "2027-03-31T00:00:00"}, "expires: expected a date"),
        ({"expires": "2027-02-30"}, "expected TOML"),
        ({"ceiling_percent": '"5"'}, "ceiling_percent: expected a number above 0"),
        ({"ceiling_percent": "0"}, "ceiling_percent: expected a number above 0"),
        ({"ceiling_percent": "inf"}, "ceiling_percent: expected a number above 0"),
        ({"ceiling_percent": "true"}, "ceiling_percent: expected a number above 0"),
        ({"reason": '" "'}, "reason: expected a text that says why"),
        ({"benchmark": "[]"}, "benchmark: expected a text"),
        ({"ceiling": "5"}, "expected one of benchmark, metric, ceiling_percent, reason, expires"),
    ],
)
def test_a_mistake_is_one_line_with_entry_and_key(tmp_path, changes, says):
    """A typing error must not let a regression pass unseen."""
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        acknowledged.read(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[acknowledge]]", "got 'acknowledge'; correct its name"),
        ("[acknowledged]\nreason = 'x'", "two brackets"),
        ("acknowledged = [1]", "two brackets"),
        ("\u00e4 = ", "expected TOML"),
    ],
)
def test_another_table_is_named(tmp_path, text, says):
    """What isn't understood at all is refused as well."""
    path = tmp_path / "acknowledged.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=says):
        acknowledged.read(path)


TODAY = date(2026, 11, 24)


def known(**changes):
    """Return an acknowledgement of a slower TPOT."""
    usual = {
        "pattern": "*test_throughput[int8-decomp-*]",
        "metric": "*_s",
        "ceiling": 0.2,
        "reason": "a workaround for a bug",
        "expires": TODAY,
    }
    return Acknowledgement(**{**usual, **changes})


@pytest.mark.parametrize(
    ("entry", "passes", "says"),
    [
        (known(), True, ""),
        (known(expires=date(2026, 11, 23)), False, "expired on 2026-11-23"),
        (known(ceiling=0.1), False, "worse than the acknowledged 10.0%"),
        (known(pattern="*test_throughp?t[[]*"), False, ""),
        (known(pattern="*test_throughp?t[*"), True, ""),
        (known(pattern="*test_throughput[i]"), False, ""),  # brackets are no set of characters
        (known(metric="decode.*"), False, ""),
    ],
)
def test_what_is_acknowledged_passes_until_it_is_worse_or_the_day_has_passed(entry, passes, says):
    """It stays visible as a regression."""
    verdicts = judge(BASE, [measured(0.15)], acknowledged=[entry], today=TODAY)
    found = one(verdicts)
    assert found.outcome is Outcome.REGRESSED
    assert (found.acknowledged == "a workaround for a bug") == passes
    assert says in found.detail
    assert exit_status(verdicts) == (0 if passes else 1)


@pytest.mark.parametrize(
    ("entry", "head", "says"),
    [
        (known(), measured(0.15), None),
        (known(metric="decode.allocations"), measured(0.15), None),
        (known(metric="cold_round_s"), measured(0.15), None),  # where it was cold it has one
        (known(metric="tpot"), measured(0.15), "the nearest is 'tpot_s'"),
        (known(pattern="*test_another*"), measured(0.15), None),
        (known(metric="decode.x"), measured(validity={"valid": False, "reasons": ["x"]}), None),
    ],
)
def test_a_metric_that_nothing_has_is_said(entry, head, says):
    """It is mistyped, if all was compared: a right one may have nothing to say."""
    note = entry.note(judge(BASE, [head], today=TODAY))
    assert (says in note) if says else note is None


def test_what_is_acknowledged_is_not_suspicious_either():
    """Otherwise every screening would end by 11 until it is repaired."""
    verdicts = judge(BASE, [measured(0.05)], acknowledged=[known()], today=TODAY)
    assert one(verdicts).suspicious
    assert exit_status(verdicts) == 0
    faster = judge(BASE, [measured(-0.05)], acknowledged=[known()], today=TODAY)
    assert exit_status(faster) == 11


def test_a_counter_that_was_zero_may_not_grow():
    """There is no ratio to zero, and so nothing that an acknowledgement could cover."""
    anything = known(pattern="*", metric="*", ceiling=10.0)
    changed = decoding(synchronizations={"stream": 5, "event": 0, "device": 1})
    verdicts = judge(BASE, [measured(counters=changed)], acknowledged=[anything], today=TODAY)
    found = one(verdicts, "decode.synchronizations.device")
    assert (found.outcome, found.change, found.acknowledged) == (Outcome.REGRESSED, None, None)
