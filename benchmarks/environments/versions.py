"""Whether a duet can have the versions of the base. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions import comparable

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if beyond := comparable.beyond_a_duet(changed):
        differ = [f"{name} {a or 'unknown'} -> {b or 'unknown'}" for name, (a, b) in beyond.items()]
        raise InputError(
            f"{', '.join(differ)}: a duet can't lay that over this environment; compare two "
            "environments by hand, or accept the session with `promote --force REASON`"
        )
    return comparable.as_spec(changed)
