"""What tests of replicas share: processes that torch's launcher forks."""

import os

import pytest
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from benchmarks.model import loading
from tests import forking
from tests.waiting import gone


@pytest.fixture(autouse=True)
def _launcher_forks():
    """Let the launcher fork, too: it took `subprocess.Popen` for itself when it was imported.

    Not by `monkeypatch`, which would then begin before `machine`, and end after it: what `second`
    replaces would stay the machine's.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_handler, "Popen", forking.Forked)
        yield


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


@pytest.fixture
def silent_after(machine):
    """Return what makes a `show`: once all that it waits for was heard, nothing comes any more."""

    def then(*wanted):
        heard = set()

        def show(number, says):
            heard.add((number, says))
            machine.hung = heard >= set(wanted)

        return show

    return then


@pytest.fixture
def nothing_stays():
    """Return a function that says whether both processes of a fleet have ended."""
    return lambda fleet: len(fleet._pids) == 2 and all(map(gone, fleet._pids))
