"""A session of several models: each is loaded once, and its results are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.model import loading
from benchmarks.page import intake, render
from benchmarks.sessions import comparable
from benchmarks.sessions.session import parse_session
from tests import builders, virtual
from tests.running import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target
    from tests.running import Outcome

SMALL, LARGE = virtual.ONE_LAYER, "synthetic:tiny"
NAMES = [f"throughput[synthetic-{model}-bf16-b1-p16-n2]" for model in ("one-layer", "tiny")]


def test_each_model_is_loaded_once_and_freed_before_the_next(
    session: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, the table, the evidence and the records name it; one process holds one at a time."""
    load, loaded = loading.load, list[Any]()

    def spy(target: Target, quantization: str, *, cold: bool) -> Engine:
        assert all(engine.model is None for _, _, engine in loaded)
        engine = load(target, quantization, cold=cold)
        loaded.append((target.checkpoint.name, cold, engine))
        return engine

    monkeypatch.setattr(loading, "load", spy)
    options = ["--quantization=bf16", f"--model={SMALL},{LARGE}", "--benchmark-save=two"]
    outcome = session(*LEAST, *options, model=None)
    assert outcome.status == 0, outcome.out
    measured = [(name, cold) for name, cold, engine in loaded if engine.generations]
    assert measured == [(SMALL, True), (LARGE, False)]
    rows = [line.split()[0] for line in outcome.out.splitlines() if line.startswith("throughput")]
    assert rows[-2:] == NAMES
    assert f"models: {SMALL} (synthetic weights), {LARGE} (synthetic weights)" in outcome.out
    assert f"bf16 of {LARGE}: loaded in" in outcome.out
    assert "checked (synthetic:tiny-bf16-b1): 28 Linear of 28" in outcome.out
    assert "checked (synthetic:one-layer-bf16-b1): 7 Linear of 7" in outcome.out
    benches = outcome.saved["benchmarks"]
    assert [each["fullname"].rpartition("test_")[2] for each in benches] == NAMES
    found = [each["extra_info"] for each in benches]
    assert [each["workload"]["model"] for each in found] == [SMALL, LARGE]
    of_file = {each["attestation"]["checkpoint"]["index_sha256"] for each in found}
    assert len(of_file) == 2
    assert all(each["counters"] and each["attestation"]["agreement"] for each in found)
    page = render.page(intake.select([parse_session(outcome.saved, "s")]), outcome.folder / "x")
    assert f"{SMALL} (synthetic weights), {LARGE} (synthetic weights)" in page


def test_a_baseline_counts_for_its_own_model() -> None:
    """Other weights of one model make nothing of the other one incomparable."""

    def measured(model: str, weights: str) -> dict[str, Any]:
        info = builders.info([1.0, 1.1])
        info["workload"] |= {"model": model}
        return info | {"attestation": {"checkpoint": {"index_sha256": weights}}}

    names = [f"benchmarks/test_throughput.py::test_throughput[{each}]" for each in "ab"]
    base, head = (
        builders.session((names[0], measured("a", "1")), (names[1], measured("b", weights)))
        for weights in "23"
    )
    differ = [
        comparable.workload_differences(base.measured[each], head.measured[each]) for each in names
    ]
    assert differ == [[], ["weights_sha256 2 -> 3"]]


def test_a_model_that_is_none_ends_the_session_before_any_is_measured(
    session: Callable[..., Outcome], tmp_path: Path
) -> None:
    """The first would take minutes, and the second one's name is known to be wrong."""
    outcome = session(*LEAST, f"--model={SMALL},{tmp_path / 'none'}", model=None)
    assert outcome.status == 4
    assert "none does not exist" in outcome.err + outcome.out
    assert "loaded in" not in outcome.out
