"""The modes on a real model: what ran is known, and what ran otherwise has no result."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import cache_utils

from benchmarks.common.errors import AttestationError, InputError, OutputError, WorkError
from benchmarks.config.generation import MODES
from benchmarks.evidence.gathering import Evidence
from benchmarks.measure.rounds import round_of
from benchmarks.model import loading, skeleton
from benchmarks.modes import possible
from tests import virtual
from tests.running import LEAST, Outcome, command, run_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target


@pytest.fixture(scope="module")
def small(target: Target, one_layer: Any) -> Target:
    """Return a model of one layer as what is measured, in any mode that is possible here."""
    settings = dataclasses.replace(target.settings, new_tokens=8, batch_sizes=(1,))
    small = dataclasses.replace(target, settings=settings, checkpoint=one_layer)
    model = skeleton.build(one_layer, "sdpa")
    try:
        backend = possible.check(["quantized"], "it", model, target.device, 1)
    except InputError:  # of an old transformers, with nothing beside it
        return small
    return dataclasses.replace(small, backend=backend)


@pytest.fixture(scope="module")
def loaded(small: Target) -> Iterator[Engine]:
    """Load it once, in plain INT8."""
    with loading.load(small, "int8", cold=False) as engine:
        yield engine


@pytest.fixture(scope="module")
def evidence(small: Target, loaded: Engine) -> Callable[[str], dict[str, Any]]:
    """Return a function that generates in a mode, and returns what is attested of it."""

    def attest(mode: str) -> dict[str, Any]:
        workload = small.workload(1, 8, mode)
        loaded.prepare(workload)
        tokens = loaded.generate(workload).tokens
        info: dict[str, Any] = {"metrics": {}, "unmeasured": {}}
        record = SimpleNamespace(extra_info=info, fullname=mode)
        Evidence(small, loaded).add(record, workload, tokens)
        found: dict[str, Any] = info["attestation"].get("generation")
        return found

    return attest


def test_a_static_cache_is_seen(evidence: Callable[[str], dict[str, Any]]) -> None:
    """By its class and its bytes; its logits differ from the usual ones by rounding alone."""
    found = evidence("static")
    assert (found["cache"], found["layers"]) == ("StaticCache", {"StaticLayer": 1})
    assert found["tokens_held"] == 16 + 8 - 1
    assert found["bytes_held"] > 2 * 2 * 24 * 2 * 64  # K and V of 24 tokens, 2 heads of 64 halves
    assert found["agreement"]["logits_relative_error"] < 0.01
    assert "compiled" not in found
    assert evidence("dynamic") is None


def test_a_quantized_cache_is_measured(
    evidence: Callable[[str], dict[str, Any]],
    layer: type,  # noqa: ARG001 (it is there)
) -> None:
    """It holds at most half of the bytes that 16 bits take, and changes the logits a little."""
    found = evidence("quantized")
    assert found["cache"] == "QuantizedCache"
    assert 0 < found["quantized_bytes"] <= 0.52 * found["bytes_in_16_bits"]
    assert 0 < found["agreement"]["logits_relative_error"] < 0.1


@pytest.fixture
def layer(loaded: Engine) -> type:
    """Return the class of the layers of the quantized cache, if there is a backend."""
    if loaded.backend is None:
        pytest.skip("no backend quantizes a cache here")
    names = {
        "hqq": "HQQQuantizedLayer",
        "quanto": "QuantoQuantizedLayer",
        "fp8": "Fp8QuantizedLayer",
    }
    found: type = getattr(cache_utils, names[str(loaded.backend)])
    return found


@pytest.mark.lie("a cache in 16 bits under the name of a quantized one")
def test_a_quantized_cache_that_is_none_is_refused(
    evidence: Callable[[str], dict[str, Any]], layer: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lie: its class is right, and its bytes are those of 16 bits."""
    if hasattr(layer, "fp8_dtype"):
        monkeypatch.setattr(layer, "fp8_dtype", torch.float16)
    else:
        monkeypatch.setattr(layer, "_quantize", lambda _self, tensor, **_: tensor)
        monkeypatch.setattr(layer, "_dequantize", lambda _self, kept: kept)
    with pytest.raises(AttestationError, match="asked for quantized, its cache isn't quantized"):
        evidence("quantized")


