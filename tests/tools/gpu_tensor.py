"""A step of `make gpu-check` by name: a model on one GPU, and split over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.tools.gpu_plan import Plan
from tests.tools.gpu_steps import session

if TYPE_CHECKING:
    from pathlib import Path


def tensor(folder: Path, plan: Plan) -> dict[str, Any]:
    """Time each layer on one device, and with a part of it on each; both sessions are kept."""
    found = {}
    for device_map, benchmark in (("single", "throughput"), ("tensor", "tensor_parallel")):
        file = folder / "tensor" / f"{device_map}.json"
        options = [f"-k={benchmark}", f"--device-map={device_map}", *plan.tensor]
        found[device_map] = session(file, plan, options)["file"]
    return {"files": found}
