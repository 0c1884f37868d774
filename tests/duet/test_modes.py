"""A duet in another generation mode: its workers run it, and its results are named after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError
from tests import virtual
from tests.duets import duet_of, given, read

if TYPE_CHECKING:
    from pathlib import Path


def test_both_sides_run_in_the_mode_that_is_asked_for(
    environment: dict[str, str],
    machine: virtual.Machine,  # noqa: ARG001 (it is installed)
    tmp_path: Path,
) -> None:
    """Workers attest it, and its rounds join those of a session by their names."""
    model = f"--model={virtual.ONE_LAYER}"
    duet_of(tmp_path, environment, model, "--generation=static", "--max-restarts=1").run()
    for side in ("base", "head"):
        (content,) = read(tmp_path / "out", side)
        (bench,) = content["benchmarks"]
        assert bench["fullname"].endswith("::test_throughput[bf16-static-b1-p16-n2]")
        info: dict[str, Any] = bench["extra_info"]
        assert info["workload"]["generation"] == "static"
        assert info["attestation"]["generation"]["cache"] == "StaticCache"


def test_a_duet_takes_one_mode() -> None:
    """Several would be several comparisons; the line names them."""
    arguments = given("--device=cpu", "--generation=static,compiled")
    with pytest.raises(InputError, match="expected one mode for both sides, got static, compiled"):
        measuring.conditions(arguments)
