"""Packages that the tests build themselves: small wheels, and checkouts that pip can install."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

# What makes decoding slow: each choice of a token sleeps. Nothing of it is in the suite.
SLOW = """
import time
import torch
choose = torch.argmax
def slow(*arguments, **options):
    time.sleep(0.03)
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
