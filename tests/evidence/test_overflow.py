"""Models with values beyond float16: compared with their own dtype, or not at all."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.architectures import ARCHITECTURES, change
from tests.running import LEAST

BEYOND = 1e6  # times usual weights: each fits into float16, and their products don't


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a tiny Llama in bfloat16, one of whose products is beyond float16."""
    folder = ARCHITECTURES[0].write(tmp_path_factory.mktemp("large"), torch.bfloat16)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] *= BEYOND
    tensors["model.layers.0.mlp.down_proj.weight"] *= BEYOND**-0.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def measured(session, folder):
    """Return a function that measures it as one quantization."""

    def run(*options):
        return session(*LEAST, f"--model={folder}", "--benchmark-save=x", *options, model=None)

    return run


@pytest.mark.parametrize(
    "options", [["--quantization=bf16"], ["--quantization=nf4", "--dtype=bfloat16"]], ids=str
)
def test_it_is_compared_with_bf16(measured, options):
    """float16 holds no value of it: what it is compared with is its own dtype, and says so."""
    outcome = measured(*options)
    assert outcome.status == 0, outcome.out
    (benchmark,) = outcome.saved["benchmarks"]
    info = benchmark["extra_info"]
    assert info["attestation"]["agreement"]["with"] == "bf16"
    assert info["metrics"]["logits_relative_error"] < 0.5
    assert "top-1 agreement with bf16" in " ".join(outcome.out.split())


def test_what_is_itself_not_finite_is_refused(measured):
    """INT8 kernels compute in float16, and so nothing of it; the line says what does."""
    outcome = measured("--quantization=int8")
    assert outcome.status == 1
    assert "off by inf (relative error)" in outcome.out
    assert "in which INT8 kernels compute: --quantization bf16 holds them" in outcome.out


def test_weights_beyond_float16_are_said_to_be_so(measured):
    """A weight that float16 can't hold is no damaged file."""
    outcome = measured("--quantization=fp16")
    assert outcome.status == 1
    assert "off by inf (relative error)" in outcome.out
    assert "or values beyond float16: --quantization bf16 holds them" in outcome.out


def test_a_reference_that_is_not_finite_leaves_null_and_its_reason(measured, folder):
    """A checkpoint in 32 bits is compared with fp16; where that isn't finite, with nothing."""
    change(folder, dtype="float32")
    try:
        outcome = measured("--quantization=bf16")
    finally:
        change(folder, dtype="bfloat16")
    assert outcome.status == 0, outcome.out
    (benchmark,) = outcome.saved["benchmarks"]
    info = benchmark["extra_info"]
    assert info["metrics"]["logits_relative_error"] is None
    assert info["attestation"]["agreement"] is None
    reason = info["unmeasured"]["top1_agreement"]
    assert reason.startswith(f"the reference, {folder} in fp16, isn't finite: ")
    assert reason.endswith("; give a copy of it in bfloat16, whose reference is bf16")
