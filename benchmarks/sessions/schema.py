"""Whether a stored record has the shape that this suite writes, and if not, where it differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common.quantity import IMPOSSIBLE
from benchmarks.sessions.outcome import Cause, Outcome

NUMBER = (int, float)
DEEPEST = 30  # of what is nested freely
MAYBE_NUMBER = (int, float, type(None))
MAYBE_TEXT = (str, type(None))


SCHEMA = 1


class Maybe:
    """A shape that may be null or missing."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Each:
    """A mapping of any names, or of whole numbers, to values of one shape."""

    def __init__(self, shape: Any, *, numbered: bool = False) -> None:
        self.shape, self.numbered = shape, numbered


class Sayable:
    """Anything that can be put into words: no number too large, and not nested without end."""

    def __init__(self, depth: int = DEEPEST) -> None:
        self.depth = depth


ROUND = {"round_s": NUMBER, "ttft_s": NUMBER, "step_s": [NUMBER], "start_s": Maybe(NUMBER)}
SAMPLES = {
    "t_s": [NUMBER],
    **{
        name: Maybe([MAYBE_NUMBER])
        for name in (
            "sm_clock_hz",
            "temperature_celsius",
            "power_watts",
            "utilization",
            "memory_used_bytes",
        )
    },
    "clock_reasons": Maybe([MAYBE_TEXT]),
}
VALIDITY = {
    "valid": bool,
    "reasons": [str],
    "readings": Maybe(Each(Sayable())),
    "findings": Maybe([{"reading": str, "value": NUMBER, "bound": NUMBER, "detail": Maybe(str)}]),
    "bounds_lifted": Maybe([str]),
    "bounds_widened": Maybe(Each(NUMBER)),
    "unmeasured": Maybe(Each(str)),
    "samples": Maybe(SAMPLES),
}
OPERATOR = {
    "name": str,
    "calls": NUMBER,
    "self_device_s": NUMBER,
    "self_host_s": NUMBER,
    "share": NUMBER,
}
STEPS = [NUMBER, NUMBER]
OPERATORS = Each(NUMBER)
COUNTERS = (  # in the order in which they are shown
    "python_calls",
    "c_calls",
    "operators_total",
    "kernel_launches",
    "copies_device_to_host",
    "copies_host_to_device",
    "copies_device_to_device",
    "copies_peer_to_peer",
    "synchronizations",
    "allocations",
    "peak_allocated_bytes",
)
BY_KIND = ("operators", "int8_operators", "synchronizations", "functions", "c_functions")
COUNTS = dict.fromkeys(COUNTERS, Maybe(NUMBER)) | dict.fromkeys(BY_KIND, Maybe(OPERATORS))
MACHINE = {
    "cpu": Maybe({"brand_raw": Maybe(str)}),
    "hardware": Maybe(Each((*NUMBER, bool, str, type(None)))),
    "software": Maybe(Each(MAYBE_TEXT)),
}
BY_NAME = {"top": [{"name": str, "calls": NUMBER, "device_s": NUMBER}]}
SPENT = {
    "steps": NUMBER,
    "repeats_s": [NUMBER],
    "kernels": BY_NAME | {"rest": {"names": NUMBER}},
    "operators": Maybe(BY_NAME),
}
RECORD = {
    "workload": {
        "model": str,
        "quantization": str,
        "batch_size": NUMBER,
        "prompt_tokens": (*NUMBER, str),
        "new_tokens": NUMBER,
    },
    "metrics": Each(MAYBE_NUMBER),
    "unmeasured": Maybe(Each(str)),
    "warmup_rounds": Maybe(NUMBER),
    "rounds": [ROUND],
    "validity": Maybe(VALIDITY),
    "refused": Maybe([{"rounds": [ROUND], "validity": Maybe(VALIDITY)}]),
    "attestation": Maybe(Each(Sayable())),
    "counters": Maybe(
        {"prefill": Maybe(COUNTS), "decode": Maybe(COUNTS), "decode_steps": Maybe(STEPS)}
    ),
    "device_time": Maybe(
        {
            "prefill": SPENT,
            "decode": SPENT,
            "clocks": Maybe(Each(MAYBE_NUMBER)),
            "validity": Maybe(
                {
                    "valid": bool,
                    "reasons": [str],
                    "bounds_lifted": Maybe([str]),
                    "bounds_widened": Maybe(Each(NUMBER)),
                }
            ),
        }
    ),
    "memory": Maybe(
        Each(
            Maybe(
                {
                    "decode_steps": Maybe(STEPS),
                    "peak_allocated_bytes": MAYBE_NUMBER,
                    "parts": Each(NUMBER),
                }
            )
        )
    ),
    "work_only": Maybe(bool),
    "process": Maybe(Each(Sayable())),
    "profile": Maybe(
        Each(
            {
                "decode_steps": Maybe(STEPS),
                "wall_s": NUMBER,
                "operators": [OPERATOR],
            }
        )
    ),
}
OUTCOMES = frozenset(each.value for each in Outcome)
VERDICT = {
    "benchmark": str,
    "metric": str,
    "kind": str,
    "outcome": OUTCOMES,
    **dict.fromkeys(("base", "head", "change", "low", "high", "p"), MAYBE_NUMBER),
    "detail": str,
    "reasons": [str],
    "acknowledged": MAYBE_TEXT,
    "suspicious": Maybe(bool),
    "cause": Maybe(frozenset(each.value for each in Cause)),
}
SAVED = {
    "passed": Maybe(bool),
    "command": Maybe(str),
    "failed": Maybe(Each(str)),
    "verdicts": Maybe([VERDICT]),
    "promoted": Maybe(Each(Sayable())),
    "demoted": Maybe(Each(Sayable())),
    "thinned": Maybe({"when": str, "identity": str}),
    "duet": Maybe(
        {
            "side": frozenset({"base", "head"}),
            "restart": NUMBER,
            "id": str,
            "looks": Each(NUMBER, numbered=True),
            "spec": Maybe(str),
            "command": Maybe(str),
            "injected_slowdown": Maybe(NUMBER),
            "position_in_pair": Maybe([NUMBER]),
        }
    ),
}
STORED = {"verdicts": [VERDICT]}  # a duet's own, beside its sessions


