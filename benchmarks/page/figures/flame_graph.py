"""Folded stacks as a flame graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.text import duration, percent
from benchmarks.page.figures.kit import MOST_NAME, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
SMALLEST = 0.002  # share of the whole below which a frame is left out of a flame graph
SAME = 0.95  # share of its parent from which an only child is drawn together with it
MOST_FRAMES = 6  # of a box that are named
FRAMES = 15  # rows of the table of a flame graph


@dataclass
class Node:
    """A frame of a stack: microseconds below it and in itself, and what it called."""

    name: str
    total: int = 0
    own: int = 0
    called: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Flame:
    """A flame graph: `boxes` of (depth, start and width as shares, name, frames, microseconds)."""

    title: str
    boxes: Sequence[tuple[int, float, float, str, str, int]]
    total: int
    table: Table


def flames(folder: Path, phase: str) -> Iterator[Flame]:
    """Yield the flame graphs of a phase out of the stacks that a profile left in a folder."""
    for where in ("host", "device"):
        path = folder / f"{phase}.{where}.stacks.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            yield flame(f"Flame graph: {phase}, {where}", lines)


def flame(title: str, lines: Sequence[str]) -> Flame:
    """Lay out lines of `frame;frame;frame microseconds`; lines of another form are left out."""
    root = Node("all")
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if stack and number.isascii() and number.isdigit():
            _add(root, stack.split(";"), int(number))
    own: Counter[str] = Counter()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        own[node.name] += node.own
        waiting += node.called.values()
    rows = [
        (name[:MOST_NAME], duration(us / 1e6), percent(us / root.total))
        for name, us in own.most_common(FRAMES)
        if us
    ]
    table = Table(("frame", "own time", "share"), rows)
    return Flame(title, _boxes(root), root.total, table)


def _add(root: Node, frames: Sequence[str], own: int) -> None:
    node = root
    node.total += own
    for frame in frames:
        node = node.called.setdefault(frame, Node(frame))
        node.total += own
    node.own += own


def _boxes(root: Node) -> list[tuple[int, float, float, str, str, int]]:
    """Return a box for each frame that is wide enough, callers above what they call.

    Frames that do little but call one other are drawn as one box, under the most telling name.
    """
    boxes = []
    waiting = [(root, 0, 0.0)]
    while waiting:
        top, depth, start = waiting.pop()
        chain = [top] if top is root else _chain(top)
        names = [node.name for node in chain]
        width = top.total / root.total if root.total else 0
        frames = " > ".join(names[-MOST_FRAMES:])
        boxes.append((depth, start, width, _telling(names)[:MOST_NAME], frames, top.total))
        for child in sorted(chain[-1].called.values(), key=lambda each: -each.total):
            share = child.total / root.total
            if share >= SMALLEST:
                waiting.append((child, depth + 1, start))
                start += share
    return boxes


def _chain(node: Node) -> list[Node]:
    """Return a frame and those below it, as long as each does little but call the next."""
    chain = [node]
    while len(chain[-1].called) == 1:
        (child,) = chain[-1].called.values()
        if child.total < SAME * chain[-1].total:
            break
        chain.append(child)
    return chain


def _telling(names: Sequence[str]) -> str:
    """Return the name that says most of a chain: its operator, its module, or the last."""
    for mark in ("::", "nn.Module: "):
        if marked := [name for name in names if mark in name]:
            return marked[-1]
    return names[-1]
