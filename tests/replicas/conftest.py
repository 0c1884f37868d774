"""What tests of replicas share: processes that torch's launcher forks."""

import os

import pytest
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from benchmarks.model import loading
from tests import forking


@pytest.fixture(autouse=True)
def _launcher_forks(monkeypatch):
    """Let the launcher fork, too: it took `subprocess.Popen` for itself when it was imported."""
    monkeypatch.setattr(subprocess_handler, "Popen", forking.Forked)


@pytest.fixture
def second(machine, monkeypatch):
    """Return a function that lets something happen in the second process's first timed round."""
    load = machine.load

    def then(act):
        def loaded(*arguments, **more):
            engine = load(*arguments, **more)
            generate = engine.generate

            def changed(workload, log=None):
                if log is not None and os.environ["RANK"] == "1":
                    act()
                return generate(workload, log)

            engine.generate = changed
            return engine

        monkeypatch.setattr(loading, "load", loaded)

    return then
