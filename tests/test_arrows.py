"""The arrows between the packages of `benchmarks/`: one way, and no modules in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a package may import beside itself: only what stands above it. "top" are the modules outside
# of packages: the conftests, the benchmarks and `__main__`, which imports commands by their names.
ALLOWED = {
    "common": "",
    "machine": "common",
    "sessions": "machine common",
    "sharing": "sessions common",
    "config": "machine common",
    "modes": "config machine common",
    "splitting": "config machine common",
    "model": "splitting modes config machine common",
    "allocator": "model config machine common",
    "measure": "modes model config machine sessions common",
    "evidence": "allocator modes model splitting config machine common",
    "replicas": "evidence measure model splitting config machine sessions common",
    "verdicts": "sessions common",
    "environments": "sessions common",
    "duet": "environments verdicts evidence measure model machine config sessions common",
    "history": "verdicts sessions common",
    "report": "history sessions config common",
    "page.figures": "duet report verdicts sessions machine common",
    "page": "page.figures duet report history verdicts sessions common",
    "export": "page report history sessions common",
    "commands": "export page report history duet environments verdicts sharing sessions config "
    "machine common",
    "pytest_session": "page report verdicts evidence model splitting sessions config machine "
    "common",
    "top": "pytest_session report replicas evidence measure model splitting machine config common",
}
MOST = 13  # modules in a folder, so that a reader finds the room for a change in a minute


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Return what each module imports of ours, lazy imports and those for types included."""
    files = [ROOT / "conftest.py", *(ROOT / "benchmarks").rglob("*.py")]
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    found: dict[str, set[str]] = {}
    for name, file in names.items():
        asked: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                asked |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
        found[name] = asked & names.keys()
    return found


def _package(module: str) -> str:
    return module.removeprefix("benchmarks.").rpartition(".")[0] or "top"


def test_a_package_imports_only_what_stands_above_it(imports: dict[str, set[str]]) -> None:
    """An import against the arrows is named, wherever it stands; so is a package without a row."""
    rows = list(ALLOWED)
    for package, allowed in ALLOWED.items():
        assert set(allowed.split()) <= set(rows[: rows.index(package)]), package
    wrong = [
        f"{module} imports {each}"
        for module, imported in sorted(imports.items())
        for each in sorted(imported)
        if _package(each) not in (_package(module), *ALLOWED.get(_package(module), "").split())
    ]
    assert not wrong, "; ".join(wrong)
    assert {_package(module) for module in imports} == set(rows)


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    """Two modules that need each other's names are one, or a third is missing."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_folder_holds_about_a_dozen_modules(imports: dict[str, set[str]]) -> None:
    """One that needs more of them is two."""
    rooms = Counter(_package(each) for each in imports if not each.endswith("__init__"))
    assert not {package: rooms[package] for package in rooms if rooms[package] > MOST}
