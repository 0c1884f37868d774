"""Sessions that were never measured, as the suite stores them: what tests read, judge and show."""

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
