"""Sessions as a page takes them in: records with all that it shows, their files, and duets."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Unmeasured, as_stored
from benchmarks.evidence.profiling import Hotspot
from benchmarks.machine import validity
from benchmarks.machine.readings import Observations
from benchmarks.machine.watch import SERIES
from benchmarks.measure.metrics import ModelCost, Peaks, Round, generation_metrics
from benchmarks.sessions.session import Session, parse_session
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path

NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n16]"


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
    """Return an extra_info with all that a page shows; it took `slower` times what is usual."""
    chance = random.Random(seed)
    luck = chance.gauss(1, 0.01) * slower
    timed = []
    for _ in range(rounds):
        steps = tuple(0.012 * luck * chance.gauss(1, 0.02) for _ in range(new_tokens - 1))
        ttft_s = 0.04 * luck * chance.gauss(1, 0.01)
        timed.append(Round(ttft_s + sum(steps), ttft_s, steps))
    metrics, reasons = _metrics(timed, new_tokens, on_gpu=on_gpu)
    if on_gpu:
        metrics |= {"prefill_device_s": 0.02, "decode_device_s": 0.0049 * slower}
        metrics |= {"prefill_busy_share": 0.5, "decode_busy_share": 0.41}
    starts = [sum(each.round_s + 0.01 for each in timed[:n]) for n in range(rounds)]
    device, rounds_s = "cuda" if on_gpu else "cpu", [each.round_s for each in timed]
    judged = validity.judge(Observations(device, rounds_s, {}, {}, cold=True))  # not steady
    samples = _samples(starts[-1] + rounds_s[-1], chance) if on_gpu else None
    facts = builders.info((), new_tokens)
    return facts | {
        "workload": facts["workload"]
        | {"model": model, "weights": "synthetic", "device": device, "prompt_tokens": 16},
        "metrics": metrics,
        "unmeasured": reasons,
        "warmup_rounds": 3,
        "rounds": [
            {"start_s": start, **each.record()} for start, each in zip(starts, timed, strict=True)
        ],
        "validity": {**judged.as_record(), "samples": samples},
        "refused": [],
        "process": {"loaded": ["int8-decomp"], "profiled": False},
        "device_time": {"prefill": _spent(slower), "decode": _spent(slower)} if on_gpu else None,
        "attestation": None,
        "counters": _counters(launches if on_gpu else None),
    }


def _counters(launches: int | None) -> dict[str, Any]:
    """Return the counters of both phases; of a GPU if something was launched there."""
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
    decode = {**counts, **(on_device if launches else {}), "allocations": 1443}
    return {"decode_steps": [2, 6], "prefill": counts, "decode": decode}


def _metrics(timed: list[Round], new_tokens: int, *, on_gpu: bool) -> tuple[Any, Any]:
    """Return the metrics of rounds as they are stored, and why some are null."""
    unknown = Unmeasured("torch counts the bytes of CUDA devices only")
    metrics = generation_metrics(
        timed,
        batch_size=8,
        prompt_tokens=16,
        new_tokens=new_tokens,
        cost=ModelCost(0.2, 15_549_696, 13_452_544, 4096),
        peaks=Peaks(
            peak_allocated_bytes=9_330_000_000 if on_gpu else unknown,
            peak_reserved_bytes=9_500_000_000 if on_gpu else unknown,
            peak_resident_bytes=515_530_752,
            bandwidth_bytes_per_s=3.35e9 if on_gpu else Unmeasured("no GPU was watched"),
        ),
    )
    return as_stored(metrics)


def _spent(slower: float) -> dict[str, Any]:
    """Return the device time of a phase of four steps, in which one kernel takes longest."""
    kernels = {"s8_gemm<256, 128>": 0.004, "Memcpy DtoH": 0.0009}
    top = [
        {"name": name, "calls": 112, "device_s": 4 * each * slower}
        for name, each in kernels.items()
    ]
    rest = {"names": 0, "calls": 0, "device_s": 0.0}
    return {
        "steps": 4,
        "repeats_s": [0.0049 * slower] * 5,
        "kernels": {"top": top, "rest": rest},
        "operators": {"top": [], "rest": rest},
        "share_by_gpu": {"0": 1.0},
    }


def _samples(seconds: float, chance: random.Random) -> dict[str, list[Any]]:
    """Return a GPU's samples over that many seconds, throttled for a while in the middle."""
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


def profiles(*, on_gpu: bool = False) -> dict[str, Any]:
    """Return the profiles of both phases."""
    operators = [
        Hotspot(name, calls, 2e-3 / n if on_gpu else 0.0, 5e-3 / n, 0.3 / n).__dict__
        for n, (name, calls) in enumerate((("aten::_int_mm", 112), ("aten::mul", 724)), 1)
    ]
    return {
        "prefill": {"decode_steps": None, "wall_s": 0.05, "operators": operators},
        "decode": {"decode_steps": [2, 6], "wall_s": 0.07, "operators": operators},
    }


def read(*contents: dict[str, Any]) -> list[Session]:
    """Return sessions as they are read back from their files."""
    return [
        parse_session(json.loads(json.dumps(content)), f"{n:04}.json")
        for n, content in enumerate(contents, 1)
    ]


def content(info: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a file of one benchmark."""
    return builders.content((NAME, info or record()), **changes)


def day(n: int) -> str:
    """Return the n-th day as a session says when it was saved."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)).isoformat()


def duet_contents(
    restarts: int, slower: float, *, first_day: int = 0, **duet: Any
) -> list[dict[str, Any]]:
    """Return both sides of a duet whose head takes `slower` times as long."""
    return [
        builders.content(
            (NAME, record(n, slower=slower if side == "head" else 1.0)),
            duet={"side": side, "restart": n, "id": "d", "looks": {"5": 0.01}, **duet},
            when=day(first_day + n),
        )
        for n in range(restarts)
        for side in ("base", "head")
    ]


def write_duet(folder: Path, contents: list[dict[str, Any]]) -> Path:
    """Write the sessions of a duet into a folder, and return it."""
    for content in contents:
        duet = content["llm_int8"]["duet"]
        builders.write(folder / f"restart-{duet['restart']:02}-{duet['side']}.json", content)
    return folder
