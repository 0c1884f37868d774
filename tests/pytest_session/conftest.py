"""What tests of the gate share: a baseline, and models that get worse."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from benchmarks import __main__ as commands
from benchmarks.model import loading
from tests.pytest_session.gated import GATED


@pytest.fixture
def model(monkeypatch, machine):
    """Let every model call operators more, or fail, as the fields say; `machine` paces it."""
    does = SimpleNamespace(machine=machine, more_calls=0, fails=False)
    load = loading.load

    def before(*_):
        if does.fails:
            raise RuntimeError("a kernel failed")

    def after(_, __, output):
        for _ in range(does.more_calls):
            torch.neg(torch.ones(1))
        return output

    def changed(target, quantization, *, cold):
        engine = load(target, quantization, cold=cold)
        engine.model.register_forward_pre_hook(before)
        engine.model.register_forward_hook(after)
        return engine

    monkeypatch.setattr(loading, "load", changed)
    return does


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder in which the baseline of these tests is stored once."""
    return tmp_path_factory.mktemp("gate")


@pytest.fixture
def gate(session, model, folder, tmp_path):
    """Return a function that runs a gated session beside a promoted baseline."""
    assert model.machine.slowdown == 1
    baseline = folder / "storage" / "0001_base.json"
    if not baseline.exists():
        outcome = session(*GATED, "--benchmark-save=base", folder=folder)
        assert outcome.status == 10, outcome.out
        assert "new: no baseline has it" in outcome.out
        assert commands.main(["promote", str(baseline)]) == 0
    (tmp_path / "storage").mkdir()
    shutil.copy(baseline, tmp_path / "storage")
    return lambda *options, **where: session(*GATED, *options, **where)
