"""What a session wasn't checked for, because the user lifted or widened bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.common.text import COLUMNS
from benchmarks.machine.bounds import Bounds, Finding
from benchmarks.sessions.doubts import Doubt, some, sum_up

NOT_CHECKED = "not checked (--bounds): "
LOOSELY = "checked loosely (--bounds): "


@dataclass(frozen=True)
class Unchecked:
    """The bounds that don't hold as they should, by name."""

    lifted: tuple[str, ...]
    widened: Mapping[str, float]  # with what they were raised to

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.lifted or self.widened)

    @property
    def all_lifted(self) -> bool:
        """Whether nothing about the machine was checked."""
        return set(self.lifted) >= set(asdict(Bounds()))

    def lines(self) -> list[str]:
        """Return what to say of them: a line for those of each kind."""
        usual: dict[str, float] = asdict(Bounds())
        found = []
        if self.all_lifted:
            found.append(f"{NOT_CHECKED}anything about the machine")
        elif self.lifted:
            found.append(NOT_CHECKED + some(self.lifted, COLUMNS - len(NOT_CHECKED)))
        if self.widened:
            says = [
                f"{name} up to {bound:g}" + (f", not {usual[name]:g}" if name in usual else "")
                for name, bound in self.widened.items()
            ]
            found.append(LOOSELY + some(says, COLUMNS - len(LOOSELY)))
        return found


def of_records(judged: Iterable[Mapping[str, Any] | None]) -> Unchecked:
    """Return what some of these validities, as records have them, weren't held to."""
    lifted: dict[str, None] = {}
    widened: dict[str, float] = {}
    for each in judged:
        lifted.update(dict.fromkeys((each or {}).get("bounds_lifted") or ()))
        widened.update((each or {}).get("bounds_widened") or {})
    return Unchecked(tuple(lifted), widened)


def overlooked(judged: Iterable[tuple[str, Mapping[str, Any] | None]]) -> list[Doubt]:
    """Return why times couldn't be trusted if no bound had been lifted or widened: each cause once.

    `judged`: names, and validities as records have them.
    """
    return sum_up((name, {"findings": _beyond(each or {})}) for name, each in judged)


def _beyond(validity: Mapping[str, Any]) -> list[dict[str, Any]]:
    usual: dict[str, float] = asdict(Bounds())
    loose = {*(validity.get("bounds_lifted") or ()), *(validity.get("bounds_widened") or {})}
    readings = validity.get("readings") or {}
    return [
        Finding(name, value, bound).as_record()
        for name, bound in usual.items()
        if name in loose and isinstance(value := readings.get(name), int | float) and value > bound
    ]
