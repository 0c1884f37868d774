"""Types of arguments that several commands take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def given_path(text: str) -> Path:
    """Return a path, with ~ as a shell has it; an argument parser names what is none."""
    try:
        return files.given(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
