"""Whether a model can be generated from in a mode here: said before it is loaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import first_line
from benchmarks.config.generation import DEFAULT, MODES
from benchmarks.modes import caches

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

# Those of transformers that other packages bring come first: who installs one wants it. quanto
# needs a compiler, on CUDA nvcc. fp8 is part of newer releases of transformers.
BACKENDS = {"hqq": "hqq", "quanto": "optimum.quanto", "fp8": "transformers"}
EXTRA = "quantized-cache"
COMPILERS = ("g++", "clang++")  # for the code that torch.compile writes for a CPU


def check(
    modes: Sequence[str], name: str, model: Any, device: torch.device, devices: int
) -> str | None:
    """Raise InputError for a mode in which a model, given without weights, can't be generated from.

    `devices`: how many GPUs it will be spread over. Returns the backend of the quantized cache if
    that is asked for.
    """
    backend = None
    for mode in modes:
        if mode == DEFAULT:
            continue
        _check_cache(mode, name, model)
        if MODES[mode].is_static:
            _check_static(mode, name, model)
        if MODES[mode].is_compiled:
            _check_compiler(mode, device, devices)
        if mode == "quantized":
            backend = _backend(mode, name, model.config, device)
    return backend


def _check_cache(mode: str, name: str, model: Any) -> None:
    """Refuse a model that keeps something else than keys and values: a state, as Mamba does."""
    import inspect

    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise _refused(mode, f"a model that keeps keys and values, got {name}, which keeps a state")


def _check_static(mode: str, name: str, model: Any) -> None:
    """Refuse what transformers says of its own class, under its newer or its older name."""
    can = getattr(model, "_can_compile_fullgraph", getattr(model, "_supports_static_cache", True))
    if not can:
        raise _refused(
            mode,
            f"a model that works with a static cache, got {name}: transformers says that "
            f"{type(model).__name__} doesn't",
        )
    try:
        caches.build(mode, model.config, 8, None)
    except Exception as error:  # whatever a cache says of layers that it doesn't know
        raise _refused(mode, f"a model that has a static cache ({first_line(error)})") from error


def _check_compiler(mode: str, device: torch.device, devices: int) -> None:
    if devices > 1:
        raise _refused(
            mode,
            f"one device, got a model that is spread over {devices}",
            "write --device-map single, or --generation static",
        )
    if device.type == "cuda":
        missing = None if importlib.util.find_spec("triton") else "Triton, which torch for CUDA has"
    else:
        asked = os.environ.get("CXX")
        found = any(map(shutil.which, [asked] if asked else COMPILERS))
        missing = None if found else f"a C++ compiler ({asked or ' or '.join(COMPILERS)})"
    if missing:
        raise _refused(mode, f"{missing}; found none", "install it, or write --generation static")


def _backend(mode: str, name: str, config: Any, device: torch.device) -> str:
    """Return the first backend that quantizes a cache of this model on this device.

    Each one is tried: one may be installed and still need a compiler, or another device.
    """
    reasons = []
    for backend, package in BACKENDS.items():
        if not _is_installed(package):
            reasons.append(f"{backend}: not installed")
            continue
        try:
            _try(backend, config, device)
        except Exception as error:  # whatever a backend, or the build of its kernels, raises
            reasons.append(f"{backend}: {first_line(error)[:200]}")
        else:
            return backend
    raise _refused(
        mode,
        f"a backend that quantizes the cache of {name} on this {device.type}, found none "
        f"({'; '.join(reasons)})",
        f"pip install 'llm-int8-benchmarks[{EXTRA}]', or write --generation dynamic",
    )


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def _try(backend: str, config: Any, device: torch.device) -> None:
    """Let a layer of a new cache keep two passes of zeros."""
    import torch

    cache = caches.build("quantized", config, 0, backend)
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    with torch.inference_mode():
        for tokens in (8, 1):
            states = torch.zeros(1, heads, tokens, size, dtype=torch.float16, device=device)
            cache.update(states, states, 0)


def _refused(
    mode: str, expected: str, instead: str = f"write --generation {DEFAULT}"
) -> InputError:
    return InputError(f"--generation {mode}: expected {expected}; {instead}")