def difference(value: Any, shape: Any, where: str = "") -> str | None:
    """Return where and how a value differs from a shape, in a few words; None if it fits.

    A shape is a type or several, a frozenset of texts, a dict of shapes by name, a list of one
    shape for all elements, or of as many as there are, `Each`, `Maybe` or `Sayable`. Names that a
    shape doesn't have are left alone.
    """
    if isinstance(shape, Maybe):
        return None if value is None else difference(value, shape.shape, where)
    if isinstance(shape, Sayable):
        return _unsayable(value, shape.depth, where)
    if isinstance(shape, Each) and not isinstance(value, Mapping):
        return f"{where or 'the whole'} is no mapping"
    if isinstance(shape, Each):
        if shape.numbered and not (value and all(map(str.isdigit, value))):
            return f"{where} has other names than numbers"
        shape = dict.fromkeys(value, shape.shape)
    if isinstance(shape, dict):
        parts = ((f"{where}.{name}".lstrip("."), name, part) for name, part in shape.items())
        if not isinstance(value, Mapping):
            return f"{where or 'the whole'} is no mapping"
        found = (difference(value.get(name), part, path) for path, name, part in parts)
    elif isinstance(shape, list):
        if not isinstance(value, list) or len(shape) not in (1, len(value)):
            return f"{where} is no list" + (f" of {len(shape)}" if len(shape) > 1 else "")
        found = (difference(each, shape[0], f"{where}[{n}]") for n, each in enumerate(value))
    else:
        return _misfit(value, shape, where)
    return next((each for each in found if each), None)


def _unsayable(value: Any, depth: int, where: str) -> str | None:
    if not depth:
        return f"{where} is nested too deeply"
    if isinstance(value, (int, float)) and not abs(value) < IMPOSSIBLE:  # nor is NaN
        return f"{where} is {str(value)[:20]}"
    if not isinstance(value, (Mapping, list, tuple)):
        return None
    parts = value.values() if isinstance(value, Mapping) else value
    found = (_unsayable(part, depth - 1, where) for part in parts)
    return next((each for each in found if each), None)


def _misfit(value: Any, shape: Any, where: str) -> str | None:
    if isinstance(shape, frozenset):
        return None if isinstance(value, str) and value in shape else f"{where} is {value!r}"
    if isinstance(value, (int, float)) and not abs(value) < IMPOSSIBLE:  # nor is NaN
        return f"{where} is {str(value)[:20]}"
    taken = bool in shape if isinstance(shape, tuple) else shape is bool
    fits = isinstance(value, shape) and (taken or not isinstance(value, bool))
    return None if fits else f"{where} is {type(value).__name__}"


def loosened(shape: Any) -> Any:
    """Return a shape of which every part may be missing; what may be missing anyway stays whole."""
    if isinstance(shape, dict):
        shape = {name: loosened(part) for name, part in shape.items()}
    return shape if isinstance(shape, Maybe) else Maybe(shape)


FILE = {
    "machine_info": Maybe(MACHINE),
    "commit_info": Maybe(Each(Sayable())),
    "datetime": Maybe(str),
    "benchmarks": [{"fullname": str, "stats": {"data": [NUMBER]}, "extra_info": Maybe({})}],
    "llm_int8": Maybe(SAVED),
}
READABLE = loosened(RECORD)  # enough to be judged; to be shown on a page a record is whole
