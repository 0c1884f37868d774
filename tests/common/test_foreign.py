"""Errors of other libraries: one line that names library and frame, and a file with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file

from benchmarks.common import foreign
from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def error(tmp_path: Path) -> Exception:
    """Return an error of another library, with its frames."""
    with pytest.raises(FileNotFoundError) as caught:
        load_file(tmp_path / "none")
    return caught.value


def test_a_line_has_the_library_and_its_last_frame(error: Exception) -> None:
    """An error that no other library raised has no such line."""
    line = foreign.as_line(error)
    assert line
    assert line.startswith("safetensors: FileNotFoundError: No such file or directory: ")
    assert " (safetensors/torch.py:" in line
    assert line.endswith(", in load_file)")
    assert foreign.as_line(ValueError("ours")) is None


def test_what_wraps_it_says_what_could_not_be_done_and_keeps_the_traceback(
    error: Exception, tmp_path: Path
) -> None:
    """Also of an error without frames, which hold a model's tensors."""
    plain = foreign.PlainError(error)
    assert plain.__traceback__ is plain.__context__ is plain.__cause__ is None
    for each in (error, plain):
        found = foreign.wrapped("--model x: can't load it", each)
        assert isinstance(found, InputError)
        assert str(found) == f"--model x: can't load it: {foreign.as_line(error)}"
        file = tmp_path / "new" / "x.traceback.txt"
        assert foreign.keep(found, file) == f"its traceback is in {file}"
        assert "in load_file\n" in file.read_text()
    refused = foreign.keep(found, file / "inside")
    assert refused.startswith("its traceback can't be written: ")


def test_an_error_of_no_library_is_wrapped_as_it_is() -> None:
    """One that was raised without frames still says its kind."""
    assert str(foreign.wrapped("a", ValueError("b\nc"))) == "a: ValueError: b"
