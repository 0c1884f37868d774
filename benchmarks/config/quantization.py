"""What each quantization is: its name, threshold, linear class and operator."""

from __future__ import annotations

QUANTIZATIONS = ("int8-decomp", "int8", "nf4", "nf4-dq", "fp16", "bf16")

# Of LLM.int8(), by quantization: 6.0 is that of Dettmers et al. (2022), and of the old script.
THRESHOLDS = {"int8-decomp": 6.0, "int8": 0.0}
LINEARS = {  # by quantization: class and dtype of the weights; all others stay as they are loaded
    "int8-decomp": ("Linear8bitLt", "int8"),
    "int8": ("Linear8bitLt", "int8"),
    "nf4": ("Linear4bit", "uint8"),
    "nf4-dq": ("Linear4bit", "uint8"),
}
OPERATORS = {  # that each quantized linear calls once: what a kernel replaces lies below these
    "int8-decomp": "bitsandbytes::int8_mixed_scaled_mm",
    "int8": "bitsandbytes::int8_scaled_mm",
}
