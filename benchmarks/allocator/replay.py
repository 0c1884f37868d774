"""A history of allocations, replayed up to its peak: what was held then, and for what. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WEIGHTS = "weights"
CACHE = "kv_cache"
ACTIVATIONS = "activations"
WORKSPACE = "workspace"  # that bitsandbytes takes and gives back within its own calls
OTHER = "other"  # that was there before: prompts, workspaces of libraries
ROUNDING = "rounding"  # of the allocator, whose blocks are larger than what is asked for
HOLDERS = (WEIGHTS, CACHE, ACTIVATIONS, WORKSPACE, OTHER, ROUNDING)  # in the order they are shown

QUANTIZED = "bitsandbytes"  # whose calls asked for it; what outlives them is an activation
# Parts of paths below the packages: a checkout may lie in a folder of a package's name.
INSIDE = ("nn/", "autograd/", "backends/", "functional.py", "_ops.py")
FILES = {"transformers/cache_utils.py": CACHE} | {
    f"bitsandbytes/{part}": QUANTIZED for part in INSIDE
}


class Held(NamedTuple):
    """Bytes at an address, and what they are held for."""

    bytes: int
    holder: str


class Event(NamedTuple):
    """Bytes that were taken at an address; 0 if the address was given back.

    `place` is whose code asked for them: CACHE, QUANTIZED, or ACTIVATIONS for any other.
    """

    address: int
    bytes: int
    place: str = ACTIVATIONS


Live = Mapping[int, Held]  # by address


@dataclass(frozen=True)
class Peaks:
    """What the allocator itself says of a phase: bytes of its blocks, and those asked for."""

    allocated_bytes: int
    requested_bytes: int


@dataclass(frozen=True)
class History:
    """What was live when a phase began, and what was taken and given back in it."""

    before: Live
    events: Sequence[Event]


@dataclass(frozen=True)
class Recorded:
    """The histories of a phase, one for each device; and all that torch has of them, pickled.

    `peaks` is None if no allocator counts, as on the CPU.
    """

    steps: range | None
    histories: Sequence[History]
    peaks: Peaks | None = None
    snapshot: bytes = b""


def place_of(files: Iterable[str]) -> str:
    """Return whose code asks for memory, by the files of its stack, innermost first."""
    for file in files:
        for part, place in FILES.items():
            if part in file:
                return place
    return ACTIVATIONS


def at_peak(before: Live, events: Sequence[Event]) -> tuple[Counter[str], dict[int, Held]]:
    """Return the bytes of each holder at the first moment of most bytes, and what is live at last.

    `before` is what is live at first. What was given back, and never taken, is left alone.
    """
    short = _short_lived(events)
    live = dict(before)
    now: Counter[str] = Counter()
    for held in live.values():
        now[held.holder] += held.bytes
    total = most = now.total()
    peak = now.copy()
    for number, event in enumerate(events):
        gone = live.pop(
            event.address, None
        )  # also if its end wasn't recorded, and it is taken anew
        if gone:
            now[gone.holder] -= gone.bytes
            total -= gone.bytes
        if not event.bytes:
            continue
        live[event.address] = held = Held(event.bytes, _holder(event, number in short))
        now[held.holder] += held.bytes
        total += held.bytes
        if total > most:
            most, peak = total, now.copy()
    return peak, live


def _holder(event: Event, is_short: bool) -> str:  # noqa: FBT001 (what the caller has just asked)
    if event.place == QUANTIZED:
        return WORKSPACE if is_short else ACTIVATIONS
    return event.place


def _short_lived(events: Sequence[Event]) -> set[int]:
    """Return the events by which bitsandbytes took what it gave back within its own calls.

    So before anybody else took anything: what it returns outlives that, as an activation.
    """
    taken: dict[int, int] = {}
    found = set()
    for number, event in enumerate(events):
        if not event.bytes:
            if event.address in taken:
                found.add(taken.pop(event.address))
        elif event.place == QUANTIZED:
            taken[event.address] = number
        else:
            taken.clear()
    return found
