"""The plain pieces of the gate's trial on a GPU; whole it takes a GPU, and ten minutes."""

from __future__ import annotations

import pytest
from bitsandbytes.nn import Linear8bitLt
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from benchmarks.model.engine import Engine
from tests.running import git
from tests.tools import gpu_gate


@pytest.mark.parametrize(("step_s", "layers"), [(7.5e-3, 32), (16e-3, 16)])
def test_extra_kernels_take_their_share_of_a_step(step_s, layers):
    """All of them together, with what a kernel takes that spins for no cycle."""
    clock_hz = 1.98e9
    spin = gpu_gate.cycles(step_s, clock_hz, layers)
    kernels = layers / gpu_gate.EVERY
    extra_s = kernels * (spin / clock_hz + gpu_gate.SPIN_S)
    assert extra_s == pytest.approx(gpu_gate.SHARE * step_s, rel=1e-3)


def test_a_step_too_short_for_extra_kernels_gets_the_least():
    """A kernel can't spin for less than no cycle."""
    assert gpu_gate.cycles(1e-4, 1.98e9, 32) == 0


def test_only_what_is_expected_can_be_wrong():
    """Whether a host shows a slower wall isn't known before."""
    found = {"same": 1, "device": 1, "host": 0, "wall-2": 11}
    statuses = {name: {"status": status} for name, status in found.items()}
    assert gpu_gate.wrong(statuses) == {"same": 1, "host": 0}


@pytest.mark.parametrize(
    ("change", "changed", "name"),
    [
        (gpu_gate.HOST, Linear8bitLt, "forward"),
        (gpu_gate.DEVICE.format(every=2, cycles=100), LlamaDecoderLayer, "forward"),
        (gpu_gate.WALL.format(share=0.05), Engine, "run"),
    ],
)
def test_what_a_pull_request_adds_changes_the_model(monkeypatch, change, changed, name):
    """The plug-in can be run, and replaces what it is to slow down."""
    before = getattr(changed, name)
    monkeypatch.setattr(changed, name, before)  # to have it back
    plug_in = {}
    exec(gpu_gate.PLUG_IN.format(change=change.strip()), plug_in)  # noqa: S102 (it is run as a file)
    plug_in["pytest_collection_finish"](None)
    assert getattr(changed, name) is not before


def test_a_pull_request_is_a_commit_on_a_branch_of_main(tmp_path):
    """In a clone of a bare repository with this code; what slows it down is a plug-in."""
    main = gpu_gate.repository(tmp_path)
    for name, change in (("host", gpu_gate.HOST), ("same", "")):
        clone = gpu_gate.pull_request(tmp_path, name, change)
        assert git(clone, "log", "--format=%s").split() == [name, "main"]
        assert git(clone, "rev-parse", "origin/main") == git(main, "rev-parse", "HEAD")
        assert git(clone, "status", "--short") == ""
        loaded = 'pytest_plugins = ["slower"]' in (clone / "conftest.py").read_text()
        assert loaded is (clone / "slower.py").exists() is (name == "host")
