"""Numbers and names as text: units, alignment, lines that fit, short names. Pure."""

from __future__ import annotations

import re
from math import isclose
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = 120  # of a line of text, and of a table if no terminal says how wide it is
NARROW = "\N{NARROW NO-BREAK SPACE}"  # before a percent sign, so that no line ends there
# What torch logs beside its work: its profiler (LEVEL:DATE TIME PID:THREAD FILE:LINE]), and, with
# the level as the first letter, the rest of it ([W1128 10:09:03.745375467 FILE:LINE]). Errors say
# something.
CHATTER = re.compile(
    r"(USDT|VERBOSE|INFO|STAGE|WARNING):\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d+:\d+ |"
    r"(\[rank\d+\]:)?\[[IVW]\d{4} \d\d:\d\d:\d\d"
)


def telling(text: str) -> list[str]:
    """Return the lines of a program's output that say something, without their indentation."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not CHATTER.match(line)]


def rate(value: float) -> str:
    """Return a rate with about four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def duration(seconds: float, digits: int = 3) -> str:
    """Return seconds with the unit that reads best."""
    return _scaled(seconds, ((1e-6, "µs"), (1e-3, "ms"), (1, "s")), digits)


def size(count: float) -> str:
    """Return bytes in decimal units."""
    return _scaled(count, ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")))


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{share * 100:.3g} %"


def change(share: float | None, digits: int | None = None) -> str:
    """Return a relative change with its sign; from a doubling on as "2.5 times" the old value.

    `digits` are those behind the point; without them the change has three in all.
    """
    if share is None:
        return "-"
    form = "+.3g" if digits is None else f"+.{digits}f"
    return f"{_times(1 + share)} times" if share >= 1 else f"{100 * share:{form}} %"


def interval(low: float, high: float, share: float, digits: int = 1) -> str:
    """Return the interval of a change in brackets, in the unit in which `change` has the change."""
    if share >= 1:
        return f"[{_times(1 + low)}, {_times(1 + high)}]"
    return f"[{100 * low:+,.{digits}f}, {100 * high:+,.{digits}f}]"


def _times(factor: float) -> str:
    """Return a factor to two digits, or as a whole number."""
    return f"{factor:.2g}" if factor < 10 else f"{factor:,.0f}"


def least(share: float) -> str:
    """Return the smallest change that counts, or can be seen, to two digits.

    One that was set to three digits, such as 1.25 %, keeps them.
    """
    percent = 100 * share
    if percent < 1000 and isclose(percent, float(f"{percent:.3g}"), rel_tol=1e-9):
        return f"{percent:.3g} %"
    return f"{percent:,.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Return a text in lines that fit; a longer word, such as a path, stays whole."""
    space = " " * indent
    lines = wrap(
        text.replace(" %", f"{NARROW}%"),
        COLUMNS,
        initial_indent=space,
        subsequent_indent=space or "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(NARROW, " ") for line in lines]


def _scaled(value: float, units: Sequence[tuple[float, str]], digits: int = 3) -> str:
    """Return so many digits in the first unit in which they round to less than 1000."""
    for factor, unit in units:
        text = f"{value / factor:.{digits}g}"
        if float(text) < 1000:
            return f"{text} {unit}"
    return f"{value / factor:,.0f} {unit}"


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return rows as lines with aligned columns: those in `left` to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def fitting(rows: Sequence[Sequence[str]], columns: int = COLUMNS) -> list[list[list[str]]]:
    """Return a table as one that fits, or as several, each with the first column and some more."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    groups: list[list[int]] = [[]]
    for at, width in enumerate(widths[1:], start=1):
        used = widths[0] + sum(widths[each] + 2 for each in groups[-1])
        if groups[-1] and used + 2 + width > columns:
            groups.append([])
        groups[-1].append(at)
    return [[[row[0], *(row[each] for each in group)] for row in rows] for group in groups]


def short(fullname: str) -> str:
    """Return a benchmark's name as the terminal shows it."""
    return fullname.rpartition("::")[2].removeprefix("test_")


def number(value: float) -> str:
    """Return a number of calls; what isn't whole, as of one step among several, with decimals."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}".rstrip("0").rstrip(".")


def count(number: int, what: str) -> str:
    """Return a number of things in words, as in "1 restart" and "2 restarts"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, and the second if the first announces it."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [""]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
