"""What really ran: the loaded model against what was asked for, and the path that it took."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import AttestationError
from benchmarks.config.generation import MODES
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import dtype_name
from benchmarks.machine.software import provenance
from benchmarks.model import footprint, skeleton
from benchmarks.model.tensors import index_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

TOKENS = 4  # of the untimed generation that is watched: a prefill and three decode steps
# bitsandbytes 0.50, backends/cuda/ops.py: "int8_linear_matmul has no usable (hip|cu)blasLt algo
# for shape ...; falling back to fp32 matmul.", and for 4 bits "falling back to slower ...".
FALLBACK = re.compile(r"fall(?:s|ing|en)? ?back|fp32", re.IGNORECASE)


def attest_model(target: Target, engine: Engine) -> dict[str, Any]:
    """Return what was loaded: linears, dtypes, devices, attention, checkpoint and versions.

    Call it before the first generation: on the CPU that unpacks doubly quantized 4-bit weights.
    Raises AttestationError, which names every difference, if that isn't what was asked for.
    """
    # Without weights: the loaded one is what is in doubt.
    model = skeleton.build(target.checkpoint, target.settings.attn_implementation)
    classes, kept = _linears_of(model, target, engine.quantization)
    names = list(classes)
    found = _found(engine.model, names, skeleton.made_in_32_bits(model))
    asked = _asked(target, engine.quantization, classes)
    if target.settings.device_map == "auto" and "cpu" not in found["devices"]:
        asked["devices"] = found["devices"]  # sharding was asked for; the host or disk never is
    _refuse(
        engine.quantization,
        [
            f"{name}: expected {asked[name]}, got {found[name]}"
            for name in asked
            if asked[name] != found[name]
        ],
    )
    checkpoint = target.checkpoint
    return {
        **found,
        "linears_expected": len(names),
        "linears_kept": kept,
        "weights_kept_bytes": footprint.kept_bytes(engine.model, classes),
        "quantized_on_device": engine.quantized_on_device,
        "checkpoint": {
            "name": checkpoint.name,
            "revision": checkpoint.revision,
            "weights": checkpoint.weights,
            "outlier_channels": checkpoint.outlier_channels,
            "index_sha256": index_sha256(checkpoint.path),
        },
        "software": provenance(target.device),
    }


def attest_workload(
    engine: Engine, workload: Workload, counters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the path that the quantized linears took, from a short untimed generation.

    `counters` are those of this engine and workload. Raises AttestationError if the quantized
    operators weren't called, activations have another dtype, or a kernel fell back to fp32.
    """
    linears = [m for name, m in _quantized(engine.model) if name not in engine.idle]
    if MODES[workload.generation].is_compiled:  # whose linears call no hooks
        workload = replace(workload, generation="static")
    seen, dtypes, messages = _watch(engine, workload, linears)
    expected = str(engine.model.get_input_embeddings().weight.dtype).removeprefix("torch.")
    problems = [f"fell back: {message}" for message in sorted(set(messages))]
    problems += [
        f"activations: expected {expected}, got {dtype}" for dtype in sorted(dtypes - {expected})
    ]
    odd = sum(module.in_features % 4 != 0 for module in linears)
    if odd and engine.device.type == "cuda" and QUANTIZATIONS[engine.quantization].operator:
        # Without a warning: cuBLASLt has no int8 product for such an inner dimension.
        problems.append(f"{odd} linears multiply in fp32: in_features is no multiple of 4")
    problems += _missing_calls(engine.quantization, len(linears), counters)
    _refuse(engine.quantization, problems)
    decode = counters["decode"]
    return {
        "activation_dtypes": sorted(dtypes),
        "quantized_operators": decode["int8_operators"],
        "int8_product": _int8_product(engine, decode),
        **_outliers(engine.quantization, seen),
    }


def _linears_of(model: Any, target: Target, quantization: str) -> tuple[dict[str, str], list[str]]:
    """Return the linears that the architecture has, with their classes, and those that are kept.

    Kept ones stay as they are whatever is asked for, as the output head.
    """
    own = target.checkpoint.config.get("quantization_config") or {}
    names, kept = skeleton.quantizable(model, own.get("llm_int8_skip_modules") or ())
    known, linears = QUANTIZATIONS[quantization], skeleton.linears(model)
    if known.weights:
        return dict.fromkeys(names, known.linear), kept
    return {name: _class(module) for name, module in linears.items() if name not in kept}, kept


def _asked(target: Target, quantization: str, classes: Mapping[str, str]) -> dict[str, Any]:
    known, dtype = QUANTIZATIONS[quantization], dtype_name(target.settings, quantization)
    return {
        "linears": dict(Counter(classes.values())),
        "quantized_elsewhere": 0,
        "threshold": known.threshold,
        "weight_dtype": (known.weights or dtype) if classes else None,
        "weight_format": quantization if known.is_4bit else None,
        "dtype": dtype,
        "devices": str(target.device),
        "attn_implementation": target.settings.attn_implementation,
    }


