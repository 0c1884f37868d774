"""The versions that are promised: lower bounds that are run, pins that are allowed, one Python."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from benchmarks.environments import overlay

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
OLDEST = ".".join(map(str, overlay.OLDEST))


def wanted():
    """Return what the project depends on, tools included: the bounds by name."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(each) for one in lists for each in one]
    return {
        canonicalize_name(each.name): each.specifier
        for each in found
        if each.name != PROJECT["name"]
    }


def pinned(name):
    """Return the versions of a constraints file by name."""
    found = [
        Requirement(line)
        for line in (ROOT / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"==[^=*]+", str(each.specifier)) for each in found)
    return {
        canonicalize_name(each.name): Version(str(each.specifier).removeprefix("=="))
        for each in found
    }


def test_the_lowest_versions_are_the_lower_bounds():
    """What `make test-lowest` runs is what pyproject.toml promises, package by package."""
    bounds = {
        name: [Version(each.version) for each in specifiers if each.operator == ">="]
        for name, specifiers in wanted().items()
    }
    lowest = pinned("constraints-lowest.txt")
    assert bounds == {name: [version] for name, version in lowest.items()}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt"])
def test_every_dependency_is_pinned_within_its_bounds(name):
    """So that nothing that is tested is a version that nobody chose."""
    pins = pinned(name)
    assert not wanted().keys() - pins.keys()
    assert all(pins[each] in bounds for each, bounds in wanted().items())


def test_one_python_is_the_oldest_everywhere():
    """What is promised is what tools check, CI runs, and a duet asks of an interpreter."""
    assert PROJECT["requires-python"] == f">={OLDEST}"
    assert SETTINGS["tool"]["mypy"]["python_version"] == OLDEST
    assert SETTINGS["tool"]["ruff"]["target-version"] == f"py{OLDEST.replace('.', '')}"
    jobs = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]
    versions = jobs["checks"]["strategy"]["matrix"]["python-version"]
    assert min(versions, key=Version) == OLDEST
    (set_up,) = [
        step["with"] for step in jobs["lowest"]["steps"] if "setup-python" in step.get("uses", "")
    ]
    assert set_up["python-version"] == OLDEST


def test_pytest_itself_asks_for_its_lower_bound():
    """`minversion` would otherwise refuse a release that may be installed, or let one pass."""
    settings = ConfigParser()
    settings.read(ROOT / "pytest.ini")
    assert Version(settings["pytest"]["minversion"]) == pinned("constraints-lowest.txt")["pytest"]
