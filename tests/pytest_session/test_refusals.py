"""Sessions that end before anything is measured: one line says why, and costs nothing heavy."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from tests.running import LEAST, ROOT, command

BAD_OPTIONS = {
    "batch": (["--batch-size", "0"], "--batch-size: expected a whole number of at least 1; got"),
    "map": (["--device-map", "auto"], "--device-map auto: expected GPUs; the device is the CPU"),
    "folder": (["--model", "./none"], "--model: expected a folder with a checkpoint"),
    "long": (["--prompt-tokens", "4096"], "expected at most 4096 tokens together"),
    "text": (["--prompt", "word " * 5000], "expected at most 4096 tokens together"),
    "bytes": (["--prompt", "\udcff"], "--prompt: expected UTF-8"),
    "artifacts": (["--artifacts", "/proc/none"], "--artifacts: expected a folder that can be"),
    "storage": (
        ["--benchmark-storage=s3://b/x"],
        "-storage: expected a folder, got s3:",
    ),
    "elastic": (["--benchmark-storage=elasticsearch+http://h/x"], "expected a folder, got elastic"),
    "nowhere": (["--benchmark-storage="], "--benchmark-storage: expected a path, got an empty one"),
    "replicas": (["--replicas=1,2", "-k=throughput"], "--replicas: expected their benchmark among"),
    "tensor": (
        ["--device-map=tensor", "--quantization=fp16,int8,nf4"],
        "--device-map tensor: expected --quantization fp16 or bf16, whose weights can be split "
        "over devices; got int8, nf4;",
    ),
    "work of ranks": (
        ["--device-map=tensor", "--quantization=fp16", "--work-only"],
        "--device-map tensor and --work-only: expected one of them, got both",
    ),
    "revision": (["--revision", "main"], "--revision: expected a model from the hub"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_wrong_option_is_one_line_and_status_4(session, options, message):
    """What was wrong, what was expected, what was got: no traceback, and nothing measured."""
    outcome = session("--model", "synthetic:tiny", *options)
    assert outcome.status == 4
    errors = [line for line in outcome.err.splitlines() if line]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert message in errors[0]
    assert "passed" not in outcome.out


WRITTEN = {  # by option, what messages call its file
    "--benchmark-json": "the JSON of --benchmark-json",
    "--benchmark-cprofile-dump": "--benchmark-cprofile-dump",
    "--junitxml": "the report of --junitxml",
    "--report": "the report",
    "--summary": "the summary",
}


@pytest.mark.parametrize("option", WRITTEN)
def test_a_file_that_cannot_be_written_is_found_before_anything_is_measured(
    session, tmp_path, option
):
    """Where no folder can be made, where a folder is, and under a name that no disk holds."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.prof").mkdir()
    paths = {Path("/proc/none/x"), tmp_path / ("n" * 300), tmp_path / "folder"}
    if option == "--junitxml":
        paths.remove(tmp_path / "folder")  # which pytest refuses itself
    for path in paths:
        outcome = session(f"{option}={path}")
        assert outcome.status == 4
        (line,) = filter(None, outcome.err.splitlines())
        assert f"can't write {WRITTEN[option]}" in line
        assert "model:" not in outcome.out


@pytest.mark.skipif(importlib.util.find_spec("pygal") is not None, reason="needs a lack of pygal")
def test_a_histogram_needs_what_draws_it(session):
    """pytest-benchmark would look for pygal when all is measured."""
    outcome = session("--benchmark-histogram=x")
    assert outcome.status == 4
    assert "--benchmark-histogram: expected pygal, which draws it, got none" in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_gpu_is_one_line_and_status_4(session):
    """Asking for CUDA where there is none says why, and what to do."""
    outcome = session("--device", "cuda")
    assert outcome.status == 4
    assert "--device cuda: expected a GPU that torch can use" in outcome.err
    assert "use --device cpu" in outcome.err


def test_a_model_that_is_not_at_hand_says_what_to_do(session, monkeypatch, tmp_path):
    """Without a network, the default of CUDA machines offers a synthetic checkpoint."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # as HF_HUB_OFFLINE=1 sets it
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    outcome = session("--model", "meta-llama/Llama-3.1-8B")
    assert outcome.status == 4
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("ERROR")]
    assert "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set" in line
    assert "--model synthetic:llama-3.1-8b" in line
    assert "Traceback" not in outcome.out + outcome.err


def test_a_storage_that_cannot_be_written_is_found_before_anything_is_measured(session):
    """No hours of measuring for nothing."""
    outcome = session(*LEAST, "--benchmark-save=x", storage="/proc/none")
    assert outcome.status == 4
    assert "/proc/none: expected a folder in which sessions can be saved" in outcome.err
    assert "passed" not in outcome.out


def test_without_a_home_one_line_names_what_to_set(session, monkeypatch):
    """A container's arbitrary user has neither HOME nor an entry in passwd; --help needs none."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)
    assert session("--help").status == 0
    assert session("--collect-only").status == 0
    outcome = session()
    assert outcome.status == 4
    (line,) = filter(None, outcome.err.splitlines())
    assert line.endswith("set XDG_CACHE_HOME to a folder that can be written")


QUICK = {  # what is answered at once: its arguments, and its status
    "collecting": (["pytest", "{}", "--collect-only", "-q"], 0),
    "help": (["pytest", "{}", "--help", "-q"], 0),
    "a wrong model": (["pytest", "{}", "--model=./none"], 4),
    "a wrong model of a duet": (["benchmarks", "duet", "--base=numpy==1", "--model=./none"], 4),
}


@pytest.mark.parametrize(("arguments", "status"), QUICK.values(), ids=QUICK)
def test_what_is_known_at_once_imports_no_torch(environment, tmp_path, arguments, status):
    """Nothing heavy is imported, and no side of a duet installed, for what ends before."""
    given = [word for each in arguments for word in (command(tmp_path) if each == "{}" else [each])]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *given],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == status
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "json" in imported
    heavy = {"torch", "transformers", "bitsandbytes", "accelerate", "numpy", "huggingface_hub"}
    assert not imported & heavy
    said = done.stdout + done.stderr
    assert ("--model: expected a folder with a checkpoint" in said) == (status == 4)
    assert "installing" not in said
