"""What one replica is asked for on its command line."""

from __future__ import annotations

import pytest

from benchmarks.replicas import arguments


def test_a_replica_is_not_spread_over_all_gpus(capsys):
    """Each would be on every GPU, and call one its own."""
    with pytest.raises(SystemExit):
        arguments.parse(["--folder=there", "--device-map=auto"])
    assert "--device-map auto: expected single, a GPU for each replica" in capsys.readouterr().err
    assert arguments.parse(["--folder=there"]).device_map == "single"
