"""Files of entries about verdicts: TOML tables, each with patterns of a benchmark and a metric."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.sessions.outcome import COMPARED, TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from benchmarks.sessions.outcome import Verdict

PATTERNS = {
    "benchmark": 'a text, as in "*::test_throughput[int8-decomp-*]"',
    "metric": 'a text, as in "tpot_s"',
}


def read(path: Path, table: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries of a file in its order, each with its place; none if there is no file.

    Raises InputError, in one line, if it holds anything but [[table]].
    """
    if not path.exists():
        return []
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got something else ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: can't read it ({error.strerror}); check the path") from error
    if unknown := sorted(content.keys() - {table}):
        raise InputError(f"{path}: expected [[{table}]], got {unknown[0]!r}; correct its name")
    entries = content.get(table, [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{path}: expected [[{table}]] with two brackets on each side")
    return [(f"{path}, entry {n}", each) for n, each in enumerate(entries, start=1)]


def check(
    where: str,
    entry: Mapping[str, Any],
    expected: Mapping[str, str],
    fits: Callable[[str, Any], bool],
    optional: Collection[str] = (),
) -> None:
    """Raise InputError, in one line that names entry and key, if something isn't as expected."""
    if unknown := sorted(entry.keys() - expected.keys()):
        (near,) = get_close_matches(unknown[0], expected, n=1, cutoff=0)
        raise InputError(
            f"{where}: expected one of {', '.join(expected)}; got {unknown[0]!r}; "
            f"correct its name: the nearest is {near!r}"
        )
    for key, says in expected.items():
        if key not in entry:
            if key in optional:
                continue
            raise InputError(f"{where}: {key} is missing; add {says}")
        if not fits(key, entry[key]):
            raise InputError(f"{where}: {key}: expected {says}; got {entry[key]!r}")


def is_text(value: Any) -> bool:
    """Whether a value is a text of one line that says something."""
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value.strip()


def is_number(value: Any, *, least: float = 0.0) -> bool:
    """Whether a value is a number from `least` on, and no infinite one."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and least <= value < float("inf")


def matches(pattern: str, name: str) -> bool:
    """Match with * and ?. fnmatch would take the brackets of a test id for a set of characters."""
    wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, name, re.DOTALL) is not None


def covers(pattern: str, of_metric: str, benchmark: str, metric: str) -> bool:
    """Whether an entry's two patterns match a benchmark and its metric."""
    return matches(pattern, benchmark) and matches(of_metric, metric)


def mistyped(word: str, benchmark: str, metric: str, verdicts: Sequence[Verdict]) -> str | None:
    """Return a line if an entry's metric seems to be mistyped: nothing that was judged has it.

    `word`: what the entry is one of. None if not all was compared: what is missing may have it.
    """
    judged = [each for each in verdicts if matches(benchmark, each.benchmark)]
    metrics = sorted({each.metric for each in judged})
    unsure = any(each.outcome not in COMPARED for each in judged)
    if not metrics or unsure or any(matches(metric, each) for each in (*metrics, *TIMES)):
        return None
    (near,) = get_close_matches(metric, metrics, n=1, cutoff=0)
    return (
        f"{word}: no {metric!r} was judged of {benchmark}; "
        f"if its name is mistyped, the nearest is {near!r}"
    )
