"""Quantizing where a weight is gives what transformers' own way gives."""

import gc
import weakref

import pytest
import torch
from bitsandbytes.nn.modules import Int8Params
from transformers.integrations import bitsandbytes as integration

from benchmarks.common.errors import InputError, OutOfMemoryError
from benchmarks.model import loading, quantizing


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_codes_and_scales_are_those_of_bitsandbytes(dtype):
    """Bit by bit, and nothing that the parameter carries is lost."""
    weight = torch.randn(24, 40, generator=torch.Generator().manual_seed(1)).to(dtype)
    theirs = Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False).to("cpu")
    empty = Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    ours = quantizing.quantized(weight, empty)
    assert type(ours) is type(theirs)
    assert ours.data.dtype is torch.int8
    assert torch.equal(ours.data, theirs.data)
    assert torch.equal(ours.CB, theirs.CB)
    assert torch.equal(ours.SCB, theirs.SCB)
    assert vars(ours).keys() == vars(theirs).keys()
    assert not ours.requires_grad


def test_a_load_takes_this_way_and_leaves_transformers_as_it_was(target, monkeypatch):
    """Weights count as being on a device here; the model is the one that transformers makes."""
    with loading.load(target, "int8-decomp", cold=False) as engine:
        theirs = {name: each.clone() for name, each in engine.model.state_dict().items()}
        assert engine.quantized_on_device == 0  # the CPU is where they are loaded to
    original = integration.Bnb8bitQuantize.convert
    taken = []

    def converted(value, name, model):
        taken.append(name)
        return quantizing.quantized(value[0], model.get_parameter_or_buffer(name))

    monkeypatch.setattr(quantizing, "_converted", converted)
    with loading.load(target, "int8-decomp", cold=False) as engine:
        ours = engine.model.state_dict()
        assert len(taken) == engine.quantized_on_device == 28
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert integration.Bnb8bitQuantize.convert is original


@pytest.mark.parametrize(
    ("quantization", "step"), [("int8", "Bnb8bitQuantize"), ("nf4", "Bnb4bitQuantize")]
)
@pytest.mark.parametrize(
    ("error", "raised", "says"),
    [
        (
            torch.OutOfMemoryError("Tried to allocate 112 MiB. CUDA out of memory"),
            OutOfMemoryError,
            "needed 112 MiB more",
        ),
        (RuntimeError("no such kernel"), InputError, "no such kernel"),
    ],
    ids=["memory", "another"],
)
def test_what_quantizing_fails_of_is_said(
    target, monkeypatch, quantization, step, error, raised, says
):
    """transformers keeps it to itself, goes on, and says only that something went wrong."""
    models = []

    def fail(*_, model, **__):
        models.append(weakref.ref(model))
        raise type(error)(*error.args)

    monkeypatch.setattr(getattr(integration, step), "convert", fail)
    with pytest.raises(raised, match=says) as caught:
        loading.load(target, quantization, cold=False)
    assert caught.value.__context__ is None
    gc.collect()
    assert {each() for each in models} == {None}  # what was loaded so far is given back


@pytest.mark.parametrize("options", [{"has_fp16_weights": True}, {"has_fp16_weights": False}])
def test_what_is_not_ours_is_left_to_transformers(monkeypatch, options):
    """Weights that stay in fp16, and a bitsandbytes that quantizes by another name."""
    if not options["has_fp16_weights"]:
        monkeypatch.delattr(Int8Params, "_quantize")
    weight = torch.zeros(4, 4)
    assert quantizing.quantized(weight, Int8Params(weight, requires_grad=False, **options)) is None


def test_a_transformers_without_that_step_loads_by_itself(monkeypatch):
    """A later release may quantize in another place."""
    monkeypatch.delattr(integration, "Bnb8bitQuantize")
    with quantizing.on_device():
        assert not hasattr(integration, "Bnb8bitQuantize")
