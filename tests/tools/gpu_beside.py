"""Whether calls and device time of a decode step depend on who else generates meanwhile.

python -m tests.tools.gpu_beside --quantization int8: be that other one.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from benchmarks.evidence import device_time, work
from benchmarks.model import loading
from benchmarks.model.target import find_target
from tests.duets import given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

READY = "ready"
TOKENS = 8  # of one generation: it is over soon after it was told to stop


def measure(target: Target, quantizations: Sequence[str], options: Sequence[str]) -> list[Any]:
    """Return the work of each quantization alone, and while others generate the same.

    One other process has the same GPU; with several GPUs, one on each of the others as well.
    `options` are the others': their model and device.
    """
    found = []
    batch_size, new_tokens = target.settings.batch_sizes[0], target.settings.new_tokens
    for quantization in quantizations:
        arguments = [*options, f"--quantization={quantization}", f"--batch-size={batch_size}"]
        with ExitStack() as stack:
            started = {
                name: [stack.enter_context(_other(arguments, gpu)) for gpu in gpus]
                for name, gpus in _places(target).items()
            }
            engine = stack.enter_context(loading.load(target, quantization, cold=False))
            workload = target.workload(batch_size, new_tokens)
            _wait_for(each for others in started.values() for each in others)
            for name, others in {"nobody": [], **started}.items():
                with _generating(others):
                    one = _work(target, engine, workload)
                found.append({"quantization": quantization, "beside": name, **one})
                print(found[-1], flush=True)
    return found


def _places(target: Target) -> dict[str, list[str | None]]:
    """Return where others generate: names for a person, and the GPUs of each process."""
    import torch

    here = {"one on the same device": [_visible(target.device.index)]}
    if target.device.type != "cuda" or torch.cuda.device_count() == 1:
        return here
    numbers = [n for n in range(torch.cuda.device_count()) if n != target.device.index]
    return here | {"one on each other GPU": [_visible(number) for number in numbers]}


def _visible(number: int | None) -> str | None:
    """Return the name of a GPU of this process for another one's CUDA_VISIBLE_DEVICES."""
    if number is None:
        return None
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    return names.split(",")[number] if names else str(number)


@contextmanager
def _other(arguments: Sequence[str], gpu: str | None) -> Iterator[subprocess.Popen[str]]:
    """Start a process that loads a model, and waits to be told to generate; end it in the end."""
    other = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.gpu_beside", *arguments],
        env=os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield other
    finally:
        other.kill()
        other.wait()
        assert other.stdin
        assert other.stdout
        other.stdin.close()
        other.stdout.close()


def _wait_for(others: Iterator[subprocess.Popen[str]]) -> None:
    """Wait until all have loaded. Raises InputError if one ends first."""
    for each in others:
        assert each.stdout
        if READY not in map(str.strip, iter(each.stdout.readline, "")):
            raise InputError(f"expected another process that generates; it ended ({each.wait()})")


@contextmanager
def _generating(others: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Let these generate inside, beginning with the first token of each."""
    for each in others:
        _tell(each, "go")
    _wait_for(iter(others))
    yield
    for each in others:
        if each.poll() is not None:
            raise InputError(f"expected another process that generates; it ended ({each.wait()})")
        _tell(each, "stop")
    _wait_for(iter(others))


def _tell(other: subprocess.Popen[str], word: str) -> None:
    assert other.stdin
    other.stdin.write(f"{word}\n")
    other.stdin.flush()


def _work(target: Target, engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return the calls of a decode step, and the device time of both phases in s."""
    done = work.measure(engine, workload, None, target.settings)
    counted: Mapping[str, Any] = done.counters["decode"]
    steps = len(range(*done.counters["decode_steps"]))
    of_all = {
        "python_calls": counted["python_calls"],
        "kernel_launches": counted.get("kernel_launches"),  # these are of a GPU
        "stream_synchronizations": counted.get("synchronizations", {}).get("stream"),
    }
    found: dict[str, Any] = {name: n if n is None else n / steps for name, n in of_all.items()}
    for phase in ("prefill", "decode"):
        spent = done.device_time
        found[f"{phase}_device_s"] = device_time.middle_s(spent[phase]) if spent else None
        found[f"{phase}_repeats_s"] = spent[phase]["repeats_s"] if spent else None
    return found | {"why": done.no_device_time and done.no_device_time.reason}


def main(arguments: Sequence[str]) -> None:
    """Load a model; then generate after each line on standard input, until the next one."""
    target = find_target(measuring.conditions(given(*arguments)).settings, lambda _: None)
    settings = target.settings
    with loading.load(target, settings.quantizations[0], cold=False) as engine:
        workload = target.workload(settings.batch_sizes[0], TOKENS)
        engine.prepare(workload)
        engine.run(workload, TOKENS)
        print(READY, flush=True)
        while sys.stdin.readline():
            engine.run(workload, TOKENS)
            print(READY, flush=True)
            while not select.select([sys.stdin], [], [], 0)[0]:
                engine.run(workload, TOKENS)
            sys.stdin.readline()
            print(READY, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
