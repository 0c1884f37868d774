"""Modes that can't be: each is refused by name before a load, with what works instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoConfig, LlamaConfig, MambaConfig, MistralConfig

from benchmarks.common.errors import InputError
from benchmarks.config.generation import MODES
from benchmarks.modes import possible

CPU = torch.device("cpu")
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 128}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64}
LLAMA = LlamaConfig(**SMALL, **HEADS)
NEO = GPTNeoConfig(
    hidden_size=64, num_layers=2, vocab_size=128, num_heads=2, attention_types=[[["global"], 2]]
)


def check(config: Any, mode: str, devices: int = 1) -> str | None:
    """Return the backend with which a model of this config, without weights, can be generated."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return possible.check([mode], "it", model, CPU, devices)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "dynamic"])
def test_a_model_that_keeps_a_state_has_the_default_mode_alone(mode: str) -> None:
    """Mamba has no keys and values to keep otherwise."""
    mamba = MambaConfig(**SMALL)
    with pytest.raises(InputError, match=rf"--generation {mode}: .* which keeps a state; write"):
        check(mamba, mode)
    assert check(mamba, "dynamic") is None


@pytest.mark.parametrize("mode", ["static", "compiled"])
def test_a_class_without_a_static_cache_is_refused(mode: str) -> None:
    """As transformers says of it."""
    with pytest.raises(InputError, match=rf"--generation {mode}: .*says that GPTNeoForCausalLM"):
        check(NEO, mode)


def test_layers_that_no_backend_quantizes_are_refused() -> None:
    """The line has the reason of each backend, and names the extra that brings one."""
    with pytest.raises(InputError) as caught:
        check(MistralConfig(**SMALL, **HEADS, sliding_window=8), "quantized")
    line = str(caught.value)
    assert line.startswith("--generation quantized: expected a backend")
    assert all(f"{name}: " in line for name in possible.BACKENDS)
    assert "pip install 'llm-int8-benchmarks[quantized-cache]'" in line
    assert "\n" not in line


def test_several_devices_are_not_compiled_for() -> None:
    """What is spread over GPUs can still have a static cache."""
    with pytest.raises(InputError, match="expected one device, got a model that is spread over 2"):
        check(LLAMA, "compiled", devices=2)
    assert check(LLAMA, "static", devices=2) is None


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU torch writes C++; the one that is named must be there."""
    assert check(LLAMA, "compiled") is None
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(InputError, match=r"expected a C\+\+ compiler \(/no/such/compiler\)"):
        check(LLAMA, "compiled")
