"""Where the figures of a step come from: commit and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.machine import device
from benchmarks.sessions import pytest_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.tools.gpu_plan import Plan


def origin(plan: Plan) -> dict[str, Any]:
    """Return what a step's file says of it."""
    commit = pytest_format.commit_info()
    here = device.machine_info(device.resolve(plan.device, "single"))
    return {"commit": commit["id"], "dirty": commit["dirty"], **here}


def same_card(known: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether what a call kept that was cut short was measured on the card of this one."""
    return bool("hardware" in known) and _card(known) == _card(here)


def _card(content: Mapping[str, Any]) -> Any:
    return content["hardware"].get("card")
