"""What each quantization is, once for all: its configuration, what must run, how far it may be off.

One more is one more entry, under the name that bitsandbytes uses in its own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Agreement:
    """How far the output may be from fp16 before it counts as wrong."""

    logits_relative_error: float
    logits_kl_nats: float
    top1_agreement: float


@dataclass(frozen=True)
class Quantization:
    """How linears are quantized, and what is then expected of the model."""

    bits: float  # of a weight, with its share of the scales
    # Two to three times what was measured on synthetic checkpoints of 4 and of 32 layers: errors
    # of 0.007 to 0.013 (bf16), 0.011 to 0.012 (int8-decomp), 0.029 to 0.031 (int8), 0.081 to 0.084
    # (nf4 with and without double quantization), and the same top token in 96, 98, 95 and 67 % at
    # worst. A missing o_proj or down_proj in one of the layers gave 0.06 to 0.24. Random weights
    # make nearly flat distributions, so the divergence is small whatever happens: it needs a bound
    # of its own. It is larger at 8B widths (2.7e-4 for int8-decomp on an H100), so the bounds on
    # it are four times it.
    synthetic: Agreement
    # Estimates, not measurements: wide enough for a correct model, narrow enough for a broken one
    # (several nats, and few equal tokens). Without decomposition, int8 raises the logarithm of the
    # perplexity by 0.06 at 6.7B and by 0.28 at 13B parameters, with it by less than 0.01 (Dettmers
    # et al., 2022, table 1); 4 bits raise it by some hundredths (Dettmers et al., 2023).
    real: Agreement
    options: Mapping[str, Any] = field(default_factory=dict)  # of BitsAndBytesConfig
    linear: str = "Linear"  # the class
    weights: str | None = None  # the dtype of quantized weights; None: they stay as they are loaded
    operator: str | None = None  # that each linear calls once: a kernel's replacement lies below it
    dtype: str | None = None  # of activations, if it brings its own

    @property
    def threshold(self) -> float | None:
        """That of LLM.int8(); None for other quantizations."""
        return self.options.get("llm_int8_threshold")

    @property
    def is_4bit(self) -> bool:
        """Whether its operators, and the format of its weights, are those of 4 bits."""
        return bool(self.options.get("load_in_4bit"))


def _int8(threshold: float, operator: str, synthetic: Agreement, real: Agreement) -> Quantization:
    options = {"load_in_8bit": True, "llm_int8_threshold": threshold}
    name = f"bitsandbytes::{operator}"
    return Quantization(8, synthetic, real, options, "Linear8bitLt", "int8", name)


def _nf4(bits: float, *, double: bool) -> Quantization:
    options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    return Quantization(
        bits,
        synthetic=Agreement(0.2, 2e-2, 0.5),
        real=Agreement(0.4, 0.5, 0.65),
        options={**options, "bnb_4bit_use_double_quant": double},
        linear="Linear4bit",
        weights="uint8",
    )


QUANTIZATIONS: Mapping[str, Quantization] = {
    # 6.0 is the threshold of Dettmers et al. (2022), and of the old script.
    "int8-decomp": _int8(
        6.0, "int8_mixed_scaled_mm", Agreement(0.03, 1e-3, 0.9), Agreement(0.2, 0.15, 0.85)
    ),
    "int8": _int8(0.0, "int8_scaled_mm", Agreement(0.08, 5e-3, 0.85), Agreement(0.5, 1.0, 0.5)),
    "nf4": _nf4(4.5, double=False),
    "nf4-dq": _nf4(4.127, double=True),
    "fp16": Quantization(
        16, Agreement(0.005, 5e-4, 0.98), Agreement(0.02, 0.01, 0.95), dtype="float16"
    ),
    "bf16": Quantization(
        16, Agreement(0.03, 1e-3, 0.9), Agreement(0.1, 0.1, 0.9), dtype="bfloat16"
    ),
}
