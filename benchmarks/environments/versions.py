"""Which versions differ from those of the base, and whether a duet can have those. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.comparable import TREATMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.sessions.session import Session

LAID_OVER = ("transformers", "bitsandbytes", "accelerate")  # what a duet's base can bring itself
PINNED = (*LAID_OVER, "torch")


def of_sessions(base: Session, head: Session) -> dict[str, tuple[Any, Any]]:
    """Return the versions that differ between two sessions, then and now; None if unknown."""
    then, now = (each.machine.get("software") or {} for each in (base, head))
    pairs = {name: (then.get(name), now.get(name)) for name in TREATMENT}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def of_pins(text: str, installed: Mapping[str, str]) -> dict[str, tuple[Any, Any]]:
    """Return where the pins of a constraints file differ from what is installed, then and now.

    What isn't pinned is unknown, and so differs.
    """
    pins = dict(re.findall(r"^([\w.-]+) *== *([^\s;#]+)", text, re.MULTILINE))
    # A pin of torch leaves open for which CUDA it was built: 2.13.0 is 2.13.0+cu130 as well.
    return {
        name: (pins.get(name), now)
        for name, now in installed.items()
        if pins.get(name) not in (now, now.partition("+")[0])
    }


def requirements(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the versions of the base as the SPEC of an overlay.

    Raises InputError, which names them, if there are some that an overlay can't bring.
    """
    if beyond := [
        f"{name} {then or 'unknown'} -> {now or 'unknown'}"
        for name, (then, now) in changed.items()
        if name not in LAID_OVER or not then
    ]:
        raise InputError(
            f"{', '.join(beyond)}: a duet can't lay that over this environment; compare two "
            "environments by hand, or accept the session with `promote --force REASON`"
        )
    return ",".join(f"{name}=={then}" for name, (then, _) in changed.items())
