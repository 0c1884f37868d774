"""The documents: their links lead somewhere, and their tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.common.exit_status import ExitStatus
from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.report.columns import METRICS
from tests.test_arrows import ALLOWED

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def _anchors(page: Path) -> set[str]:
    """Return what links may name of a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that is there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_reference_has_every_option_quantization_and_status() -> None:
    """Each in a row of its own, and no row of something that is gone."""
    rows = re.findall(r"^\| `?([^|`]+)", REFERENCE, re.MULTILINE)
    named = {row.split()[0].partition("[")[0] for row in rows}
    own = {option.name for option in OPTIONS}
    assert {name for name in named if name.startswith("--")} == own
    assert named >= {str(int(status)) for status in ExitStatus}
    assert all(f"`{name}`" in REFERENCE for name in QUANTIZATIONS)


def test_every_column_is_defined() -> None:
    """Under its title, and the name that is stored."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for metric, shown in METRICS.items():
        assert not shown.column or re.search(
            rf"^\| [^|]*{re.escape(shown.column)}\b.*\|.*(`{metric}`|`itl_p50_s`, …)", text, re.M
        )


def test_design_has_the_arrows() -> None:
    """The last column of the packages is what their test allows."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    for package, allowed in ALLOWED.items():
        row = re.search(rf"^\| `{package.replace('.', '/')}/` \|.*\| (.*) \|$", text, re.MULTILINE)
        assert package == "top" or (row and row[1] == (allowed.replace(" ", ", ") or "nothing"))
