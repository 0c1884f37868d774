"""Host work: how many functions of Python and of C the interpreter calls. Counted, not timed.

The same code gives the same numbers in every process, on any machine, beside anything: what a busy
host can't touch. CPython calls each of its functions at one place, so a function more is seen.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

TOP = 300  # functions that are stored, those that were called most: on most models all
OURS = "benchmarks."  # what the suite itself calls isn't the work under test


class Calls:
    """Counts the calls that this thread makes inside of it, by function.

    `other` is the name of the profiler that the interpreter has already: it has but one, so then
    nothing is counted.
    """

    def __init__(self) -> None:
        self.other = active_profiler()
        self._modules: dict[CodeType, str] = {}  # of each function that was seen
        self._python: dict[CodeType, int] = {}
        self._c: dict[tuple[CodeType, str | None, str], int] = {}  # by caller, module and name

    def __enter__(self) -> None:
        if self.other is None:
            sys.setprofile(self._counting())

    def __exit__(self, *_: object) -> None:
        if self.other is None:
            sys.setprofile(None)

    def _counting(self) -> Callable[[FrameType, str, Any], None]:
        """Return what counts an event. It is called half a million times: so it does no more."""
        modules, python, c = self._modules, self._python, self._c

        def count(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                code = frame.f_code
                if code in python:
                    python[code] += 1
                else:
                    python[code] = 1
                    modules[code] = frame.f_globals.get("__name__") or "?"
            elif event == "c_call":
                code = frame.f_code
                key = code, getattr(argument, "__module__", None), argument.__qualname__
                if key in c:
                    c[key] += 1
                else:
                    c[key] = 1
                    modules[code] = frame.f_globals.get("__name__") or "?"

        return count

    def record(self) -> dict[str, Any]:
        """Return both totals, and the functions that were called most, by their names.

        Keys: `python_calls`, `c_calls`, and by name `functions` and `c_functions`; none of them if
        nothing was counted.
        """
        if self.other is not None:
            return {}
        python: Counter[str] = Counter()
        for code, count in self._python.items():
            if not self._is_ours(code):
                python[f"{self._modules[code]}.{code.co_qualname}"] += count
        c: Counter[str] = Counter()
        for (caller, owner, name), count in self._c.items():
            if not self._is_ours(caller):
                c[f"{owner}.{name}" if owner else name] += count
        return {
            "python_calls": python.total(),
            "c_calls": c.total(),
            "functions": _most(python),
            "c_functions": _most(c),
        }

    def _is_ours(self, code: CodeType) -> bool:
        return self._modules[code].startswith(OURS)


@contextmanager
def collected() -> Iterator[None]:
    """Collect garbage, and not again inside: what that would call differs each time."""
    gc.collect()
    with uncollected():
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage inside: among half a million events it takes half of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def active_profiler() -> str | None:
    """Return the name of the profiler that this thread's interpreter has; None without one."""
    if (profiler := sys.getprofile()) is not None:
        return getattr(profiler, "__qualname__", type(profiler).__qualname__)
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12, where cProfile uses it
    return monitoring.get_tool(monitoring.PROFILER_ID) if monitoring else None


def _most(counts: Counter[str]) -> dict[str, int]:
    """Return the largest counts, in an order that is the same every time."""
    order = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return dict(order[:TOP])
