"""What the tests of the documents read in them."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FOR_USERS = [page for page in PAGES if page.name != "CHANGELOG.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def named(page: Path) -> str:
    """Return the path of a page in the repository, as the id of a test."""
    return str(page.relative_to(ROOT))


def read(page: Path) -> str:
    """Return the text of a page."""
    return page.read_text(encoding="utf-8")


def code(page: Path, *languages: str) -> list[str]:
    """Return the blocks of a page in these languages; all of them if none is named."""
    found = BLOCK.findall(read(page))
    return [text for language, text in found if not languages or language in languages]


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, until the next one of its level or above."""
    level, lines = heading.index(" "), text.splitlines()
    below = lines[lines.index(heading) + 1 :]
    ends = re.compile(rf"#{{1,{level}}} ")
    return "\n".join(takewhile(lambda line: not ends.match(line), below))


def rows(text: str) -> list[list[str]]:
    """Return the cells of all rows of the tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
