"""Sessions that were never measured, with all that a page can show, built by the suite's code."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Unmeasured, as_stored
from benchmarks.evidence.profiling import Hotspot
from benchmarks.machine import validity
from benchmarks.machine.readings import Observations
from benchmarks.machine.watch import SERIES
from benchmarks.measure.metrics import Machine, ModelCost, Round, generation_metrics

if TYPE_CHECKING:
    from pathlib import Path

GPU = {
    "device": "cuda",
    "threads": 8,
    "gpu": "NVIDIA H100 80GB HBM3",
    "gpu_memory_bytes": 85_000_000_000,
    "gpu_count": 1,
    "compute_capability": "9.0",
}
CPU = {"device": "cpu", "threads": 1}
SOFTWARE = {"torch": "2.13.0", "transformers": "5.23.0", "bitsandbytes": "0.50.2", "cuda": "13.0"}


def record(
    seed: int = 0,
    *,
    slower: float = 1.0,
    new_tokens: int = 16,
    rounds: int = 5,
    on_gpu: bool = False,
    model: str = "synthetic:tiny",
    launches: int = 640,
) -> dict[str, Any]:
    """Return what is stored of a benchmark that took `slower` times what is usual."""
    chance = random.Random(seed)
    luck = chance.gauss(1, 0.01) * slower
    timed = []
    for _ in range(rounds):
        steps = tuple(0.012 * luck * chance.gauss(1, 0.02) for _ in range(new_tokens - 1))
        ttft_s = 0.04 * luck * chance.gauss(1, 0.01)
        timed.append(Round(ttft_s + sum(steps), ttft_s, steps))
    unknown = Unmeasured("torch counts the bytes of CUDA devices only")
    metrics = generation_metrics(
        timed,
        batch_size=8,
        prompt_tokens=16,
        new_tokens=new_tokens,
        cost=ModelCost(0.2, 15_549_696, 13_452_544, 4096),
        machine=Machine(
            peak_allocated_bytes=9_330_000_000 if on_gpu else unknown,
            peak_reserved_bytes=9_500_000_000 if on_gpu else unknown,
            peak_resident_bytes=515_530_752 + chance.randrange(10**6),
            bandwidth_bytes_per_s=3.35e12 / 1000 if on_gpu else Unmeasured("no GPU was watched"),
        ),
    )
    values, reasons = as_stored(metrics)
    if on_gpu:
        values |= {"prefill_device_s": 0.02, "decode_device_s": 0.0049 * slower}
        values |= {"prefill_busy_share": 0.5, "decode_busy_share": 0.41}
    starts = [sum(each.round_s + 0.01 for each in timed[:n]) for n in range(rounds)]
    device, rounds_s = "cuda" if on_gpu else "cpu", [each.round_s for each in timed]
    judged = validity.judge(Observations(device, rounds_s, {}, {}, {}, cold=True))  # not steady
    operators = {"aten::_int_mm": 28, "bitsandbytes::int8_vectorwise_quant": 28}
    counts = {
        "operators": operators,
        "operators_total": 5630,
        "int8_operators": operators,
        "python_calls": 19_830,
        "c_calls": 25_028,
        "functions": {"torch.nn.modules.module.Module.__call__": 9000, "os.path.join": 40},
    }
    on_device = {"kernel_launches": launches, "synchronizations": {"stream": 84, "event": 0}}
    return {
        "schema": 1,
        "workload": {
            "model": model,
            "revision": None,
            "weights": "synthetic",
            "quantization": "int8-decomp",
            "dtype": "float16",
            "device": "cuda" if on_gpu else "cpu",
            "batch_size": 8,
            "prompt_tokens": 16,
            "new_tokens": new_tokens,
            "prompts_sha256": "cbc9d4358dae",
        },
        "metrics": values,
        "unmeasured": reasons,
        "warmup_rounds": 3,
        "rounds": [
            {"start_s": start, **each.record()} for start, each in zip(starts, timed, strict=True)
        ],
        "validity": {
            **judged.as_record(),
            "samples": samples(starts[-1] + timed[-1].round_s, chance) if on_gpu else None,
        },
        "refused": [],
        "process": {"loaded": ["int8-decomp"], "profiled": False},
        "device_time": {"prefill": spent(slower), "decode": spent(slower)} if on_gpu else None,
        "attestation": None,
        "counters": {
            "decode_steps": [2, 10],
            "prefill": counts,
            "decode": {**counts, **(on_device if on_gpu else {}), "allocations": 1443},
        },
    }


def spent(slower: float = 1.0) -> dict[str, Any]:
    """Return the device time of a phase of eight steps, in which one kernel takes longest."""
    kernels = {"s8_gemm<256, 128>": 0.004, "Memcpy DtoH": 0.0009}
    return {
        "steps": 8,
        "repeats_s": [0.0049 * slower] * 5,
        "kernels": {
            "top": [
                {"name": name, "calls": 224, "device_s": 8 * each * slower}
                for name, each in kernels.items()
            ],
            "rest": {"names": 0, "calls": 0, "device_s": 0.0},
        },
        "operators": {"top": [], "rest": {"names": 0, "calls": 0, "device_s": 0.0}},
        "share_by_gpu": {"0": 1.0},
    }


def samples(seconds: float, chance: random.Random) -> dict[str, list[Any]]:
    """Return a GPU's samples over so many seconds, throttled for a while in the middle."""
    times = [0.1 * n for n in range(int(seconds * 10) + 1)]
    hot = [seconds / 2 < t < seconds * 0.7 for t in times]
    columns = {
        "sm_clock_hz": [1.5e9 if held else 1.98e9 for held in hot],
        "temperature_celsius": [60 + 20 * t / seconds for t in times],
        "power_watts": [chance.gauss(420, 15) for _ in times],
        "utilization": [min(1.0, chance.gauss(0.6, 0.05)) for _ in times],
        "memory_used_bytes": [9_800_000_000 for _ in times],
        "clock_reasons": ["sw_thermal_slowdown" if held else "" for held in hot],
    }
    assert set(columns) == set(SERIES)
    return {"t_s": times, **columns}


