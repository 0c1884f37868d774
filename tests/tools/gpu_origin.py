"""Where the figures of a step come from: commit and machine."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.machine import device
from benchmarks.sessions import pytest_format

if TYPE_CHECKING:
    from collections.abc import Mapping


def origin(name: str) -> dict[str, Any]:
    """Return what a step's file says of it, for a device of this name.

    It may open the GPU in this process, where a session's would be a stranger's: see `is_here`.
    """
    commit = pytest_format.commit_info()
    here = device.machine_info(device.resolve(name, "single"))
    return {"commit": commit["id"], "dirty": commit["dirty"], **here}


def is_here(hardware: Mapping[str, Any], name: str) -> bool:
    """Whether what a call kept that was cut short is of the card that this one has.

    A process of its own looks: this one may start sessions, for which it mustn't hold the GPU.
    """
    return bool(hardware.get("card") == _hardware(name).get("card"))


@cache
def _hardware(name: str) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "tests.tools.gpu_origin", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: Mapping[str, Any] = json.loads(done.stdout)["hardware"]
    return found


if __name__ == "__main__":
    print(json.dumps(origin(sys.argv[1])))
