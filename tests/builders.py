"""Sessions that were never measured, as the suite stores them: what tests read, judge and show."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import Unmeasured, as_stored
from benchmarks.evidence.profiling import Hotspot
from benchmarks.machine import validity
from benchmarks.machine.readings import Observations
from benchmarks.machine.watch import SERIES
from benchmarks.measure.metrics import ModelCost, Peaks, Round, generation_metrics
from benchmarks.sessions.session import Session, parse_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

THROUGHPUT = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n5]"
PROFILE = "benchmarks/test_profile.py::test_profile[int8-decomp-b8-p16-n1]"
WARMUP = "benchmarks/test_warmup.py::test_warmup[int8-decomp-b8-p16-n5]"
# Six sessions of the same code, as they scatter on a quiet machine: log seconds.
LUCK = (0.0, 0.006, -0.004, 0.002, -0.007, 0.003)

CPU = {"device": "cpu", "threads": 1}
GPU = {
    "device": "cuda",
    "threads": 8,
    "gpu": "A GPU",
    "gpu_memory_bytes": 80 * 2**30,
    "gpu_count": 1,
}
SOFTWARE = {
    "torch": "2.13.0",
    "transformers": "5.23.0",
    "bitsandbytes": "0.50.2",
    "python": "3.11.7",
}
MACHINE = {"cpu": {"brand_raw": "A CPU"}, "hardware": GPU, "software": SOFTWARE}

SAVED = {"passed": True, "exit_status": 0, "verdicts": None, "promoted": None}

VALID = {"valid": True, "reasons": []}
INVALID = {"valid": False, "reasons": ["the clock dropped"]}
LIFTED = {**VALID, "bounds_lifted": ["trend_size"]}
WIDENED = {**VALID, "bounds_widened": {"trend_size": 0.2}}
DUET = {"id": "d", "side": "base", "restart": 1, "looks": {"5": 0.05}}


# Records of a benchmark


def phase(**changes: Any) -> dict[str, Any]:
    """Return the counters of a phase."""
    return {
        "operators": {"aten::mm": 28, "aten::item": 51},
        "operators_total": 79,
        "int8_operators": {},
        "kernel_launches": 40,
        "copies_device_to_host": 3,
        "synchronizations": {"stream": 5, "event": 0, "device": 0},
        "allocations": 60,
        "peak_allocated_bytes": 8_000_000,
        **changes,
    }


def info(rounds_s: Sequence[float], new_tokens: int = 5, **changes: Any) -> dict[str, Any]:
    """Return the extra_info of a benchmark whose prefill is a fifth of each round."""
    gaps = new_tokens - 1
    rounds = [
        {
            "round_s": each,
            "ttft_s": each / 5 if gaps else each,
            "step_s": [each * 0.8 / max(gaps, 1)] * gaps,
        }
        for each in rounds_s
    ]
    return {
        "schema": 1,
        "workload": {
            "model": "m",
            "revision": None,
            "quantization": "int8-decomp",
            "batch_size": 8,
            "new_tokens": new_tokens,
            "prompts_sha256": "p",
        },
        "metrics": {
            "weights_bytes": 9_000_000,
            "peak_allocated_bytes": 10_000_000,
            "peak_resident_bytes": 500_000_000,
            "logits_relative_error": 0.009,
            "top1_agreement": 0.992,
        },
        "rounds": rounds,
        "validity": VALID,
        "counters": {"decode_steps": [2, 6], "prefill": phase(), "decode": phase()},
        "attestation": {"checkpoint": {"index_sha256": "w"}, "tokens_sha256": "t"},
        **changes,
    }


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
    facts = info((), new_tokens)
    return facts | {
        "workload": facts["workload"]
        | {"model": model, "weights": "synthetic", "device": device, "prompt_tokens": 16},
        "metrics": metrics,
        "unmeasured": reasons,
        "warmup_rounds": 3,
        "rounds": [
            {"start_s": start, **each.record()} for start, each in zip(starts, timed, strict=True)
        ],
        "validity": {
            **judged.as_record(),
            "samples": _samples(starts[-1] + rounds_s[-1], chance) if on_gpu else None,
        },
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


def profile(**seconds: float) -> dict[str, Any]:
    """Return a profiled phase, with the seconds that each operator spent on the device."""
    operators = [Hotspot(f"aten::{name}", 28, spent, 0.0, 0.1) for name, spent in seconds.items()]
    return {
        "decode_steps": [2, 6],
        "wall_s": 1.0,
        "operators": [each.__dict__ for each in operators],
    }


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


# Sessions, their files and marks


def content(
    *benchmarks: Any,
    when: str = "2026-11-24T08:00:00+00:00",
    commit: str | Mapping[str, Any] = "0123456789abcdef",
    branch: str = "main",
    cpu: str = "A CPU",
    hardware: Mapping[str, Any] = GPU,
    software: Mapping[str, Any] = SOFTWARE,
    **saved: Any,
) -> dict[str, Any]:
    """Return a file of these benchmarks: name and extra_info, and between them seconds of rounds.

    Without seconds they are those of the extra_info. `saved` is what the suite adds to the file.
    """
    return {
        "machine_info": {
            "node": "here",
            "cpu": {"brand_raw": cpu},
            "hardware": dict(hardware),
            "software": dict(software),
        },
        "commit_info": {"id": commit, "branch": branch, "dirty": False}
        if isinstance(commit, str)
        else dict(commit),
        "datetime": when,
        "benchmarks": [
            {
                "fullname": name,
                "extra_info": copy.deepcopy(dict(more or {})),
                "stats": {"data": list(rounds_s[0]) if rounds_s else _seconds(more)},
            }
            for name, *rounds_s, more in benchmarks
        ],
        "llm_int8": SAVED | saved,
    }


def _seconds(info: Mapping[str, Any]) -> list[float]:
    return [each["round_s"] for each in info["rounds"]]


def session(*benchmarks: Any, name: str = "s", **changes: Any) -> Session:
    """Return a session of these benchmarks."""
    return parse_session(content(*benchmarks, **changes), name)


def foreign(rounds_s: Sequence[float], name: str = "test_a") -> Session:
    """Return what a plain file of pytest-benchmark holds, with nothing of this suite."""
    return parse_session(
        {"benchmarks": [{"fullname": name, "stats": {"data": list(rounds_s)}}]}, "f"
    )


def stored(
    day: int = 1,
    names: Sequence[str] = ("a", "b"),
    *,
    validity: Mapping[str, Any] | None = VALID,
    workload: Mapping[str, Any] | None = None,
    attestation: Mapping[str, Any] | None = None,
    slower: float = 1.0,
    **changes: Any,
) -> dict[str, Any]:
    """Return the content of a session of January, as far as it matters for baselines."""
    more = {"schema": 1, "workload": workload or {"model": "m"}, "validity": validity}
    more |= {"attestation": attestation} if attestation else {}
    rounds_s = [slower * each for each in (1.0, 1.01, 1.02)]
    usual = {
        "commit": f"{day:040x}",
        "when": f"2026-01-{day:02}T08:00:00+00:00",
        "software": {"torch": "2.13.0"},
    }
    return content(*((name, rounds_s, more) for name in names), **usual | changes)


def save(path: Path, **changes: Any) -> Path:
    """Write the file of a session of January, and return its path."""
    return write(path, stored(**changes))


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a session's file, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def promoted(forced: str | None = None) -> dict[str, Any]:
    """Return the mark of a baseline."""
    return {"when": "2026-01-31T08:00:00+00:00", "forced": forced}


def verdict(
    benchmark: str, outcome: str, kind: str = "time", metric: str = "round_s", **more: Any
) -> dict[str, Any]:
    """Return a verdict as it is stored."""
    return {
        "benchmark": benchmark,
        "metric": metric,
        "kind": kind,
        "outcome": outcome,
        **dict.fromkeys(("base", "head", "change", "low", "high", "p")),
        "detail": "",
        "reasons": [],
        "acknowledged": None,
        **more,
    }
