"""Makes saved sessions as the suite writes them, as far as baselines are concerned."""

import json

VALID = {"valid": True, "reasons": []}
INVALID = {"valid": False, "reasons": ["the clock dropped"]}
LIFTED = {**VALID, "bounds_lifted": ["trend_size"]}
WIDENED = {**VALID, "bounds_widened": {"trend_size": 0.2}}
DUET = {"id": "d", "side": "base", "restart": 1, "looks": {"5": 0.05}}
HARDWARE = {"device": "cuda", "gpu": "NVIDIA H200", "gpu_count": 1}


def content(day=1, names=("a", "b"), **saved):
    """Return the content of a session of January; `saved` is what the suite adds to it.

    `hardware`, `software`, `workload`, `validity`, `commit` and `slower` (a factor) stand for those
    of the session.
    """
    hardware = saved.pop("hardware", HARDWARE)
    software = saved.pop("software", {"torch": "2.13.0"})
    workload = saved.pop("workload", {"model": "synthetic:tiny"})
    validity = saved.pop("validity", VALID)
    commit = saved.pop("commit", f"{day:040x}")
    slower = saved.pop("slower", 1.0)
    return {
        "machine_info": {"hardware": dict(hardware), "software": dict(software)},
        "commit_info": {"id": commit, "dirty": False},
        "datetime": f"2026-01-{day:02}T08:00:00+00:00",
        "benchmarks": [
            {
                "fullname": name,
                "extra_info": {"schema": 1, "workload": workload, "validity": validity},
                "stats": {"data": [slower * each for each in (1.0, 1.01, 1.02)]},
            }
            for name in names
        ],
        "llm_int8": {
            "passed": True,
            "exit_status": 0,
            "verdicts": None,
            "promoted": None,
            **saved,
        },
    }


def promoted(forced=None):
    """Return the mark of a baseline."""
    return {"when": "2026-01-31T08:00:00+00:00", "forced": forced}


def verdict(benchmark, outcome, kind="time"):
    """Return a verdict as it is stored, as far as it matters here."""
    found = {"benchmark": benchmark, "metric": "round_s", "kind": kind, "outcome": outcome}
    return {**found, "detail": "", "reasons": []}


def write(path, **kwargs):
    """Write a session to a file, and return the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(**kwargs)))
    return path
