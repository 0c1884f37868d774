"""Attestation: a model or a path that isn't what was asked for is refused, and named."""

import dataclasses
import shutil
import warnings

import pytest
import torch
from bitsandbytes.nn import Linear8bitLt

from benchmarks.common.errors import AttestationError
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.evidence import attestation, counters
from benchmarks.model import checkpoint, loading, synthetic, synthetic_weights
from benchmarks.model.target import Target
from benchmarks.model.tensors import index_sha256


@pytest.fixture(scope="module")
def workload(engine, target):
    """Return few rows, ready to be generated from."""
    workload = target.workload(2, 4)
    engine.prepare(workload)
    return workload


@pytest.fixture(scope="module")
def counted(engine, workload):
    """Return the counters of the honest model."""
    return counters.count(engine, workload).record


@pytest.fixture
def up_proj(engine):
    """Return the name of a linear that a test swaps, and put the real one back afterwards."""
    name = "model.layers.1.mlp.up_proj"
    real = engine.model.get_submodule(name)
    yield name
    engine.model.set_submodule(name, real)


def test_an_honest_model_is_described(engine, target):
    """All 28 linears, their threshold and types, what is beside them, and what all is made from."""
    facts = attestation.attest_model(target, engine)
    assert facts["linears"] == {"Linear8bitLt": 28}
    assert (facts["linears_expected"], facts["linears_kept"]) == (28, ["lm_head"])
    shapes = (shape for name, shape in target.checkpoint.shapes.items() if "proj" not in name)
    buffers = sum(each.nbytes for each in set(engine.model.buffers()))
    kept = 2 * sum(torch.Size(shape).numel() for shape in shapes) + buffers
    assert facts["weights_kept_bytes"] == kept
    assert (facts["threshold"], facts["weight_dtype"], facts["dtype"]) == (6.0, "int8", "float16")
    assert (facts["devices"], facts["attn_implementation"]) == ("cpu", "sdpa")
    assert facts["checkpoint"]["weights"] == "synthetic"
    software = facts["software"]
    assert len(software["commits"]["torch"]) == 40
    assert len(software["bitsandbytes_library_sha256"]) == 64


@pytest.mark.parametrize("quantization", [n for n in QUANTIZATIONS if n != "int8-decomp"])
def test_every_quantization_can_be_honest(target, workload, quantization):
    """What is asked for is what transformers and bitsandbytes load, under each name."""
    with loading.load(target, quantization, cold=False) as engine:
        attestation.attest_model(target, engine)
        engine.prepare(workload)
        counted = counters.count(engine, workload, range(2, 4)).record
        facts = attestation.attest_workload(engine, workload, counted)
    assert facts["outliers"] is None
    assert facts["note"] == f"{quantization} has no outlier path"


@pytest.mark.lie("fp16 weights under an INT8 name")
def test_fp16_weights_under_an_int8_name_are_refused(target, monkeypatch):
    """Lie: no quantization at all."""
    monkeypatch.setattr(loading, "quantization_config", lambda *_: None)
    with (
        loading.load(target, "int8-decomp", cold=False) as engine,
        pytest.raises(AttestationError) as caught,
    ):
        attestation.attest_model(target, engine)
    message = str(caught.value)
    assert "linears: expected {'Linear8bitLt': 28}, got {'Linear': 28}" in message
    assert "threshold: expected 6.0, got None" in message
    assert "weight_dtype: expected int8, got float16" in message
    assert "\n" not in message


@pytest.mark.lie("threshold 0 under the name of 6.0")
def test_threshold_0_under_the_name_of_6_is_refused(target, monkeypatch):
    """Lie: plain int8, which is faster, under the name of the mixed decomposition."""
    honest = loading.quantization_config
    monkeypatch.setattr(loading, "quantization_config", lambda _, dtype: honest("int8", dtype))
    with (
        loading.load(target, "int8-decomp", cold=False) as engine,
        pytest.raises(AttestationError, match=r"ran: threshold: expected 6\.0, got 0\.0; no"),
    ):
        attestation.attest_model(target, engine)


def test_a_single_other_threshold_is_refused(engine, target, up_proj):
    """Every linear is looked at, not the first one."""
    state = engine.model.get_submodule(up_proj).state
    state.threshold = 0.0
    try:
        with pytest.raises(AttestationError, match=r"threshold: expected 6\.0, got 0\.0, 6\.0"):
            attestation.attest_model(target, engine)
    finally:
        state.threshold = 6.0


def test_a_swapped_layer_is_refused(engine, target, up_proj):
    """Lie: another class in the place of a quantized linear, a subclass included."""

    class Faster(Linear8bitLt):
        pass

    engine.model.set_submodule(up_proj, torch.nn.Linear(512, 1408, dtype=torch.float16))
    with pytest.raises(AttestationError, match=r"got \{'Linear8bitLt': 27, 'Linear': 1\}"):
        attestation.attest_model(target, engine)
    engine.model.set_submodule(up_proj, Faster(512, 1408))
    with pytest.raises(AttestationError, match=r"'Linear8bitLt': 27, '\S+\.Faster': 1"):
        attestation.attest_model(target, engine)


@pytest.mark.lie("weights offloaded to another device")
def test_offloaded_weights_are_refused(engine, target, up_proj):
    """A parameter that lies elsewhere than asked for is named by its device."""
    with torch.device("meta"):
        elsewhere = Linear8bitLt(512, 1408, has_fp16_weights=False, threshold=6.0)
    engine.model.set_submodule(up_proj, elsewhere)
    with pytest.raises(AttestationError, match="devices: expected cpu, got cpu, meta"):
        attestation.attest_model(target, engine)


