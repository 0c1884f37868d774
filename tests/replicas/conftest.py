"""What tests of replicas share: processes that torch's launcher forks."""

import pytest
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from tests import forking


@pytest.fixture(autouse=True)
def _launcher_forks(monkeypatch):
    """Let the launcher fork, too: it took `subprocess.Popen` for itself when it was imported."""
    monkeypatch.setattr(subprocess_handler, "Popen", forking.Forked)
