"""Checkpoints that are quantized already, written by `save_pretrained` and measured as a user's."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.model import loading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.model.target import Target


@contextmanager
def saved(target: Target, quantization: str, folder: Path) -> Iterator[int]:
    """Write the quantized model there, yield the bytes of its weights, and remove it in the end."""
    folder.mkdir(parents=True)
    try:
        with loading.load(target, quantization, cold=False) as engine:
            engine.model.save_pretrained(folder)
        for file in target.checkpoint.path.glob("tokenizer*"):
            shutil.copy(file, folder)
        yield sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    finally:
        shutil.rmtree(folder)
