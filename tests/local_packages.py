"""Packages that the tests build themselves: small wheels, and checkouts that pip can install."""

from __future__ import annotations

import base64
import hashlib
import os
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What makes decoding slow, on the tests' machine: each choice of a token takes time.
SLOW = """
import torch
from tests import virtual
choose = torch.argmax
def slow(*arguments, **options):
    virtual.ACTIVE[-1].spend(0.03)
    return choose(*arguments, **options)
torch.argmax = slow
"""
BROKEN = "raise ImportError('made to fail')\n"

# A build backend of its own: pip then needs no package index for a build.
BACKEND = """
import pathlib, re, sys
sys.path.insert(0, {tests!r})
from local_packages import write_wheel
def build_wheel(folder, config_settings=None, metadata_directory=None):
    {before}
    text = pathlib.Path("{name}.py").read_text()
    return write_wheel(pathlib.Path(folder), "{name}", "1.0", text).name
"""


def pip_variables(index: Path) -> dict[str, str]:
    """Return the environment variables with which pip finds only what is in a folder."""
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}


@contextmanager
def pip_in_forks() -> Iterator[None]:
    """Let pip start as a fork of this process, where most of it is imported already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # setuptools, if it is there, minds that pip comes later
        import pip._internal.commands.index
        import pip._internal.commands.install  # noqa: F401 (it is there, then)

    from tests import forking

    with forking.instead_of_new_processes():
        yield


def write_wheel(folder: Path, name: str, version: str, module: str, padding: int = 0) -> Path:
    """Write a wheel of one module; `padding` are the bytes of a file beside it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n{module}".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if padding:
        files[f"{name}.bin"] = bytes(padding)
    rows = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


def write_checkout(folder: Path, name: str, module: str, before: str = "pass") -> Path:
    """Write the sources of a package into a folder; `before` runs when it is built."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
    )
    tests = str(Path(__file__).parent)
    (folder / "backend.py").write_text(BACKEND.format(name=name, before=before, tests=tests))
    (folder / f"{name}.py").write_text(module)
    return folder


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
