"""Whether calls and device time of a decode step depend on who else generates meanwhile."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.evidence import device_time, work
from benchmarks.machine import clock
from benchmarks.model import loading
from tests.tools import neighbour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target


def measure(
    target: Target, quantizations: Sequence[str], options: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the work of each quantization alone, and while others generate the same.

    One other process has the same GPU; with several GPUs, one on each of the others as well.
    `options` are the others': their model and device.
    """
    found = []
    batch_size, new_tokens = target.settings.batch_sizes[0], target.settings.new_tokens
    for quantization in quantizations:
        given = [*options, f"--quantization={quantization}", f"--batch-size={batch_size}"]
        with loading.load(target, quantization, cold=False) as engine:
            workload = target.workload(batch_size, new_tokens)
            for name, gpus in _places(target).items():
                with ExitStack() as others:
                    for gpu in gpus:
                        others.enter_context(neighbour.beside(given, gpu))
                    one = _work(target, engine, workload)
                found.append({"quantization": quantization, "beside": name, **one})
                print(found[-1], flush=True)
    return found


def _places(target: Target) -> dict[str, list[str | None]]:
    """Return where others generate: names for a person, and the GPU of each process."""
    import torch

    places: dict[str, list[str | None]] = {
        "nobody": [],
        "one on the same device": [_visible(target.device.index)],
    }
    if target.device.type == "cuda" and torch.cuda.device_count() > 1:
        numbers = [n for n in range(torch.cuda.device_count()) if n != target.device.index]
        places["one on each other GPU"] = [_visible(number) for number in numbers]
    return places


def _visible(number: int | None) -> str | None:
    """Return the name of a GPU of this process for another one's CUDA_VISIBLE_DEVICES."""
    if number is None:
        return None
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    return names.split(",")[number] if names else str(number)


def _work(target: Target, engine: Engine, workload: Workload) -> dict[str, Any]:
    """Return calls, launches and waits of a decode step, and the device time of both phases in s.

    None of these but the calls are there on a CPU; `why` says why device time is missing.
    `seconds` is what it takes to measure them, which a session spends on each of its rows.
    """
    start = clock.read()
    done = work.measure(engine, workload, None, target.settings)
    seconds = clock.read() - start
    counted: Mapping[str, Any] = done.counters["decode"]
    steps = len(range(*done.counters["decode_steps"]))
    of_all = {
        "python_calls": counted["python_calls"],
        "kernel_launches": counted.get("kernel_launches"),
        "stream_synchronizations": counted.get("synchronizations", {}).get("stream"),
    }
    found: dict[str, Any] = {"seconds": seconds}
    found |= {name: n if n is None else n / steps for name, n in of_all.items()}
    for phase in ("prefill", "decode"):
        spent = done.device_time
        found[f"{phase}_device_s"] = device_time.middle_s(spent[phase]) if spent else None
        found[f"{phase}_repeats_s"] = spent[phase]["repeats_s"] if spent else None
    found["validity"] = spent["validity"] if spent else None
    return found | {"why": done.no_device_time and done.no_device_time.reason}
