"""The documents: their links lead somewhere, their size is kept, their tables are the code's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.report.columns import METRICS
from tests.docs.pages import FOR_USERS, PAGES, ROOT, code, named, read
from tests.test_arrows import ALLOWED

if TYPE_CHECKING:
    from pathlib import Path

WIDEST = 120  # columns of what a page shows of a terminal


def _anchors(page: Path) -> set[str]:
    """Return what links may name of a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that is there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_each_page_is_reached_from_the_readme() -> None:
    """By a link of its own: nobody looks into a folder for what nothing names."""
    readme = read(ROOT / "README.md")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f"]({named(page)}" in readme, page


def test_the_readme_is_short() -> None:
    """It is read in one go; what is longer belongs into a page of docs."""
    assert len(read(ROOT / "README.md")) <= 11_000


@pytest.mark.parametrize("page", FOR_USERS, ids=named)
def test_no_output_is_wider_than_a_terminal(page: Path) -> None:
    """What a page shows of a terminal is read without scrolling."""
    for block in code(page, "text", "console"):
        assert max(map(len, block.splitlines())) <= WIDEST


@pytest.mark.parametrize("page", FOR_USERS, ids=named)
def test_words_are_plain(page: Path) -> None:
    """A stranger understands them at first reading."""
    found = re.findall(r"\b(?:believed?|cry wolf|ends by|is had)\b", read(page))
    assert not found


def test_every_column_is_defined() -> None:
    """Under its title, and the name that is stored."""
    text = read(ROOT / "docs" / "metrics.md")
    for metric, shown in METRICS.items():
        assert not shown.column or re.search(
            rf"^\| [^|]*{re.escape(shown.column)}\b.*\|.*(`{metric}`|`itl_p50_s`, …)", text, re.M
        )


def test_design_has_the_arrows() -> None:
    """The last column of the packages is what their test allows."""
    text = read(ROOT / "docs" / "design.md")
    for package, allowed in ALLOWED.items():
        row = re.search(rf"^\| `{package.replace('.', '/')}/` \|.*\| (.*) \|$", text, re.MULTILINE)
        assert package == "top" or (row and row[1] == (allowed.replace(" ", ", ") or "nothing"))
