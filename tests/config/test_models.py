"""Names of models: how several are given, what ids say of them, and where one alone may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.__main__ import main
from benchmarks.common.errors import InputError
from benchmarks.config import models
from tests.config.test_settings import build

if TYPE_CHECKING:
    from pathlib import Path

TWO = "--model=synthetic:tiny,org/model"


def test_a_folder_may_have_a_comma_in_its_name(tmp_path: Path) -> None:
    """It is one model, as long as it is there."""
    folder = tmp_path / "a,b"
    assert len(models.named(str(folder))) == 2
    folder.mkdir()
    assert models.named(str(folder)) == (str(folder),)
    assert models.named("~nobody/x," + "y" * 5000) == ("~nobody/x", "y" * 5000)


def test_ids_are_the_last_parts_of_names() -> None:
    """Unless two end alike; and none has what names of folders in artifacts can't."""
    assert models.ids(["org/Llama-3.1-8B", "synthetic:tiny", "./mine/"]) == [
        "Llama-3.1-8B",
        "synthetic-tiny",
        "mine",
    ]
    assert models.ids(["a/model", "b/model", "c/other"]) == ["a-model", "b-model", "other"]


@pytest.mark.parametrize("option", models.OF_ONE)
def test_an_option_about_one_model_is_refused_with_several(option: str) -> None:
    """Nobody knows which of them it means."""
    with pytest.raises(InputError, match=f"expected one model, got 2; {option} is about one"):
        build({"--model": "a/b,c/d", option: "x"})


@pytest.mark.parametrize(
    "command",
    [
        ["duet", "--base=bitsandbytes==0.49.2", TWO],
        ["duet", "--selftest", TWO],
        ["bisect", "--package=bitsandbytes", "--good=0.48.0", "--bad=0.49.0", TWO],
        ["ci", f"--options={TWO}"],
    ],
    ids=["duet", "selftest", "bisect", "ci"],
)
def test_commands_that_compare_take_one_model(
    command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """They say so in one line, before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 4
    said = capfd.readouterr()
    (line,) = said.err.splitlines()
    assert "--model: expected one model, got 2; a duet compares environments on one" in line
    assert "$ python" not in said.out  # no session was started
