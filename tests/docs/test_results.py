"""The pages of results say what their raw files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import half_lines
from benchmarks.sessions import baseline
from tests.tools import gpu_check, modes, splits, stored

RESULTS = Path(__file__).parents[2] / "docs" / "results"
H100, H200 = (RESULTS / f"{name}.md" for name in ("nvidia-h100-80gb-hbm3", "nvidia-h200"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Return the raw files of an H200, unpacked."""
    folder = tmp_path_factory.mktemp("raw")
    stored.unpack(H200.with_suffix("") / "raw", folder)
    return folder


def missing(lines, page):
    """Return those of the lines that a page lacks."""
    said = page.read_text().splitlines()
    return [line for line in lines if line not in said]


def test_tables_of_quantizations_are_those_of_their_files(raw):
    """Batch sizes, modes, and each quantization against fp16."""
    sizes, generated = (modes.benchmarks([raw / f"{name}.json"]) for name in ("table", "all-modes"))
    for found, rows in ((sizes, 12), (generated, 16)):
        table = modes.table([info for _, info in found])
        assert len(table) == rows + 2
        assert missing(table, H200) == []
    assert missing([f"- {line}" for line in half_lines.lines(sizes)], H200) == []


def test_identical_code_is_judged_as_its_page_says(raw):
    """Ten sessions; here six of them are judged in every split, which takes seconds."""
    sessions = baseline.stored(raw / "identical").sessions
    assert len(sessions) == 10
    assert missing(splits.spreads(sessions), H200) == []
    verdicts = list(splits.split_verdicts(sessions[:6], 3))
    assert len(verdicts) % (20 * 4 * 4) == 0
    assert {each.outcome.value for each in verdicts} == {"NO CHANGE"}


def test_a_longer_decode_step_is_found_by_its_size(raw):
    """Against three baselines a session that is 1 % slower is, and at the floor hardly any."""
    two = [splits.with_repeats(each, 2) for each in baseline.stored(raw / "identical").sessions]
    _, _, *rows = splits.found(two[:6], 3)
    assert len(rows) == 4
    for row in rows:
        _, at_floor, _, *others = row.strip(" |").split(" | ")
        assert others == ["100 %", "100 %"]
        assert float(at_floor.removesuffix(" %")) < 60


def test_duets_of_releases_are_judged_as_their_page_says(raw):
    """Calls fell from 0.49 to 0.50, and device time is the same in all three."""
    text = H200.read_text()
    pairs = list(gpu_check.judged(raw / "duets"))
    assert len(pairs) == 2
    for _, verdicts in pairs:
        for each in verdicts:
            if each.kind == "device":
                says = f"{100 * each.change:+.2f} % [{100 * each.low:+.2f}, {100 * each.high:+.2f}]"
                assert f"| {says}, {each.outcome.value} |" in text
            elif each.outcome.value != "NO CHANGE" and each.metric.startswith("decode"):
                assert f"| {100 * each.change:+.1f} %, {each.outcome.value} |" in text


def test_duets_of_an_h100_are_judged_as_their_page_says(tmp_path):
    """A rule of the verdicts that changes what they say is noticed."""
    stored.unpack(H100.with_suffix("") / "raw", tmp_path)
    said = [
        f"{each.change:+.1%} [{each.low:+.1%}, {each.high:+.1%}] {each.outcome.value} |"
        for _, verdicts in gpu_check.judged(tmp_path)
        for each in verdicts
        if each.kind == "time"
    ]
    assert len(said) == 11
    assert [each for each in said if each not in H100.read_text()] == []
