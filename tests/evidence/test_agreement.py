"""The output check: a model that is fast and wrong is refused; the reference is computed once."""

import dataclasses
import math
import os
import shutil
from unittest import mock

import pytest
import torch

from benchmarks.common.errors import OutputError
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.evidence import agreement, output, references
from benchmarks.model import checkpoint, loading, quantizing
from benchmarks.model.target import Target


@pytest.fixture(scope="module")
def reference(target):
    """Return the file with the reference's logits."""
    return references.ensure_reference(target)


def check(engine, target, reference):
    """Check a loaded model's output, as a session does once the model is freed."""
    logits = output.logits(engine, target)
    return agreement.check(engine.quantization, logits, target, reference)


@pytest.mark.parametrize("quantization", list(QUANTIZATIONS))
def test_every_quantization_agrees_within_its_bounds(target, reference, quantization, figure):
    """Correct models pass; the figures are shown, and stored."""
    with loading.load(target, quantization, cold=False) as engine:
        weights = agreement.check_weights(engine, target)
        facts, how = check(engine, target, reference)
    shown = ", ".join(f"{name} {facts[name]:.3g}" for name in agreement.FIGURES)
    figure(f"{quantization} against bf16: {shown}; weights {weights['relative_error']:.2g}")
    assert (weights["compared"], weights["rows"]) == (29, 256)
    assert (how["with"], how["positions"]) == ("bf16", 512)
    if quantization == "bf16":  # the checkpoint's own dtype
        assert facts["logits_relative_error"] == weights["relative_error"] == 0
    share = facts["top1_agreement"]
    assert how["top1_standard_error"] == pytest.approx(math.sqrt(share * (1 - share) / 512))


def test_the_figures_follow_their_definitions():
    """Hand-made logits: two positions, one with another top token."""
    expected = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    figures = output.compare(logits, expected)
    assert figures["logits_relative_error"] == pytest.approx(math.sqrt(2))
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    second = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert figures["logits_kl_nats"] == pytest.approx((first + second) / 2)
    assert figures["top1_agreement"] == 1
    assert output.compare(-logits, expected)["top1_agreement"] == 0.5
    with pytest.raises(ValueError, match="shapes differ"):
        output.compare(logits[:1], expected)


@pytest.mark.lie("a NaN weight")
def test_a_nan_weight_is_refused(engine, target, reference):
    """Lie: a broken weight, which costs no time at all."""
    weight = engine.model.model.layers[1].post_attention_layernorm.weight.data
    value = weight[7].item()
    weight[7] = math.nan
    try:
        with pytest.raises(OutputError, match=r"1,048,576 of 1,048,576 logits are NaN or infinite"):
            check(engine, target, reference)
    finally:
        weight[7] = value


@pytest.mark.lie("a swapped layer that is faster and wrong")
def test_a_layer_that_is_faster_and_wrong_is_refused(engine, target, reference):
    """Lie: one linear of 28 returns zeros without a product."""
    linear = engine.model.model.layers[1].mlp.down_proj
    linear.forward = lambda x: torch.zeros(*x.shape[:-1], 512, dtype=x.dtype)
    try:
        with pytest.raises(OutputError, match=r"logits_relative_error: .* most 0\.04") as caught:
            check(engine, target, reference)
    finally:
        del linear.forward
    assert "logits_kl_nats: expected at most 0.001, got 0.0" in str(caught.value)
    assert "\n" not in str(caught.value)


def _scaled(linear):
    if hasattr(linear.weight, "quant_state"):
        linear.weight.quant_state.absmax.mul_(1.5)
    else:
        linear.weight.SCB.mul_(1.5)


def _zeroed(linear):
    linear.weight.data.zero_()


@pytest.mark.lie("weights of another layer")
@pytest.mark.lie("a wrong scale")
@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_damaged_weights_are_refused_whichever_layer_has_them(target, quantization):
    """Zeroed, with a wrong scale, or of another layer: in 4 bits no output shows one of them."""
    with loading.load(target, quantization, cold=False) as engine:
        agreement.check_weights(engine, target)
        layers = engine.model.model.layers
        layers[1].mlp.up_proj, layers[2].mlp.up_proj = layers[2].mlp.up_proj, layers[1].mlp.up_proj
        with pytest.raises(
            OutputError, match=r"got model\.layers\.[12]\.mlp\.up_proj off by 1\."
        ) as caught:
            agreement.check_weights(engine, target)
        assert "\n" not in str(caught.value)
        layers[1].mlp.up_proj, layers[2].mlp.up_proj = layers[2].mlp.up_proj, layers[1].mlp.up_proj
        for damage, linear in ((_scaled, "self_attn.k_proj"), (_zeroed, "mlp.gate_proj")):
            damage(layers[3].get_submodule(linear))
            with pytest.raises(OutputError, match=rf"got model\.layers\.3\.{linear} off by"):
                agreement.check_weights(engine, target)


@pytest.mark.lie("a NaN scale")
def test_a_scale_that_is_no_number_is_named_whatever_follows(target):
    """NaN is greater than nothing: a sound layer after it must not take its place."""
    with loading.load(target, "int8", cold=False) as engine:
        engine.model.model.layers[1].mlp.up_proj.weight.SCB[7] = math.nan
        with pytest.raises(OutputError, match=r"got model\.layers\.1\.mlp\.up_proj off by inf"):
            agreement.check_weights(engine, target)


