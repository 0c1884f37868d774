"""Sessions made for tests, with records as this suite stores them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from benchmarks.sessions.session import Session, parse_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

THROUGHPUT = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n5]"
PROFILE = "benchmarks/test_profile.py::test_profile[int8-decomp-b8-p16-n1]"
WARMUP = "benchmarks/test_warmup.py::test_warmup[int8-decomp-b8-p16-n5]"
# Six sessions of the same code, as they scatter on a quiet machine: log seconds.
LUCK = (0.0, 0.006, -0.004, 0.002, -0.007, 0.003)
MACHINE = {
    "cpu": {"brand_raw": "A CPU"},
    "hardware": {
        "device": "cuda",
        "threads": 8,
        "gpu": "A GPU",
        "gpu_memory_bytes": 80 * 2**30,
        "gpu_count": 1,
    },
    "software": {"torch": "2.13.0", "bitsandbytes": "0.50.2", "python": "3.11.7"},
}


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
        "validity": {"valid": True, "reasons": []},
        "counters": {"decode_steps": [2, 10], "prefill": phase(), "decode": phase()},
        "attestation": {"checkpoint": {"index_sha256": "w"}, "tokens_sha256": "t"},
        **changes,
    }


def profile(**seconds: float) -> dict[str, Any]:
    """Return a profiled phase, with the seconds that each operator spent on the device."""
    operators = [
        {
            "name": f"aten::{name}",
            "calls": 28,
            "self_device_s": spent,
            "self_host_s": 0.0,
            "share": 0.1,
        }
        for name, spent in seconds.items()
    ]
    return {"decode_steps": [2, 6], "wall_s": 1.0, "operators": operators}


def content(
    *benchmarks: tuple[str, Sequence[float], Mapping[str, Any] | None], **changes: Any
) -> dict[str, Any]:
    """Return what pytest-benchmark saves of these benchmarks: name, rounds, extra_info."""
    return {
        "machine_info": copy.deepcopy(MACHINE),
        "commit_info": {"id": "0123456789abcdef"},
        "datetime": "2026-11-24T08:00:00+00:00",
        "benchmarks": [
            {"fullname": name, "stats": {"data": list(rounds_s)}, "extra_info": dict(more or {})}
            for name, rounds_s, more in benchmarks
        ],
        "llm_int8": {"passed": True, "exit_status": 0, "verdicts": None, "promoted": None},
        **changes,
    }


def session(
    *benchmarks: tuple[str, Sequence[float], Mapping[str, Any] | None],
    name: str = "s",
    **changes: Any,
) -> Session:
    """Return a session of these benchmarks."""
    return parse_session(content(*benchmarks, **changes), name)


def foreign(rounds_s: Sequence[float], name: str = "test_a") -> Session:
    """Return what a plain file of pytest-benchmark holds, with nothing of this suite."""
    return parse_session(
        {"benchmarks": [{"fullname": name, "stats": {"data": list(rounds_s)}}]}, "f"
    )


def write(folder: Path, *contents: Mapping[str, Any]) -> list[str]:
    """Write files with this content, and return their paths."""
    paths = [folder / f"{number:04}.json" for number, _ in enumerate(contents)]
    for path, each in zip(paths, contents, strict=True):
        path.write_text(json.dumps(each), encoding="utf-8")
    return [str(path) for path in paths]
