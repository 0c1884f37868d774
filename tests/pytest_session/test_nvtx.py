"""A session with --nvtx: what runs has its name, and its times are compared with their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.machine.ranges import Ranges
from tests.running import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.running import Outcome

NAME = "throughput[int8-decomp-b1-p16-n2]"


def test_a_session_names_what_it_runs(
    session: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part once, inside of what it belongs to; the evidence comes after it, without names."""
    seen: list[tuple[str, ...]] = []
    around: list[str] = []
    begin, end = Ranges.begin, Ranges.end

    def note(self: Ranges, name: str) -> None:
        around.append(name)
        seen.append(tuple(around))
        begin(self, name)

    def forget(self: Ranges) -> None:
        around.pop()
        end(self)

    monkeypatch.setattr(Ranges, "begin", note)
    monkeypatch.setattr(Ranges, "end", forget)
    outcome = session(*LEAST, "--nvtx", "--benchmark-save=named")
    assert outcome.status == 0, outcome.out
    rounds = [(NAME, f"round {number}") for number in (1, 2)]
    assert seen == [
        ("load",),
        (NAME,),
        (NAME, "warm-up"),
        *(each for one in rounds for each in (one, (*one, "prefill"), (*one, "decode step 1"))),
    ]
    assert around == []
    (bench,) = outcome.saved["benchmarks"]
    assert bench["extra_info"]["workload"]["nvtx"] is True