@pytest.mark.lie("a quantized cache that gives back other values")
def test_a_cache_that_is_wrong_alone_is_refused(
    evidence: Callable[[str], dict[str, Any]], layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lie: a model that agrees with 16 bits decodes with another head's keys and values."""
    honest = layer._dequantize
    monkeypatch.setattr(layer, "_dequantize", lambda self, kept: honest(self, kept).roll(1, 1) * 4)
    with pytest.raises(OutputError, match="int8, quantized, disagrees with the dynamic cache"):
        evidence("quantized")


@pytest.mark.lie("an eager decode step under the name of a compiled one")
def test_a_fall_back_to_eager_is_refused(evidence: Callable[[str], dict[str, Any]]) -> None:
    """Lie: torch is told to compile nothing, and says nothing."""
    with (
        torch.compiler.set_stance("force_eager"),
        pytest.raises(AttestationError, match="int8, batch 1: asked for compiled, ran eagerly: "),
    ):
        evidence("compiled")


@pytest.fixture(scope="module")
def compiled(small: Target, loaded: Engine) -> Workload:
    """Return a workload whose decode step was compiled once: from here on its code is on the disk.

    A compiler that was at work once is quicker in this process, and in those that are forked.
    """
    workload = small.workload(1, 8, "compiled")
    loaded.prepare(workload)
    loaded.generate(workload)
    return workload


@pytest.fixture(scope="module")
def outcome(
    environment: dict[str, str],
    small: Target,
    compiled: Workload,  # noqa: ARG001 (it costs the time here)
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    """Run a session over all modes once, in a process of its own."""
    folder = tmp_path_factory.mktemp("modes")
    modes = [mode for mode in MODES if small.backend or mode != "quantized"]
    asked = ["--quantization=int8", f"--generation={','.join(modes)}", "--benchmark-save=modes"]
    arguments = command(folder, *LEAST, *asked)
    with virtual.installed(virtual.Machine()):
        done = run_module("pytest", *arguments, environment=environment)
    return Outcome(done.returncode, done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def stored(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Return the records of its benchmarks, by what their ids say."""
    assert outcome.status == 0, outcome.out + outcome.err
    found = {}
    for bench in outcome.saved["benchmarks"]:
        found[bench["name"].removeprefix("test_")] = bench["extra_info"]
    return found


def test_each_mode_has_its_own_benchmarks(stored: dict[str, dict[str, Any]], small: Target) -> None:
    """The ids of the default one are what they were; what is compiled comes last."""
    parts = ["int8", "int8-static", *(["int8-quantized"] * bool(small.backend)), "int8-compiled"]
    assert list(stored) == [f"throughput[{part}-b1-p16-n2]" for part in parts]


def test_the_default_mode_is_stored_as_before(stored: dict[str, dict[str, Any]]) -> None:
    """Nothing in what was measured names a mode, so that older baselines still compare."""
    workload = stored["throughput[int8-b1-p16-n2]"]["workload"]
    assert not {"generation", "cache_tokens", "cache_backend"} & set(workload)
    static = stored["throughput[int8-static-b1-p16-n2]"]["workload"]
    assert (static["generation"], static["cache_tokens"]) == ("static", 24)
    if quantized := stored.get("throughput[int8-quantized-b1-p16-n2]"):
        assert quantized["workload"]["cache_backend"] in possible.BACKENDS


def test_what_is_compiled_is_attested_and_not_timed(stored: dict[str, dict[str, Any]]) -> None:
    """One graph without a break, made in the warm-up; in the other modes nothing is compiled."""
    info = stored["throughput[int8-compiled-b1-p16-n2]"]
    compiled = info["attestation"]["generation"]["compiled"]
    assert (compiled["by"], compiled["mode"]) == ("torch.compile", "default")
    assert (compiled["graphs"], compiled["graph_breaks"], compiled["reasons"]) == (1, 0, [])
    assert (compiled["cuda_graphs"], compiled["regions"]) == (None, 4)  # once in each traced step
    assert info["metrics"]["compile_s"] == compiled["seconds"] > 0
    other = stored["throughput[int8-static-b1-p16-n2]"]
    assert other["metrics"]["compile_s"] is None
    assert "only the generation mode compiled" in other["unmeasured"]["compile_s"]


def test_the_work_of_a_mode_is_counted(stored: dict[str, dict[str, Any]]) -> None:
    """A compiled step calls fewer operators, and each quantized one as often.

    What the compiler writes into a trace isn't among them.
    """
    decode = {
        info["workload"].get("generation", "dynamic"): info["counters"]["decode"]
        for info in stored.values()
    }
    linears = [each["int8_operators"]["bitsandbytes::int8_scaled_mm"] for each in decode.values()]
    assert set(linears) == {4 * 7}
    assert decode["compiled"]["operators_total"] < decode["static"]["operators_total"]
    assert decode["compiled"]["python_calls"] < decode["static"]["python_calls"]
    assert all("::" in name or name.isidentifier() for name in decode["compiled"]["operators"])


def test_the_end_says_what_ran_in_each_mode(outcome: Outcome) -> None:
    """In the line of evidence, and compilation in a column."""
    out = " ".join(outcome.out.split())
    assert "checked (int8-compiled-b1): 7 Linear8bitLt of 7; StaticCache of" in out
    assert "1 graph, no graph break; logits off by" in out
    header = next(each for each in outcome.out.splitlines() if each.startswith("benchmark  "))
    assert "compile" in header


@pytest.mark.lie("compilation within a timed round")
def test_a_recompilation_in_a_timed_round_is_an_error(
    small: Target, loaded: Engine, compiled: Workload
) -> None:
    """Lie: what was compiled in the warm-up is lost, and the round pays for it.

    Another mode finds nothing of it, and leaves the model as it was.
    """
    loaded.generate(compiled)
    warm = loaded.generate(compiled)
    assert round_of(warm, 1.0).round_s == 1.0
    loaded.prepare(small.workload(1, 8))  # another mode comes in between
    late = loaded.generate(compiled)
    with pytest.raises(WorkError, match=r"compiled anew \(1 graphs, .*--warmup-rounds 3"):
        round_of(late, 1.0)
    assert round_of(late, 1.0, cold=True).round_s == 1.0  # a cold one has it by design
    loaded.prepare(small.workload(1, 8))
    assert not loaded.decode_step.is_live
    assert "forward" not in vars(loaded.model)
    assert loaded.generate(small.workload(1, 8)).compiled is None
