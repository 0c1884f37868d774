"""The stored sessions of a folder as a table: what each measured, and whether it is a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.common.text import COLUMNS, align, rate, wrapped
from benchmarks.sessions import commit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.sessions.session import Measured, Session

HEADER, WORKLOAD = ("session", "saved", "commit", "tokens/s", "state"), "workload"
NAME = 22  # characters of a file's name; the workload has what the others leave
GAP = 2
LEAST = 8  # characters of a model's name
DIRTY = "+: with changes that weren't committed"


class Row(NamedTuple):
    """A session, the name of its file in its folder, its state, and why in whole sentences."""

    name: str
    session: Session
    state: str
    why: str = ""


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table of one folder; why a session is what it is stands below its line."""
    cells = [HEADER, *(_cells(each) for each in rows)]
    others = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = COLUMNS - sum(others) - GAP * len(HEADER)
    workloads = [WORKLOAD, *(_workload(each.session, room) for each in rows)]
    table = [[*row[:3], work, *row[3:]] for row, work in zip(cells, workloads, strict=True)]
    header, *aligned = align(table, left=(0, 1, 2, 3, 5))
    found = [header]
    for line, row in zip(aligned, rows, strict=True):
        found += [line, *wrapped(row.why, indent=4)]
    if any(row.session.commit.get("dirty") for row in rows):
        found.append(DIRTY)
    return found


def _cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a session, but for its workload."""
    session = row.session
    known = commit.known(session)
    version = f"{known[:8]}{'+' if session.commit.get('dirty') else ''}" if known else "-"
    found = _throughput(session)
    per_s = found[0].metrics.get("tokens_per_s") if found else None
    speed = "-" if per_s is None else rate(per_s)
    return _cut(row.name, NAME), session.when[:16].replace("T", " "), version, speed, row.state


def _workload(session: Session, room: int) -> str:
    """Return the model, as much of its name as there is room for, the parameters, and the rest."""
    found = _throughput(session)
    if not found:
        return "-"
    parameters = found[0].fullname.partition("[")[2].rstrip("]")
    more = f"+{len(found) - 1}" if len(found) > 1 else ""
    rest = " ".join(filter(None, (parameters, more)))
    model = str(found[0].workload.get("model") or "").rstrip("/").rpartition("/")[2]
    return f"{_cut(model, max(room - len(rest) - 1, LEAST))} {rest}".strip()


def _throughput(session: Session) -> list[Measured]:
    """Return the benchmarks that stand for a session: others are of one token, or cold rounds."""
    found = list(session.measured.values())
    return [each for each in found if "::test_throughput[" in each.fullname] or found


def _cut(text: str, most: int) -> str:
    """Return a text, without its middle if it is too long: both ends of a name tell it apart."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
