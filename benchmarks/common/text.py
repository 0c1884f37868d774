"""Numbers and names as text: units, alignment, short names. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def short(fullname: str) -> str:
    """Return a benchmark's name as the terminal shows it."""
    return fullname.rpartition("::")[2].removeprefix("test_")


def count(number: int, what: str) -> str:
    """Return a number of things in words, as in "1 restart" and "2 restarts"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0]