def profile(*, on_gpu: bool = False) -> dict[str, Any]:
    """Return the hotspots of both phases."""
    operators = [
        Hotspot(name, calls, 2e-3 / n if on_gpu else 0.0, 5e-3 / n, 0.3 / n).__dict__
        for n, (name, calls) in enumerate((("aten::_int_mm", 112), ("aten::mul", 724)), 1)
    ]
    return {
        "prefill": {
            "decode_steps": None,
            "wall_s": 0.05,
            "operators": operators,
        },
        "decode": {
            "decode_steps": [2, 6],
            "wall_s": 0.07,
            "operators": operators,
        },
    }


def session(
    *records: tuple[str, dict[str, Any]],
    when: str = "2026-11-24T08:00:00+00:00",
    commit: str = "0123456789abcdef",
    hardware: dict[str, Any] = CPU,
    software: dict[str, Any] = SOFTWARE,
    saved: dict[str, Any] | None = None,
    branch: str = "main",
) -> dict[str, Any]:
    """Return the content of a file that pytest-benchmark saves."""
    return {
        "machine_info": {
            "node": "here",
            "cpu": {"brand_raw": "AMD EPYC 9354"},
            "hardware": hardware,
            "software": software,
        },
        "commit_info": {"id": commit, "branch": branch, "dirty": False},
        "datetime": when,
        "version": "5.3.1",
        "benchmarks": [
            {
                "name": name.rpartition("::")[2],
                "fullname": name,
                "extra_info": info,
                "stats": {"data": [each["round_s"] for each in info["rounds"]]},
            }
            for name, info in records
        ],
        **({"llm_int8": saved} if saved is not None else {}),
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    """Write a session, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def verdict(benchmark: str, metric: str, outcome: str, **more: Any) -> dict[str, Any]:
    """Return a verdict as it is stored."""
    numbers = dict.fromkeys(("base", "head", "change", "low", "high", "p"))
    return {
        "benchmark": benchmark,
        "metric": metric,
        "kind": "time",
        "outcome": outcome,
        **numbers,
        "detail": "",
        "reasons": [],
        "acknowledged": None,
        **more,
    }
