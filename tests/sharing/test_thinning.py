"""Old sessions are thinned, and nothing is lost that a verdict or a history uses."""

from __future__ import annotations

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.page import history, intake
from benchmarks.sessions import baseline, measures, storage
from benchmarks.sessions.session import parse_session
from benchmarks.sharing import branch, thinning
from benchmarks.verdicts.judgement import judge
from tests import builders
from tests.builders import THROUGHPUT, promoted
from tests.page.contents import NAME, content, day, profiles, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.sessions.outcome import Verdict
    from benchmarks.sessions.session import Session


ROOT = Path(__file__).parents[2]
REAL = ROOT / "docs/results/nvidia-h200/raw/main.json.gz"


def sessions(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return files of baselines on a GPU with all that a session stores, oldest first."""
    return [
        content(
            record(n, on_gpu=True, **changes) | {"profile": profiles(on_gpu=True)},
            when=day(n),
            commit=f"{n:040x}",
            promoted=promoted(),
        )
        for n in range(count)
    ]


def thinned(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file as it is read back once it was thinned."""
    return json.loads(json.dumps(thinning.thin(file, "an identity")))


def read(*files: dict[str, Any]) -> list[Session]:
    """Return sessions of these files."""
    return [parse_session(each, f"{n:04}.json") for n, each in enumerate(files)]


def _same(one: Verdict, other: Verdict) -> bool:
    """Whether two verdicts say the same, apart from the names that explain them."""
    names = ("base", "head", "change", "low", "high", "p")
    close = all(
        a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9))
        for a, b in ((getattr(one, name), getattr(other, name)) for name in names)
    )
    facts = [(e.benchmark, e.metric, e.kind, e.outcome, e.suspicious) for e in (one, other)]
    return close and facts[0] == facts[1]


@pytest.mark.parametrize("slower", [1.0, 1.02, 1.3])
def test_a_thinned_baseline_gives_the_same_verdicts(slower: float) -> None:
    """On times, device time, counters, memory and agreement alike: only names are lost."""
    base, head = sessions(6), read(content(record(99, on_gpu=True, slower=slower), when=day(50)))
    whole, thin = judge(read(*base), head), judge(read(*map(thinned, base)), head)
    assert len(whole) == len(thin) > 10
    assert all(map(_same, whole, thin))
    assert {each.kind for each in whole} >= {"time", "device", "counter", "memory"}


def test_history_and_exports_are_those_of_whole_sessions() -> None:
    """Each value, mark and version of the page's history is there."""
    files = sessions(5)
    whole, thin = (intake.select(read(*each)) for each in (files, map(thinned, files)))
    assert not thin.left_out
    assert history.history(thin.sessions) == history.history(whole.sessions)
    assert [list(measures.of_session(each)) for each in thin.sessions] == [
        list(measures.of_session(each)) for each in whole.sessions
    ]


def test_a_real_session_gets_small_and_is_still_known() -> None:
    """One of an H100 with all that it stores, to less than a fifteenth; by its old identity."""
    whole = json.loads(gzip.decompress(REAL.read_bytes()))
    found = thinned(whole)
    assert branch._identity(found) == "an identity"
    sizes = []
    for each in (whole, found):
        text = StringIO()
        storage.dump(each, text)
        sizes.append(len(text.getvalue()))
    assert sizes[1] < sizes[0] / 15, sizes
    assert not intake.select(read(found)).left_out


def _names(count: int, edit: Callable[[list[dict[str, Any]]], None] = lambda _: None) -> list[int]:
    """Return the numbers of the sessions of a year that stay whole."""
    files = []
    for n in range(count):
        when = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)).isoformat()
        found = builders.content((THROUGHPUT, builders.info([0.2])), when=when)
        files.append(found | {"llm_int8": builders.SAVED | {"promoted": promoted()}})
    edit(files)
    return sorted(int(each[:4]) for each in thinning.needed(read(*files)))


def test_the_newest_and_the_oldest_of_the_level_stay_whole() -> None:
    """Twenty of each: by the newest a session is judged, and by the oldest a creep shows."""
    assert _names(30) == list(range(30))
    assert _names(100) == [*range(20), *range(80, 100)]


def test_a_new_level_lets_the_old_one_be_thinned() -> None:
    """What was before a regression that was accepted judges nothing any more."""

    def force(files: list[dict[str, Any]]) -> None:
        files[60]["llm_int8"] |= {
            "promoted": promoted("wanted"),
            "verdicts": [builders.verdict(THROUGHPUT, "REGRESSED")],
        }

    assert _names(110, force) == [*range(60, 80), *range(90, 110)]


def test_another_machine_keeps_its_own() -> None:
    """The busy runner's sessions don't push out those of one that measures once a month."""

    def rare(files: list[dict[str, Any]]) -> None:
        for n in (1, 50):
            files[n]["machine_info"]["hardware"] = {"device": "cuda", "gpu": "Another"}

    assert {1, 50} <= {*_names(100, rare)}


def test_a_forced_level_is_still_one_when_it_was_thinned() -> None:
    """Verdicts that start a level are kept."""
    file = sessions(1)[0]
    file["llm_int8"] |= {"verdicts": [builders.verdict(NAME, "REGRESSED")]}
    (session,) = read(thinned(file))
    assert baseline._accepted(NAME, session)


def test_other_tokens_are_known_by_a_thinned_session() -> None:
    """Counters may differ by 1 % if other tokens were generated: hashes say whether they were."""

    def one(tokens: str, allocations: int, n: int) -> dict[str, Any]:
        counted = {"decode_steps": [2, 6], "decode": builders.phase(allocations=allocations)}
        attestation = {"checkpoint": {"index_sha256": "w"}, "tokens_sha256": tokens}
        info = builders.info([0.2], counters=counted, attestation=attestation)
        return builders.content((THROUGHPUT, info), when=day(n), promoted=promoted())

    head = read(one("other", 1005, 9))
    for base in (one("t", 1000, 1), thinned(one("t", 1000, 1))):
        (verdict,) = (v for v in judge(read(base), head) if v.metric == "decode.allocations")
        assert verdict.outcome.value == "NO CHANGE"
