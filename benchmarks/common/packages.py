"""The packages under test: which are compared, and which a duet can bring. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Package:
    """A package whose version every session stores, and what another version of it means."""

    name: str
    compared: bool = True  # another version is what is compared
    laid_over: bool = False  # pip installs it without its dependencies, over an environment
    named: bool = True  # if there is room for few


PACKAGES = (
    Package("torch"),  # with libraries of CUDA of its own version, which are packages themselves
    Package("transformers", laid_over=True),
    Package("bitsandbytes", laid_over=True),
    Package("accelerate", laid_over=True, named=False),
    Package("pytest-benchmark", compared=False, named=False),
)
COMPARED = tuple(each.name for each in PACKAGES if each.compared)
LAID_OVER = tuple(each.name for each in PACKAGES if each.laid_over)
TREATMENT = (*COMPARED, "python", "cuda", "driver")


def in_short(software: Mapping[str, Any]) -> str:
    """Return the versions of the most important packages; empty if none is known."""
    names = (each.name for each in PACKAGES if each.named and software.get(each.name))
    return ", ".join(f"{name} {software[name]}" for name in names)
