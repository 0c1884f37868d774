"""What `baselines list` shows of stored sessions."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main
from benchmarks.commands import baselines
from tests.builders import DUET, INVALID, THROUGHPUT, content, promoted, save, write
from tests.page.contents import record

LONG = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b{}-p1024-n128]"


@pytest.fixture
def listing(monkeypatch, tmp_path, capsys):
    """Return a function that lists what is stored in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def listing(*arguments):
        assert main(["baselines", "list", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    return listing


def test_a_session_is_a_row_with_what_tells_it_apart(listing, tmp_path):
    """Commit, workload, time and rate under a header; uncommitted changes are marked."""
    stored = content((THROUGHPUT, record(1)), promoted=promoted())
    stored["commit_info"]["dirty"] = True
    rate = stored["benchmarks"][0]["extra_info"]["metrics"]["tokens_per_s"]
    write(tmp_path / ".benchmarks/cpu/0001_x.json", stored)
    folder, header, row, legend = listing()
    assert folder == ".benchmarks/cpu:"
    assert header.split() == ["session", "saved", "commit", "workload", "tokens/s", "state"]
    assert row.split() == [
        *("0001_x.json", "2026-11-24", "08:00", "01234567+", "synthetic:tiny"),
        *("int8-decomp-b8-p16-n5", f"{rate:.4g}", "baseline"),
    ]
    assert legend == "+: with changes that weren't committed"


def test_no_line_is_longer_than_120_columns(listing, tmp_path):
    """Long names lose their middle, reasons go on in the next line."""
    many = [(LONG.format(size), record(1, model="a/" + 40 * "model")) for size in (1, 16, 128)]
    invalid = [(name, {**info, "validity": INVALID}) for name, info in many]
    write(tmp_path / f".benchmarks/gpu/0001_{'x' * 200}.json", content(*invalid, passed=False))
    write(tmp_path / ".benchmarks/gpu/0002_y.json", content(*many, commit="unversioned"))
    (tmp_path / ".benchmarks/gpu/0003_z.json").write_text("{")
    lines = listing()
    assert max(map(len, lines)) <= 120
    text = " ".join(" ".join(lines).split())
    assert "0001_xxxxx…xxxxxx.json" in text
    assert "int8-decomp-b1-p1024-n128 +2" in text
    assert "tests failed, or it was interrupted; the machine couldn't be trusted during" in text
    assert "b128-p1024-n128] (the clock dropped)" in text
    assert [line.split()[3] for line in lines if "0002_y" in line] == ["-"]


def test_why_a_session_can_not_be_promoted_is_what_promote_would_say(listing, tmp_path):
    """One that was never judged is judged by the baselines of its folder, and of no other."""
    folder = tmp_path / ".benchmarks/gpu"
    save(folder / "0001_x.json", day=1, promoted=promoted())
    save(folder / "0002_slow.json", day=2, slower=1.3)
    save(folder / "0003_back.json", day=3, demoted={"when": "2026-01-04T08:00:00+00:00"})
    save(tmp_path / ".benchmarks/other/0001_slow.json", day=4, slower=1.3)
    lines = listing()
    states = {line.split()[0]: line.split()[-1] for line in lines if "2026" in line}
    assert states == {
        "0001_x.json": "baseline",
        "0002_slow.json": "refused",
        "0003_back.json": "demoted",
        "0001_slow.json": "promoted",
    }
    assert "    REGRESSED: a round_s +30.0 %, b round_s +30.0 %" in lines


def test_a_long_list_judges_the_newest_alone(listing, tmp_path, monkeypatch):
    """Hundreds of sessions that nobody promoted would take minutes; the list says what it left."""
    monkeypatch.setattr(baselines, "NEWEST", 2)
    folder = tmp_path / ".benchmarks/gpu"
    save(folder / "0001_x.json", day=1, promoted=promoted())
    for day in range(2, 6):
        save(folder / f"{day:04}_slow.json", day=day, slower=1.3)
    save(folder / "0006_bad.json", day=6, validity=INVALID)  # which needs no judging
    lines = listing()
    states = [line.split()[-1] for line in lines if "2026" in line]
    assert states == ["baseline", "promoted", "promoted", *["refused"] * 3]
    assert lines[-1].startswith("not judged, since 2 newer ones are no baselines yet: 2; ")


def test_a_folder_without_sessions_says_so(listing, tmp_path):
    """And of duets' sides that aren't listed only how many there are."""
    (tmp_path / ".benchmarks").mkdir()
    assert listing() == ["no session is stored below .benchmarks"]
    save(tmp_path / ".benchmarks/duets/restart-01-base.json", duet=DUET)
    assert listing() == ["not listed: 1 of duets"]
