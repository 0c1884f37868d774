"""What is said of a benchmark that fails: what failed, why, in one line, and where the rest is."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP

from benchmarks.common.errors import OutputError
from benchmarks.evidence import output
from benchmarks.pytest_session import failures
from benchmarks.report.summary import Summary
from tests.running import LEAST


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("\n  too few\n  of them"), "ValueError: too few"),
        (ValueError("bad config:\n  too few\n  of them"), "ValueError: bad config: too few"),
        (pytest.fail.Exception("slow\nvery slow"), "Failed: slow"),
        (SystemExit("gone\nfor good"), "SystemExit: gone"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (None, "it failed"),
    ],
)
def test_a_failure_is_one_line(error: BaseException | None, says: str) -> None:
    """Of an error that is no Exception as well: tables, summaries and annotations show it."""
    state = SimpleNamespace(summary=Summary(), gate=None)
    failures.take_back(state, ["a"], error)  # type: ignore[arg-type]
    assert state.summary.failed == {"a": says}


def test_a_failed_check_names_the_quantization(session, monkeypatch):
    """It is the model that was checked, not the benchmark that happened to come last."""

    def refuse(*_):
        raise OutputError("the logits are nonsense")

    monkeypatch.setattr(output, "logits", refuse)
    outcome = session(*LEAST, "--quantization=int8")
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    assert "int8: FAILED" in lines
    assert not [line for line in lines if line.startswith("throughput[") and "FAILED" in line]
    assert "OutputError: the logits are nonsense" in outcome.out


def test_an_error_of_another_library_is_one_line(session, monkeypatch, tmp_path):
    """The library, what it says and its last frame; the traceback is in a file that is named."""
    monkeypatch.setattr(LlamaMLP, "forward", lambda _self, _x: torch.zeros(2) @ torch.zeros(3))
    outcome = session(*LEAST, "--quantization=fp16", f"--artifacts={tmp_path / 'out'}")
    assert outcome.status == 1
    assert "Traceback" not in outcome.out
    (line, *_) = [line for line in outcome.out.splitlines() if "its traceback is in" in line]
    assert "torch: RuntimeError: " in line
    assert "torch/nn/modules/module.py:" in line
    file = Path(line.rpartition(" is in ")[2].strip())
    assert file.parent == tmp_path / "out"
    assert "Traceback (most recent call last)" in file.read_text()


def test_a_tokenizer_that_another_library_can_not_read_is_one_line(session, one_layer, tmp_path):
    """Before a load: what was tried, the library, its last frame, and where the traceback is."""
    folder = shutil.copytree(one_layer.path, tmp_path / "model")
    (folder / "tokenizer.json").write_text('{"model": 1}')
    outcome = session(*LEAST, f"--artifacts={tmp_path / 'out'}", f"--model={folder}", model=None)
    assert outcome.status == 4
    (line,) = filter(None, outcome.err.splitlines())
    assert f"--model {folder}: transformers can't read its tokenizer: tra" in line
    assert re.search(r" \(transformers/[\w/]+\.py:\d+, in \w+\); its traceback is in ", line)
    file = Path(line.rpartition(" is in ")[2])
    assert file == tmp_path / "out" / "model.traceback.txt"
    assert "Traceback (most recent call last)" in file.read_text()
