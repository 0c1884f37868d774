"""The example of docs/duet.md, which `make examples` renews: its shape is that of today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.duet import progress, schedule
from benchmarks.environments.overlay import CURRENT
from tests.docs import shapes
from tests.duets import made
from tests.local_packages import pip_variables, write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALLING = """
import torch
choose = torch.argmax
def nothing():
    pass
def calling(*arguments, **options):
    for _ in range(1000):
        nothing()
    return choose(*arguments, **options)
torch.argmax = calling
"""


@pytest.fixture(scope="module")
def variables(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Return an environment in which pip finds a release that calls more functions in each step."""
    index = tmp_path_factory.mktemp("index")
    write_wheel(index, "calling", "1.0", CALLING)
    return {**environment, **pip_variables(index)}


def test_the_example_of_a_duet_is_current(command: Callable[..., tuple[int, str]]) -> None:
    """Against a release that asks more of the host, by the work alone."""
    status, said = command("duet", "--work", "--base=calling==1.0", "--new-tokens=12")
    assert status == 0, said
    # The release is of a package whose version is not reported; that of a reported one is said so.
    played, sides = made(), dict.fromkeys(schedule.SIDES, CURRENT)
    for side, version in zip(schedule.SIDES, ("0.0.1", "0.0.2"), strict=True):
        loaded = {"bitsandbytes": {"version": version}}
        played.started[side] = {**played.started[side], "loaded": loaded}
    described = "\n".join(progress.describe_sides(played, sides))
    shapes.is_current("duet", f"{described}\n{said}")
