"""The candidates of a bisection: releases of a package, in order."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from benchmarks.common import process
from benchmarks.common.errors import InputError
from benchmarks.common.git import SECONDS


def releases(
    package: str,
    good: str,
    bad: str,
    variables: Mapping[str, str],
    say: Callable[[str], None],
) -> list[str]:
    """Return the releases from good to bad, in order, as the package index has them.

    Without pre-releases, unless an end of the search is one: nobody ships them. They are named by
    `say`. Raises InputError if it can't be asked, or lacks one of them.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--pre"]
    done = process.run(command, variables, SECONDS)
    found = re.search(r"^Available versions: (.+)$", done.output, re.MULTILINE)
    if done.status or not found:
        raise InputError(
            f"--package {package}: can't ask the package index: {done.last_line}; "
            "check the name and the network"
        )
    known = {Version(text.strip()): text.strip() for text in found[1].split(",")}
    ordered = [known[version] for version in sorted(known)]
    first, last = (_as_known(known, name) for name in (good, bad))
    inner = between(ordered, first, last, f"releases of {package}")
    kept = [each for each in inner if each in (first, last) or not Version(each).is_prerelease]
    if left_out := [each for each in inner if each not in kept]:
        say(f"left out, as pre-releases: {', '.join(left_out)}")
    return kept


def between(ordered: Sequence[str], good: str, bad: str, what: str) -> list[str]:
    """Return the part of an ordered list from one name to a later one. Raises InputError."""
    for option, name in (("--good", good), ("--bad", bad)):
        if name not in ordered:
            known = f"{ordered[0]} to {ordered[-1]}" if ordered else "none"
            raise InputError(f"{option} {name}: expected one of the {what} ({known})")
    start, stop = ordered.index(good), ordered.index(bad)
    if start >= stop:
        raise InputError(f"--good {good}: expected it before --bad {bad} among the {what}")
    return list(ordered[start : stop + 1])


def _as_known(known: Mapping[Version, str], name: str) -> str:
    """Return a version as the index writes it: 1.0 and 1.0.0 are the same; as it is if unknown."""
    try:
        return known.get(Version(name), name)
    except InvalidVersion:
        return name
