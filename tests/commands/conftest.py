"""What tests of `ci` share: a job of the workflow."""

import pytest

from tests.repository import Machine


@pytest.fixture
def job(monkeypatch, tmp_path):
    """Return a job of the workflow, in the folder of its repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Machine(monkeypatch)
