"""The plain pieces of the gate's trial on a GPU; whole it takes a GPU, and ten minutes."""

from __future__ import annotations

import pytest
from bitsandbytes.nn import Linear8bitLt
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from benchmarks.model.engine import Engine
from tests.running import git
from tests.tools import gpu_gate, gpu_pull_requests
from tests.tools.gpu_pull_requests import PULL_REQUESTS


@pytest.mark.parametrize(("together_s", "layers"), [(37e-6, 32), (80e-6, 7)])
def test_slower_kernels_take_their_share_together(together_s, layers):
    """Each of them spins for its part of it."""
    clock_hz = 1.98e9
    spin = gpu_pull_requests.cycles(together_s, clock_hz, layers)
    slower = [layer for layer in range(layers) if layer % gpu_pull_requests.EVERY == 0]
    assert spin / clock_hz * len(slower) == pytest.approx(together_s, rel=1e-3)


def test_only_what_is_expected_can_be_wrong():
    """Whether a host shows a slower wall isn't known before."""
    found = {"same": 1, "kernel-1": 1, "host": 0, "kernel-0.25": 0, "wall-2": 11}
    statuses = {name: {"status": status} for name, status in found.items()}
    assert gpu_gate.wrong(statuses) == {"same": 1, "host": 0}


def test_pull_requests_differ_from_main_in_what_they_ask_for():
    """The kernel is in main already, so that it is no launch more; one without a GPU has none."""
    device = 7.5e-3, 1.98e9
    same = gpu_pull_requests.added(PULL_REQUESTS["same"], (0.0, 0.0), 32)
    found = {
        name: gpu_pull_requests.added(each, device, 32) for name, each in PULL_REQUESTS.items()
    }
    assert found["busy"] == found["same"] == same
    assert found["host"].startswith(same)
    assert len({*found.values()}) == len(found) - 1
    slower = {name: text.replace(_cycles(text), "0") for name, text in found.items()}
    assert slower["kernel-0.25"] == slower["kernel-2"] == same
    assert int(_cycles(found["kernel-2"])) * 16 == pytest.approx(0.02 * 7.5e-3 * 1.98e9, rel=1e-3)
    assert gpu_pull_requests.added(PULL_REQUESTS["host"], None, 32) == gpu_pull_requests.HOST


def _cycles(text):
    return text.partition("_sleep(")[2].partition(")")[0]


@pytest.mark.parametrize(
    ("change", "changed", "name"),
    [
        (gpu_pull_requests.HOST, Linear8bitLt, "forward"),
        (gpu_pull_requests.KERNEL.format(every=2, cycles=100), LlamaDecoderLayer, "forward"),
        (gpu_pull_requests.WALL.format(share=0.05), Engine, "run"),
    ],
)
def test_what_a_pull_request_adds_changes_the_model(monkeypatch, change, changed, name):
    """The plug-in can be run, and replaces what it is to slow down."""
    before = getattr(changed, name)
    monkeypatch.setattr(changed, name, before)  # to have it back
    plug_in = {}
    exec(gpu_pull_requests.plug_in(change), plug_in)  # noqa: S102 (it is run as a file)
    plug_in["pytest_collection_finish"](None)
    assert getattr(changed, name) is not before


def test_a_pull_request_is_a_commit_on_a_branch_of_main(tmp_path):
    """In a clone of a bare repository with this code; what slows it down is a plug-in."""
    kernel = gpu_pull_requests.KERNEL.format(every=2, cycles=0)
    main = gpu_gate.repository(tmp_path, kernel)
    plug_in = (main / "slower.py").read_text()
    assert 'pytest_plugins = ["slower"]' in (main / "conftest.py").read_text()
    for name, change in (("host", gpu_pull_requests.HOST), ("same", "")):
        clone = gpu_gate.pull_request(tmp_path, name, kernel + change)
        assert git(clone, "log", "--format=%s").split() == [name, "main"]
        assert git(clone, "rev-parse", "origin/main") == git(main, "rev-parse", "HEAD")
        assert git(clone, "status", "--short") == ""
        assert ((clone / "slower.py").read_text() == plug_in) is (name == "same")
