"""Another process that generates on a GPU: what is measured beside it shows what it costs.

python -m tests.tools.neighbour --model synthetic:llama-3.1-8b --quantization int8
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks import __main__ as door
from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.machine import clock
from benchmarks.model import loading
from benchmarks.model.target import find_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY = "ready"
LOAD_S = 300.0  # in which the other process must be ready
END_S = 60.0  # in which it ends once its input is closed


def main(arguments: Sequence[str] | None = None) -> None:
    """Say that this process is ready, and generate until its input is closed."""
    parser = door.Parser()
    measuring.add_arguments(parser)
    settings = measuring.conditions(parser.parse_args(arguments)).settings
    target = find_target(settings, lambda _: None)
    with loading.load(target, settings.quantizations[0], cold=False) as engine:
        workload = target.workload(settings.batch_sizes[0], 16)
        engine.prepare(workload)
        engine.generate(workload)
        print(READY, flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            engine.generate(workload)


@contextmanager
def beside(given: Sequence[str], gpu: str | None = None) -> Iterator[None]:
    """Be beside another process that has the same model, and generates: on a GPU of this name.

    Raises InputError if it isn't ready in time.
    """
    other = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.neighbour", *given],
        env=os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdin
    assert other.stdout
    try:
        if not clock.wait(other.stdout.fileno(), LOAD_S) or READY not in _said(other.stdout):
            raise InputError("expected a second process on the GPU; it isn't ready")
        yield
    finally:
        other.stdin.close()
        try:
            other.wait(END_S)
        except subprocess.TimeoutExpired:
            other.kill()
            other.wait()


def _said(stream: Any) -> str:
    return os.read(stream.fileno(), 1000).decode()


if __name__ == "__main__":
    main()
