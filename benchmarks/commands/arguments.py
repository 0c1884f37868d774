"""Types of arguments that several commands take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.sessions import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def given_path(text: str) -> Path:
    """Return a path, with ~ as a shell has it; an argument parser names what is none."""
    return _given(text, files.given)


def given_storage(text: str) -> Path:
    """Return a folder of sessions, which pytest's --benchmark-storage would take as well."""
    return _given(text, storage.folder_of)


def _given(text: str, read: Callable[[str], Path]) -> Path:
    try:
        return read(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
