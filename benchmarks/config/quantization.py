"""What each quantization is, once for all: its configuration, what must run, how far it may be off.

One more is one more entry, under the name that bitsandbytes uses in its own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Agreement:
    """How far the output may be from the reference's before it counts as wrong."""

    logits_relative_error: float
    logits_kl_nats: float


@dataclass(frozen=True)
class Quantization:
    """How linears are quantized, and what is then expected of the model."""

    bits: float  # of a weight, with its share of the scales
    # Of a linear's weights against the checkpoint's, in the worst of the rows that are read: at
    # least two times what was measured (docs/agreement.md). Each damage of the weights is found.
    weights_relative_error: float
    # On synthetic checkpoints random weights make nearly flat distributions, so the divergence is
    # small whatever happens, and error has to find what is wrong. It grows with the size of the
    # model (docs/agreement.md has the figures): bounds are 1.5 to 2 times those at 8B.
    synthetic: Agreement
    # On trained checkpoints a correct model is refused by none of 24 texts of 128 tokens or of 512
    # (docs/agreement.md has the figures, and what damages come to): bounds are 1.5 to 5 times the
    # worst of those of 512. In plain int8 larger models differ more: at 13B parameters the
    # logarithm of the perplexity rises by 0.28 (Dettmers et al., 2022, table 1).
    real: Agreement
    options: Mapping[str, Any] = field(default_factory=dict)  # of BitsAndBytesConfig
    linear: str = "Linear"  # the class
    weights: str | None = None  # the dtype of quantized weights; None: they stay as they are loaded
    operator: str | None = None  # that each linear calls once: a kernel's replacement lies below it
    dtype: str | None = None  # of activations, if it brings its own
    parts: tuple[str, ...] = ()  # what a file has of a linear beside its weight

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
    return Quantization(
        8, 0.2, synthetic, real, options, "Linear8bitLt", "int8", name, parts=("SCB",)
    )


def _nf4(bits: float, *, double: bool) -> Quantization:
    options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    parts = ["absmax", "quant_map", "quant_state.bitsandbytes__nf4"]
    parts += ["nested_absmax", "nested_quant_map"] * double
    return Quantization(
        bits,
        weights_relative_error=0.4,
        synthetic=Agreement(0.14, 2e-2),
        real=Agreement(1.0, 1.6),
        options={**options, "bnb_4bit_use_double_quant": double},
        linear="Linear4bit",
        weights="uint8",
        parts=tuple(f"weight.{each}" for each in parts),
    )


def _half(dtype: str) -> Quantization:
    return Quantization(16, 0.01, Agreement(0.03, 1e-3), Agreement(0.05, 0.01), dtype=dtype)


QUANTIZATIONS: Mapping[str, Quantization] = {
    # 6.0 is the threshold of Dettmers et al. (2022), and of the old script.
    "int8-decomp": _int8(6.0, "int8_mixed_scaled_mm", Agreement(0.04, 1e-3), Agreement(0.25, 0.1)),
    "int8": _int8(0.0, "int8_scaled_mm", Agreement(0.12, 2e-2), Agreement(0.25, 0.3)),
    "nf4": _nf4(4.5, double=False),
    "nf4-dq": _nf4(4.127, double=True),
    "fp16": _half("float16"),
    "bf16": _half("bfloat16"),
}
DEFAULT = "int8-decomp"


def name_of(config: Mapping[str, Any]) -> str | None:
    """Return the name of what a checkpoint's quantization_config describes; None if it has none.

    Its values are those of BitsAndBytesConfig, with that class's defaults.
    """
    defaults = {
        "load_in_8bit": False,
        "load_in_4bit": False,
        "llm_int8_threshold": 6.0,
        "bnb_4bit_quant_type": "fp4",
        "bnb_4bit_use_double_quant": False,
    }
    found = {**defaults, **config}
    return next(
        (
            name
            for name, known in QUANTIZATIONS.items()
            if known.options and all(found[key] == value for key, value in known.options.items())
        ),
        None,
    )
