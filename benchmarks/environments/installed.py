"""What this interpreter really loads: versions of packages, and where they come from.

It runs in the environments that a duet compares, so it needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

# Not imported: a folder of a wheel that isn't meant as a package, and would load what it likes.
JUNK = frozenset({"tests", "test", "docs", "examples", "benchmarks"})


def report(packages: list[str]) -> dict[str, dict[str, str | None]]:
    """Return, for Python and each package that is installed, its version, place and contents.

    `contents` is a hash of the hashes in its RECORD: equal if the same files were installed,
    wherever to; None if an installer left no RECORD.
    """
    from benchmarks.common.packages import COMPARED  # which an overlay on its own doesn't need

    found: dict[str, dict[str, str | None]] = {
        "python": {
            "version": platform.python_version(),
            "place": sys.base_prefix,
            "contents": None,
        }
    }
    for name in dict.fromkeys((*COMPARED, *packages)):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = {
            "version": distribution.version,
            "place": str(Path(str(distribution.locate_file(""))).resolve()),
            "contents": _contents(distribution),
        }
    return found


def identical(ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> bool:
    """Whether two reports stand for the same code: same versions, and same contents or place."""
    return ours.keys() == theirs.keys() and all(
        ours[name]["version"] == theirs[name]["version"]
        and (
            name == "python"
            or ours[name]["place"] == theirs[name]["place"]
            or (ours[name]["contents"] or "") == theirs[name]["contents"]
        )
        for name in ours
    )


def packages_in(folder: Path) -> list[str]:
    """Return the names of the packages that were installed into a folder."""
    return sorted(str(each.metadata["Name"]) for each in metadata.distributions(path=[str(folder)]))


def import_overlay(folder: Path) -> None:
    """Import what was installed into a folder, and check that it is what gets imported.

    So a package that acts on others by being imported does act. Raises ImportError otherwise.
    """
    for distribution in metadata.distributions(path=[str(folder)]):
        name = distribution.metadata["Name"]
        if metadata.version(name) != distribution.version:
            raise ImportError(
                f"{name}: expected {distribution.version} of the overlay, got "
                f"{metadata.version(name)}; another folder comes first on the path"
            )
        for module in _modules(distribution):
            file = getattr(import_module(module), "__file__", None)
            if file is None or not Path(file).resolve().is_relative_to(folder.resolve()):
                raise ImportError(f"{module}: expected it from {folder}, got {file}")


def _modules(distribution: metadata.Distribution) -> list[str]:
    """Return the modules that a package brings at its top."""
    tops = set()
    for file in distribution.files or ():
        if len(file.parts) == 1 and file.suffix == ".py":
            tops.add(file.stem)
        elif len(file.parts) == 2 and file.name == "__init__.py":
            tops.add(file.parts[0])
    return sorted(top for top in tops - JUNK if top.isidentifier() and not top.startswith("_"))


def _contents(distribution: metadata.Distribution) -> str | None:
    """Hash a RECORD but for what installing adds: caches, and notes on how it was installed."""
    record = distribution.read_text("RECORD")
    if not record:
        return None
    lines = sorted(
        line
        for line in record.splitlines()
        if ".dist-info/" not in line and ".pyc" not in line and not line.startswith("..")
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    import_overlay(Path(sys.argv[1]))
