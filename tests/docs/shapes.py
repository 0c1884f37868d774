"""Whether an example in README or docs still has the shape of what is printed: not its figures."""

from __future__ import annotations

import re

from docs import examples
from tests.docs.pages import ROOT

HEADER = re.compile(r" *(benchmark|session|metric) {2,}")
ROW = re.compile(r"\w+\[\S+\]( [!*]+)?  |\d{4}_\S+  |  \w[\w.]+  ")
SAYS = "make examples renews it"


def shown(name: str) -> list[str]:
    """Return the lines that an example shows of what its commands print."""
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    (block,) = [each for page in pages for each in examples.blocks(page) if each[2] == name]
    lines = block[3].splitlines()
    return [line for line in lines if not line.startswith("$ ") and line != examples.LEFT_OUT]


def shape(line: str) -> str:
    """Return a line without what differs from run to run: numbers, names with one, units."""
    line = re.sub(r"^ {4}\S+(?= [+-])", "    NAME", line)
    line = re.sub(r"^(worse(?: as well)?): .*", r"\1: METRICS", line)
    line = re.sub(r"^\S+/\S+:$", "FOLDER:", line)
    line = re.sub(r"synthetic:\S+", "MODEL", line)
    line = re.sub(r"\S*\d\S*", "#", line)
    line = re.sub(r"# (µs|ms|s|kB|MB|GB)\b", "# UNIT", line)
    return re.sub(r"\s+", " ", line).strip()


def headers(lines: list[str]) -> list[list[str]]:
    """Return the columns of each table."""
    return [re.split(r" {2,}", line.strip()) for line in lines if HEADER.match(line)]


def is_current(name: str, printed: str) -> None:
    """Fail if an example's tables have other columns, or if it has a line that isn't printed."""
    lines, fresh = shown(name), printed.splitlines()
    assert lines, f"the example {name} shows nothing; {SAYS}"
    now = headers(fresh)
    assert all(each in now for each in headers(lines)), (headers(lines), now, SAYS)
    shapes = set(map(shape, fresh))
    for line in lines:
        if not HEADER.match(line) and not ROW.match(line):
            assert shape(line) in shapes, f"{line!r} is not what is printed now; {SAYS}"
