"""What each generation mode is, once for all: how `generate` runs, and how far it may be off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.config.quantization import Agreement

DEFAULT = "dynamic"


@dataclass(frozen=True)
class Mode:
    """The cache that a mode decodes with, and what is done to the decode step."""

    cache: str  # the class of transformers that must be seen
    is_static: bool = False  # room for all tokens from the start
    is_compiled: bool = False
    # How far the logits may be from those of the dynamic cache over the same tokens. None: as far
    # as the quantization may be from 16 bits, since other kernels only round otherwise. Of the
    # quantized cache docs/modes.md has the figures: bounds are 2.5 to 5 times the worst of them.
    synthetic: Agreement | None = None
    real: Agreement | None = None


MODES: Mapping[str, Mode] = {
    DEFAULT: Mode("DynamicCache"),
    "static": Mode("StaticCache", is_static=True),
    "compiled": Mode("StaticCache", is_static=True, is_compiled=True),
    "quantized": Mode("QuantizedCache", synthetic=Agreement(0.05, 2e-3), real=Agreement(0.35, 0.3)),
}