def _found(model: Any, names: Iterable[str], in_32_bits: Iterable[str]) -> dict[str, Any]:
    modules = dict(model.named_modules())
    linears = [modules[name] for name in names if name in modules]
    states = [module.state for module in linears if hasattr(module, "state")]
    tensors = [*model.parameters(), *model.buffers()]
    tensors += [each for state in states for each in (state.CB, state.SCB) if each is not None]
    weights = [module.weight for module in linears if hasattr(module, "weight")]
    inside = {id(weight) for weight in weights}
    kept = skeleton.kept_in_32_bits(model).union(in_32_bits)
    rest = [
        each
        for name, each in model.named_parameters()
        if id(each) not in inside and not skeleton.is_part(name, kept)
    ]
    formats = [_format(weight) for weight in weights if hasattr(weight, "quant_state")]
    return {
        "linears": dict(Counter(_class(module) for module in linears)),
        "quantized_elsewhere": sum(m not in linears for _, m in _quantized(model)),
        "threshold": _all(state.threshold for state in states),
        "weight_dtype": _all(str(weight.dtype).removeprefix("torch.") for weight in weights),
        "weight_format": _all(formats),
        "dtype": _all(str(each.dtype).removeprefix("torch.") for each in rest),
        "devices": _all(str(tensor.device) for tensor in tensors),
        "attn_implementation": model.config._attn_implementation,
    }


def _quantized(model: Any) -> Iterator[tuple[str, Any]]:
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    for name, module in model.named_modules():
        if isinstance(module, (Linear8bitLt, Linear4bit)):
            yield name, module


def _class(module: Any) -> str:
    """Return the name of a linear's class, with its module if it isn't the real one."""
    import torch
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt

    kind = type(module)
    known = kind in (torch.nn.Linear, Linear8bitLt, Linear4bit)
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _format(weight: Any) -> str:
    state = weight.quant_state
    return f"{state.quant_type}-dq" if state.nested else str(state.quant_type)


def _all(values: Iterable[Any]) -> Any:
    """Return the one value that all have, all of the different ones as text, or None."""
    different = sorted(set(values))
    return ", ".join(map(str, different)) if len(different) > 1 else next(iter(different), None)


def _refuse(quantization: str, problems: list[str]) -> None:
    if problems:
        raise AttestationError(
            f"{quantization} is not what ran: {'; '.join(problems)}; no number of it would mean "
            "what its name says: check the versions of bitsandbytes and transformers"
        )


def _watch(
    engine: Engine, workload: Workload, linears: Iterable[Any]
) -> tuple[dict[str, list[int]], set[str], list[str]]:
    """Return outlier columns of every call by phase, dtypes of the inputs, and fallbacks."""
    columns: defaultdict[str, list[int]] = defaultdict(list)
    dtypes: set[str] = set()
    phase = "prefill"

    def hook(module: Any, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        dtypes.add(str(inputs[0].dtype).removeprefix("torch."))
        outliers = getattr(getattr(module, "state", None), "idx", None)
        columns[phase].append(0 if outliers is None else outliers.numel())

    def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nonlocal phase
        phase = "decode"
        return scores

    hooks = [module.register_forward_hook(hook) for module in linears]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.run(workload, TOKENS, step)
    finally:
        for each in hooks:
            each.remove()
    messages = [str(warning.message).splitlines()[0] for warning in caught]
    return columns, dtypes, [message for message in messages if FALLBACK.search(message)]


def _missing_calls(quantization: str, linears: int, counters: Mapping[str, Any]) -> list[str]:
    first, stop = counters["decode_steps"]
    expected = linears * (stop - first)
    called: Mapping[str, int] = counters["decode"]["int8_operators"]
    known = QUANTIZATIONS[quantization]
    if known.operator:
        name, calls = known.operator, called.get(known.operator, 0)
    elif known.is_4bit:  # which 4-bit operator is called depends on the shapes
        name, calls = "4-bit operators", sum(n for op, n in called.items() if "4bit" in op)
        calls = min(calls, expected)
    else:
        name, calls, expected = "quantized operators", sum(called.values()), 0
    return [f"calls of {name}: expected {expected}, got {calls}"] if calls != expected else []


def _int8_product(engine: Engine, decode: Mapping[str, Any]) -> str | None:
    """Say what multiplies; bitsandbytes chooses fp32 by design on a CPU without AVX-512."""
    if not QUANTIZATIONS[engine.quantization].operator:
        return None
    if engine.device.type == "cuda":
        return "bitsandbytes::int8_linear_matmul"
    if decode["operators"].get("aten::_int_mm"):
        return "aten::_int_mm"
    return "fp32, bitsandbytes' default kernel: by design on a CPU without AVX-512"


def _outliers(quantization: str, seen: Mapping[str, list[int]]) -> dict[str, Any]:
    threshold = QUANTIZATIONS[quantization].threshold
    if not threshold:
        return {"outliers": None, "note": f"{quantization} has no outlier path"}
    if not any(map(any, seen.values())):
        return {
            "outliers": None,
            "note": f"no activation reached the threshold of {threshold}: the numbers are those "
            "of LLM.int8() without its outlier path; real checkpoints of this size take it",
        }
    return {
        "outliers": {
            phase: {
                "share_of_linears": sum(map(bool, columns)) / len(columns),
                "columns_min": min(columns),
                "columns_median": median(columns),
                "columns_max": max(columns),
            }
            for phase, columns in seen.items()
        },
        "note": None,
    }
