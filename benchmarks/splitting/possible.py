"""What can be split over processes, and over how many: said before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.config.generation import DEFAULT
from benchmarks.config.options import TENSOR
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.splitting.shards import split_by

if TYPE_CHECKING:
    import torch

    from benchmarks.config.settings import Settings

ON_CPU = 2  # ranks, so that anybody can try it
DIVIDED = ("num_attention_heads", "num_key_value_heads", "intermediate_size")


def check_options(settings: Settings) -> None:
    """Raise InputError for what no model can be asked for if ranks hold it together."""
    quantized = [name for name in settings.quantizations if QUANTIZATIONS[name].weights]
    if quantized:
        halves = [name for name, each in QUANTIZATIONS.items() if not each.weights]
        raise InputError(
            f"--device-map {TENSOR}: expected --quantization {' or '.join(halves)}, whose weights "
            f"can be split over devices; got {', '.join(quantized)}; write --device-map auto, "
            "which places whole layers"
        )
    others = [mode for mode in settings.generations if mode != DEFAULT]
    for option, given in (
        (f"--generation {','.join(others)}", others),
        ("--work-only", settings.work_only),
        ("--memory-snapshot", settings.memory_snapshot),
        ("--nvtx", settings.nvtx),
    ):
        if given:
            raise InputError(f"--device-map {TENSOR} and {option}: expected one of them, got both")


def ranks(where: torch.device) -> int:
    """Return how many processes share a model: one for each visible GPU, two on the CPU.

    Raises InputError if there is one GPU alone.
    """
    import torch

    if where.type != "cuda":
        return ON_CPU
    count = torch.cuda.device_count()
    if count < 2:
        raise InputError(
            f"--device-map {TENSOR}: expected at least 2 visible GPUs, got {count}; check "
            "CUDA_VISIBLE_DEVICES, or write --device-map single"
        )
    return count


def check_model(name: str, model: Any, count: int) -> None:
    """Raise InputError unless a model, given without weights, can be split into so many parts."""
    if not split_by(model):
        raise InputError(
            f"--device-map {TENSOR}: expected a model that transformers can split; it has no plan "
            f"for {name} ({type(model).__name__}); write --device-map auto"
        )
    config = model.config.get_text_config()
    for what in DIVIDED:
        size = getattr(config, what, None)
        if isinstance(size, int) and size % count:
            raise InputError(
                f"--device-map {TENSOR}: expected {what} of {name} to be a multiple of "
                f"{count}, the number of devices; got {size}; let CUDA_VISIBLE_DEVICES name fewer"
            )