@pytest.mark.lie("damage beyond the first rows of a weight, or in a norm")
def test_damage_is_found_wherever_it_is(target):
    """In the last rows of a linear, and in what no quantization touches."""
    with loading.load(target, "int8", cold=False) as engine:
        layer = engine.model.model.layers[1]
        rows = layer.mlp.up_proj.weight.data[-40:]
        kept = rows.clone()
        rows.zero_()
        with pytest.raises(OutputError, match=r"got model\.layers\.1\.mlp\.up_proj off by 1 "):
            agreement.check_weights(engine, target)
        rows.copy_(kept)
        layer.input_layernorm.weight.data.mul_(1.02)
        wanted = r"within 0\.01 of .* got model\.layers\.1\.input_layernorm\.weight off by 0\.02"
        with pytest.raises(OutputError, match=wanted):
            agreement.check_weights(engine, target)


@pytest.mark.parametrize("quantization", ["int8", "nf4", "nf4-dq", "fp16"])
def test_rows_in_the_middle_of_a_weight_are_those_of_the_whole(target, quantization):
    """Codes and scales of any rows are found, in 4 bits in the middle of blocks as well."""
    with loading.load(target, quantization, cold=False) as engine:
        linear = engine.model.model.layers[0].mlp.up_proj
        whole = quantizing.dequantized(linear, slice(None))
        assert whole.shape == (linear.out_features, linear.in_features)
        for rows in (*agreement.bands(linear.out_features), slice(2, 9)):
            assert torch.equal(quantizing.dequantized(linear, rows), whole[rows])


def test_bands_are_spread_over_a_matrix():
    """A small one is compared whole; of a large one its start, its end, and two between."""
    assert agreement.bands(256) == [slice(0, 256)]
    assert agreement.bands(4096) == [
        *(slice(0, 64), slice(1344, 1408), slice(2688, 2752), slice(4032, 4096))
    ]


def test_a_checkpoint_is_compared_with_its_own_half(target):
    """One in float16 with fp16, one in bfloat16 with bf16, any other with fp16."""
    for dtype, name in (("float16", "fp16"), ("bfloat16", "bf16"), ("float32", "fp16")):
        config = {"dtype": dtype}
        other = dataclasses.replace(target.checkpoint, config=config)
        assert references.reference_name(dataclasses.replace(target, checkpoint=other)) == name


def test_bf16_under_an_int8_name_is_refused(target, reference, monkeypatch):
    """Lie: agreement to the last bit is too good to be quantized."""
    monkeypatch.setattr(loading, "quantization_config", lambda *_: None)
    settings = dataclasses.replace(target.settings, dtype="bfloat16")
    target = dataclasses.replace(target, settings=settings)
    with (
        loading.load(target, "int8-decomp", cold=False) as engine,
        pytest.raises(OutputError, match="to the last bit, so nothing was quantized"),
    ):
        check(engine, target, reference)


def test_the_reference_is_computed_once(target, reference, monkeypatch):
    """A second session reads the file and loads nothing, so that its process stays cold."""
    monkeypatch.setattr(loading, "load", None)
    before = sorted(reference.parent.iterdir())
    assert references.ensure_reference(target) == reference
    assert sorted(reference.parent.iterdir()) == before


def test_a_damaged_reference_is_computed_again(target, reference):
    """No number comes from a broken file, even where its header is whole."""
    whole, key = reference.read_bytes(), reference.stem
    logits = references.read_reference(reference, key)
    flipped = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    for damaged in (whole[:-5], flipped, b""):
        reference.write_bytes(damaged)
        with pytest.raises(OutputError, match="missing or damaged; run again"):
            agreement.check("int8-decomp", logits, target, reference)
        refuse = mock.patch.object(loading, "load", side_effect=RuntimeError("loads it"))
        with refuse, pytest.raises(RuntimeError, match="loads it"):
            references.ensure_reference(target)
    assert references.ensure_reference(target) == reference
    assert torch.equal(references.read_reference(reference, key), logits)


def test_other_weights_have_another_reference(target, reference, tmp_path):
    """Fine-tuned weights share names and sizes with their base; they are told apart."""
    folder = tmp_path / "tuned"
    shutil.copytree(target.checkpoint.path, folder)
    tuned = Target(target.settings, target.device, checkpoint.read("t", folder), target.tokenizer)
    key = references.reference_key(tuned)
    assert key != reference.stem
    file = next(folder.glob("*.safetensors"))
    os.utime(file, ns=(1, 1))
    assert references.reference_key(tuned) != key
    settings = dataclasses.replace(target.settings, attn_implementation="eager")
    assert (
        references.reference_key(dataclasses.replace(target, settings=settings)) != reference.stem
    )


def test_broken_weights_are_refused_before_they_are_stored(target, reference, monkeypatch):
    """A reference that isn't finite can't judge anything."""
    before = sorted(reference.parent.iterdir())
    monkeypatch.setattr(references, "FORMAT", "broken")
    load = loading.load

    def broken(*args, **kwargs):
        engine = load(*args, **kwargs)
        engine.model.model.norm.weight.data[0] = math.inf
        return engine

    monkeypatch.setattr(loading, "load", broken)
    with pytest.raises(OutputError, match=r"in bf16, isn't finite: .* logits are NaN or"):
        references.ensure_reference(target)
    assert sorted(reference.parent.iterdir()) == before


def test_tokens_have_a_stable_hash():
    """The hash is that of the ids, whatever their type; another token changes it."""
    tokens = torch.tensor([[1, 2], [3, 4]])
    assert agreement.tokens_sha256(tokens) == agreement.tokens_sha256(tokens.int())
    assert agreement.tokens_sha256(tokens) != agreement.tokens_sha256(tokens + 1)
