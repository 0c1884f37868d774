"""The file of accepted regressions: read exactly, or refused by one line."""

from datetime import date
from pathlib import Path

import pytest

from benchmarks.common.errors import InputError
from benchmarks.verdicts import acknowledged

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
