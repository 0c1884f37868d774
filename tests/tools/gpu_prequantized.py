"""Checkpoints that are quantized already, written by `save_pretrained` and measured as a user's.

python -m tests.tools.gpu_prequantized FOLDER --quantization nf4: write one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.model import loading
from benchmarks.model.target import find_target
from tests.duets import given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def saved(folder: Path, options: Sequence[str]) -> Iterator[int]:
    """Write a quantized model there, yield the bytes of its weights, and remove it in the end.

    In a process that has ended then, so that nobody else is on the GPU. Raises InputError if it
    fails.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was cut short
    folder.mkdir(parents=True)
    try:
        command = [sys.executable, "-m", "tests.tools.gpu_prequantized", str(folder), *options]
        if status := subprocess.run(command, check=False).returncode:
            raise InputError(f"{folder.name}: expected a checkpoint, got status {status}")
        yield sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    finally:
        shutil.rmtree(folder)


def main(folder: str, *options: str) -> None:
    """Quantize the model of these options, and write it."""
    target = find_target(measuring.conditions(given(*options)).settings, print)
    with loading.load(target, target.settings.quantizations[0], cold=False) as engine:
        engine.model.save_pretrained(folder)
    for file in target.checkpoint.path.glob("tokenizer*"):
        shutil.copy(file, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
