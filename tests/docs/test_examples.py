"""The examples of README and docs, which `make examples` renews: their shape is that of today."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as door
from benchmarks.model import loading
from docs import examples
from tests.docs import shapes
from tests.docs.pages import FOR_USERS, ROOT, read
from tests.running import FAST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.model.engine import Engine
    from tests.running import Outcome
    from tests.virtual import Machine

    Run = Callable[..., Outcome]

WORK = ["--batch-size=1", "--new-tokens=12", "--work-only"]


def test_each_example_stands_in_one_page() -> None:
    """Each that is run is shown, and each that is shown is run."""
    there = [block[2] for page in FOR_USERS for block in examples.blocks(page)]
    assert sorted(there) == sorted(examples.EXAMPLES)
    begun = [line for page in FOR_USERS for line in read(page).splitlines() if "<!-- ex" in line]
    assert len(there) == sum(line.startswith("<!-- example: ") for line in begun)


def test_the_first_run_is_current(session: Run) -> None:
    """Its tables and what is said of the checks and the file."""
    outcome = session(*FAST, "--batch-size=1", "--benchmark-autosave")
    shapes.is_current("first", outcome.out)


def test_the_caught_regression_is_current(
    session: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a baseline of another bitsandbytes, and more calls in each linear."""
    assert session(*WORK, "--benchmark-save=base").status == 0
    file = tmp_path / "storage" / "0001_base.json"
    content = json.loads(file.read_text())
    content["machine_info"]["software"]["bitsandbytes"] = "0.0.1"
    file.write_text(json.dumps(content))
    assert door.main(["promote", str(file)]) == 0
    load = loading.load

    def more(*given: object, **named: object) -> Engine:
        engine: Engine = load(*given, **named)  # type: ignore[arg-type]
        for each in engine.model.modules():
            if type(each).__name__ == "Linear8bitLt":
                each.register_forward_pre_hook(more_work)
        return engine

    monkeypatch.setattr(loading, "load", more)
    worse = session(*WORK, "--gate=work")
    assert worse.status == 1
    # What is said at the end of `baselines record` is held by tests/commands/test_record.py.
    shapes.is_current("caught", f"{worse.out}\nbaselines: 5 of 5 sessions promoted")
    assert door.main(["baselines", "list", f"--storage={tmp_path / 'storage'}"]) == 0
    shapes.is_current("baselines", capfd.readouterr().out)


def more_work(*_: object) -> None:
    """Do nothing, once in each linear."""


def test_the_busy_machine_is_current(session: Run, machine: Machine) -> None:
    """What is said of its times, and that they are saved all the same."""
    machine.others = 0.5
    outcome = session(
        *FAST, "--batch-size=1", "-k", "throughput", "--again-within=0", "--benchmark-save=busy"
    )
    shapes.is_current("invalid", outcome.out)


def test_an_example_that_is_out_of_date_is_found() -> None:
    """Another column, and a line that is printed no more."""
    printed = "\n".join(shapes.shown("first"))
    shapes.is_current("first", printed)
    with pytest.raises(AssertionError, match="make examples"):
        shapes.is_current("first", printed.replace("tokens/s", "tok/s"))
    with pytest.raises(AssertionError, match="make examples"):
        shapes.is_current("first", printed.replace("versions: ", "releases: "))


def test_the_picture_shows_what_the_readme_says() -> None:
    """Line by line; so a regression that is caught anew is pictured anew."""
    picture = read(ROOT / "docs" / "caught.svg")
    texts = [re.sub("<.*?>", "", line) for line in re.findall(r"<text .*?</text>", picture)]
    shown = [unescape(line).replace("\N{NO-BREAK SPACE}", " ") for line in texts]
    assert shown == examples.pictured()