def test_another_dtype_is_refused(engine, target):
    """A norm in float32 makes every activation after it another one."""
    norm = engine.model.model.layers[2].input_layernorm
    norm.float()
    try:
        with pytest.raises(AttestationError, match="dtype: expected float16, got float16, float32"):
            attestation.attest_model(target, engine)
    finally:
        norm.half()


def test_another_attention_is_refused(engine, target):
    """The implementation in effect is compared, not the option."""
    settings = dataclasses.replace(target.settings, attn_implementation="eager")
    asked = dataclasses.replace(target, settings=settings)
    with pytest.raises(AttestationError, match="attn_implementation: expected eager, got sdpa"):
        attestation.attest_model(asked, engine)


def test_the_outlier_path_is_measured(engine, workload, counted):
    """Share of linears and columns, for the prefill and for the decode steps."""
    facts = attestation.attest_workload(engine, workload, counted)
    assert counted["decode_steps"] == [2, 6]
    assert facts["note"] is None
    assert set(facts["outliers"]) == {"prefill", "decode"}
    for phase in facts["outliers"].values():
        assert phase["share_of_linears"] == 1
        assert 0 < phase["columns_min"] <= phase["columns_median"] <= phase["columns_max"] < 20
    assert facts["quantized_operators"]["bitsandbytes::int8_mixed_scaled_mm"] == 28 * 4
    assert facts["activation_dtypes"] == ["float16"]
    assert facts["int8_product"].startswith(("aten::_int_mm", "fp32, bitsandbytes' default"))
    assert not any(module._forward_hooks for module in engine.model.modules())


@pytest.mark.lie("an fp32 fallback warning")
def test_an_fp32_fallback_is_refused(engine, workload, counted, up_proj):
    """Lie: bitsandbytes multiplies in fp32, and says so in a warning that nobody reads."""

    def fall_back(*_):
        warnings.warn(
            "int8_linear_matmul has no usable (hip|cu)blasLt algo for shape "
            "shapeA=torch.Size([1408, 512]) shapeB=torch.Size([8, 512]); "
            "falling back to fp32 matmul.",
            RuntimeWarning,
            stacklevel=2,
        )

    hook = engine.model.get_submodule(up_proj).register_forward_hook(fall_back)
    try:
        with pytest.raises(AttestationError, match=r"fell back: int8_linear_matmul .* fp32 matmul"):
            attestation.attest_workload(engine, workload, counted)
    finally:
        hook.remove()
    assert not any(module._forward_hooks for module in engine.model.modules())


def test_a_linear_that_skips_the_operator_is_refused(engine, workload, up_proj):
    """Lie: the class is right, and its forward does something else."""
    linear = engine.model.get_submodule(up_proj)
    linear.forward = lambda x: torch.zeros(*x.shape[:-1], 1408, dtype=x.dtype)
    try:
        fewer = counters.count(engine, workload, range(2, 4)).record
        with pytest.raises(AttestationError, match=r"int8_mixed_scaled_mm: expected 56, got 54"):
            attestation.attest_workload(engine, workload, fewer)
    finally:
        del linear.forward


def test_activations_of_another_dtype_are_refused(engine, workload, counted, up_proj):
    """LLM.int8() casts what isn't float16, in every linear and at every step."""
    linear = engine.model.get_submodule(up_proj)
    hook = linear.register_forward_pre_hook(lambda _, inputs: (inputs[0].bfloat16(),))
    back = linear.register_forward_hook(lambda *given: given[2].half())
    try:
        with pytest.raises(AttestationError, match="activations: expected float16, got bfloat16"):
            attestation.attest_workload(engine, workload, counted)
    finally:
        hook.remove()
        back.remove()


@pytest.mark.lie("a checkpoint without outliers under threshold 6.0")
def test_a_checkpoint_without_outliers_is_marked(target, tmp_path):
    """Threshold 6.0 that nothing reaches is a fact to know, not an error."""
    synthetic.write(synthetic_weights.Recipe("tiny", outlier_channels=0), tmp_path, print)
    plain = checkpoint.read("plain", tmp_path)
    other = Target(target.settings, target.device, plain, target.tokenizer)
    workload = other.workload(2, 4)
    with loading.load(other, "int8-decomp", cold=False) as engine:
        assert attestation.attest_model(other, engine)["checkpoint"]["outlier_channels"] == 0
        engine.prepare(workload)
        counted = counters.count(engine, workload, range(2, 4)).record
        facts = attestation.attest_workload(engine, workload, counted)
    assert facts["outliers"] is None
    assert "no activation reached the threshold of 6.0" in facts["note"]


def test_the_index_is_hashed_or_the_headers(tiny_checkpoint, tmp_path):
    """Without an index the headers stand for it, and other names give another hash."""
    indexed = index_sha256(tiny_checkpoint.path)
    for file in tiny_checkpoint.path.glob("*.safetensors"):
        shutil.copy(file, tmp_path)
    headers = index_sha256(tmp_path)
    assert len(headers) == len(indexed) == 64
    next(tmp_path.glob("*-00001-*")).rename(tmp_path / "model-renamed.safetensors")
    assert len({indexed, headers, index_sha256(tmp_path)}) == 3


def test_each_quantization_names_what_proves_it():
    """Quantized weights without an operator to count would pass, whatever ran."""
    quantized = {name: each for name, each in QUANTIZATIONS.items() if each.weights}
    assert quantized
    assert all(each.operator or each.is_4bit for each in quantized.values())
