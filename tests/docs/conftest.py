"""What tests of several pages share."""

from __future__ import annotations

import pytest

from tests.docs.results import H200
from tests.tools import stored


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """Return the raw files of an H200, unpacked."""
    folder = tmp_path_factory.mktemp("raw")
    stored.unpack(H200.with_suffix("") / "raw", folder)
    return folder
