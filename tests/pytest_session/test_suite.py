"""Whole sessions of `pytest benchmarks`, as a user runs them: and what is odd about them."""

import errno
import gc
import json
import math
import statistics
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from benchmarks.common.errors import InputError, OutOfMemoryError
from benchmarks.evidence import profiling, references
from benchmarks.machine import identity
from benchmarks.model import loading
from benchmarks.page import render
from benchmarks.sessions import storage
from tests.running import LEAST, run_module

DRIFT = [*LEAST, "--rounds=5"]


@pytest.fixture
def loaded(monkeypatch):
    """Return a function that lets another one change each model that was loaded."""
    load = loading.load

    def then(change):
        def changed(target, quantization, *, cold):
            engine = load(target, quantization, cold=cold)
            change(engine)
            return engine

        monkeypatch.setattr(loading, "load", changed)

    return then


@pytest.fixture
def drifting(loaded, machine):
    """Return a function that makes so many timed rounds longer from one to the next."""

    def drift(engine, rounds):
        generate = engine.generate
        seconds = iter(0.02 * (number % 5 + 1) for number in range(rounds))

        def late(workload, log=None):
            if log is not None:  # a timed round
                machine.spend(next(seconds, 0))
            return generate(workload, log)

        engine.generate = late

    return lambda rounds: loaded(partial(drift, rounds=rounds))


def test_wrong_output_takes_the_results_back(session, loaded, tmp_path):
    """A model that is fast and wrong ends in an error; none of its numbers is stored or shown.

    In whatever way it is wrong, though its weights are right: another sign, or NaN.
    """

    def wrong(engine):  # not the one that is compared with, which has the dtype of the checkpoint
        by = {"int8": -1, "fp16": math.nan}.get(engine.quantization)
        if by:
            engine.model.model.norm.register_forward_hook(lambda *given: given[-1] * by)

    loaded(wrong)
    files = [tmp_path / "page.html", tmp_path / "summary.md"]
    options = ["--quantization=int8,nf4,fp16", "-k", "warmup or throughput"]
    written = [f"--report={files[0]}", f"--summary={files[1]}", "--benchmark-save=wrong"]
    outcome = session(*LEAST, *options, *written)
    assert outcome.status == 1
    assert "OutputError: int8 disagrees with bf16 on the same checkpoint" in outcome.out
    assert [bench["params"]["quantization"] for bench in outcome.saved["benchmarks"]] == ["nf4"] * 2
    assert set(outcome.saved["llm_int8"]["failed"]) == {
        f"benchmarks/test_{name}.py::test_{name}[{quantization}-b1-p16-n2]"
        for name in ("warmup", "throughput")
        for quantization in ("int8", "fp16")
    }
    lines = outcome.out.splitlines()
    assert not [line for line in lines if line.startswith("test_") and "nf4" not in line]
    assert not [line for line in lines if line.startswith("checked (") and "nf4" not in line]
    for name in ("int8-b1-p16-n2]", "fp16-b1-p16-n2]"):
        rows = [
            line.split() for line in lines if f"{name} FAILED" in line and "benchmark" not in line
        ]
        assert rows
        assert {cell for row in rows for cell in row[2:]} == {"-"}
    page, summary = (file.read_text() for file in files)
    assert "| `throughput[int8-b1-p16-n2]` FAILED | - |" in summary
    assert "throughput[fp16-b1-p16-n2] FAILED" in page
    for text in (outcome.out, page, summary):
        assert "FAILED: OutputError: int8 disagrees with bf16 on the same checkpoint" in text
        assert "FAILED: OutputError: fp16: " in text


def test_a_benchmark_that_fails_after_its_rounds_shows_no_number(session, monkeypatch):
    """Here because its profile can't be recorded: the rounds before are no result either."""
    monkeypatch.setattr(profiling, "_hotspots", Mock(return_value=[]))
    outcome = session(*LEAST, "-k", "profile or throughput")
    assert outcome.status == 1
    rows = [line.split() for line in outcome.out.splitlines() if "n1] FAILED" in line]
    assert {cell for row in rows for cell in row[2:]} == {"-"}
    assert "FAILED: ProfilerError: the profile of the prefill is empty" in outcome.out
    assert "saw no operator (profile[int8-decomp-b1-p16-n1])" in " ".join(outcome.out.split())
    assert "throughput[int8-decomp-b1-p16-n2] FAILED" not in outcome.out


def test_rounds_on_a_machine_that_moved_are_measured_again(session, drifting):
    """Both sets of rounds are kept, the second counts, and the session is valid."""
    drifting(rounds=5)
    outcome = session(*DRIFT, "--benchmark-save=again")
    assert outcome.status == 0, outcome.out
    assert "throughput[int8-decomp-b1-p16-n2]: again, round ..." in outcome.out
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("measured again: ")]
    assert "from first to last (throughput[int8-decomp-b1-p16-n2])" in line
    (bench,) = outcome.saved["benchmarks"]
    info = bench["extra_info"]
    (refused,) = info["refused"]
    assert refused["validity"]["readings"]["trend"] > 0.15
    assert info["validity"]["valid"] is True
    assert bench["stats"]["data"] == [each["round_s"] for each in info["rounds"]]
    assert bench["stats"]["median"] < statistics.median(
        each["round_s"] for each in refused["rounds"]
    )
    starts = [each["start_s"] for each in info["rounds"]]
    assert starts == sorted(starts)


@pytest.mark.lie("rounds that drift upward")
@pytest.mark.parametrize(("options", "attempts"), [([], 2), (["--again-within=0"], 1)])
def test_a_machine_that_keeps_moving_makes_the_session_invalid(
    session, drifting, options, attempts
):
    """Its times are marked, and one line has the cause, its figure, and what to do."""
    drifting(rounds=10)
    outcome = session(*DRIFT, *options, "--benchmark-save=invalid")
    assert outcome.status == 0
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("INVALID: ")]
    assert line.startswith("INVALID: the rounds drifted by ")
    assert line.endswith(
        "from first to last (throughput[int8-decomp-b1-p16-n2]); measure again later"
    )
    assert "throughput[int8-decomp-b1-p16-n2] !" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert bench["extra_info"]["validity"]["valid"] is False
    assert len(bench["extra_info"]["refused"]) == attempts - 1


def test_a_session_is_stored_below_a_folder_of_its_machine(session, monkeypatch, tmp_path):
    """Without --benchmark-storage the folder is the machine's; pytest-benchmark finds it there."""
    monkeypatch.chdir(tmp_path)
    outcome = session(*LEAST, "--benchmark-save=one", "--benchmark-json=all.json", storage=None)
    assert outcome.status == 0, outcome.out
    name = identity.folder_name("cpu", None)
    file = Path(".benchmarks", name, "0001_one.json")
    assert f"saved: {file}" in outcome.out
    assert json.loads(Path("all.json").read_text())["llm_int8"]["passed"] is True
    monkeypatch.setattr(identity, "folder_name", lambda *_: "another")
    outcome = session(*LEAST, "--benchmark-save=two", storage=None)
    assert f"saved: {Path('.benchmarks/another/0001_two.json')}" in outcome.out
    done = run_module("pytest_benchmark", "compare", "0001", environment={}, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "one" in done.stdout
    assert "two" in done.stdout


def test_a_session_that_cannot_be_saved_is_no_success(session, monkeypatch):
    """The tables are shown, one line says why there is no file, and the status isn't 0."""
    monkeypatch.setattr(storage, "save", Mock(side_effect=InputError("the disk is full")))
    outcome = session(*LEAST, "--benchmark-save=x")
    assert outcome.status == 3
    assert "NOT SAVED: the disk is full" in outcome.out
    assert "tokens/s" in outcome.out


def test_one_session_loads_each_quantization_once(session, monkeypatch):
    """Three quantizations at two batch sizes are three loads, and never two models at a time."""
    loads = []
    load = loading.load

    def counting(target, quantization, *, cold):
        gc.collect()
        alive = [
            each
            for each in gc.get_objects()
            if isinstance(each, torch.nn.Parameter) and each.dim() == 2 and each.shape[0] == 2048
        ]
        loads.append((quantization, cold, len(alive)))
        return load(target, quantization, cold=cold)

    session(*LEAST)  # computes fp16's output, once
    monkeypatch.setattr(loading, "load", counting)
    options = ["--quantization=int8-decomp,int8,fp16", "--batch-size=1,2"]
    outcome = session(*LEAST, "-k", "warmup or throughput", *options)
    assert outcome.status == 0, outcome.out
    assert "12 passed" in outcome.out
    expected = [("int8-decomp", True), ("int8", False), ("fp16", False)]
    assert [(name, cold) for name, cold, _ in loads] == expected
    assert len({alive for *_, alive in loads}) == 1  # those of other tests, none of this session
    against = [line for line in outcome.out.splitlines() if ": weights 1." in line]
    assert [line.partition(":")[0] for line in against] == [
        f"{name} against fp16, batch {rows}" for name in ("int8-decomp", "int8") for rows in (1, 2)
    ]
    said = " ".join(outcome.out.split())
    assert said.count("Not so here: weights take ") == 1
    assert said.count(" since embeddings, norms and lm_head (") == 1


def test_a_benchmark_asked_for_alone_warms_up_and_q_silences_progress(session):
    """-k throughput does its own untimed warm-up; -q leaves the results, nothing about loading."""
    outcome = session("-q", *LEAST, "--benchmark-save=alone")
    assert outcome.status == 0
    (bench,) = outcome.saved["benchmarks"]
    assert bench["stats"]["rounds"] == 2
    assert bench["extra_info"]["warmup_rounds"] >= 1
    assert "loaded in" not in outcome.out
    assert "model:" not in outcome.out
    assert "tokens/s" in outcome.out


def test_disabled_benchmarks_run_once_and_store_nothing(session):
    """--benchmark-disable checks that everything works, without a measurement."""
    outcome = session(*LEAST, "--benchmark-disable", "--benchmark-save=none", "-k", "not profile")
    assert outcome.status == 0, outcome.out
    assert not list(outcome.folder.glob("storage/*.json"))


def test_prompts_too_short_to_differ_are_said_and_a_profiled_round_is_none(session):
    """pytest-benchmark's --benchmark-cprofile makes one round more, which isn't timed."""
    options = ["--batch-size=2", "--prompt-tokens=8", "--benchmark-cprofile=tottime"]
    outcome = session(*LEAST, *options, "--benchmark-save=short")
    assert outcome.status == 0, outcome.out
    assert "only 1 of 2 prompts differ, so fewer outliers than usual" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert len(bench["extra_info"]["rounds"]) == bench["stats"]["rounds"] == 2


def test_what_cant_be_written_at_the_end_costs_only_that(session, monkeypatch, tmp_path):
    """fp16's logits: null, with the reason. The report: status 3, as for --summary."""
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(references, "ensure_reference", Mock(side_effect=full))
    refused = InputError("--report: can't write it (No space left on device)")
    monkeypatch.setattr(render, "write", Mock(side_effect=refused))
    report = f"--report={tmp_path / 'page.html'}"
    outcome = session(*LEAST, report, "--benchmark-save=full")
    assert outcome.status == 3
    assert "NO REPORT: --report: can't write it" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert bench["extra_info"]["metrics"]["top1_agreement"] is None
    assert "No space left" in bench["extra_info"]["unmeasured"]["top1_agreement"]


def test_what_is_asked_for_is_written_into_folders_that_are_missing(session, tmp_path):
    """All of it, whole, and nothing beside it."""
    new = tmp_path / "a" / "b"
    names = {"--benchmark-json": "x.json", "--junitxml": "x.xml", "--summary": "x.md"}
    outcome = session(*LEAST, *(f"{option}={new / name}" for option, name in names.items()))
    assert outcome.status == 0, outcome.out
    assert f"saved: {new / 'x.json'}" in outcome.out
    assert {each.name for each in new.iterdir()} == set(names.values())
    content = json.loads((new / "x.json").read_text())
    assert (content["llm_int8"]["exit_status"], len(content["benchmarks"])) == (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_disk_that_is_full_at_the_end_is_no_regression(session):
    """Status 1 would say that. The tables are shown all the same, and each file is named."""
    outcome = session(*LEAST, "--benchmark-json=/dev/full", "--junitxml=/dev/full")
    assert outcome.status == 3
    assert "NOT SAVED: /dev/full: can't write the JSON of --benchmark-json" in outcome.out
    assert "NOT WRITTEN: [Errno 28] No space left on device" in outcome.out
    assert "tokens/s" in outcome.out
    assert "Traceback" not in outcome.out + outcome.err


def test_one_quantization_out_of_memory_leaves_the_others(session, loaded):
    """A model that doesn't fit fails by one line; the next one runs, and its results are kept."""

    def fits(engine):
        if engine.quantization == "bf16":
            raise OutOfMemoryError("out of memory while loading")

    loaded(fits)
    options = ["--quantization", "bf16,int8", "-k", "not profile", "--benchmark-save=rest"]
    outcome = session(*LEAST, *options)
    assert outcome.status == 1
    assert "2 passed, 2 deselected, 2 errors" in outcome.out
    found = outcome.saved["benchmarks"]
    assert [bench["extra_info"].get("cold_process") for bench in found] == [True, None]
    assert "OutOfMemoryError: out of memory while loading" in outcome.out
    assert "Traceback" not in outcome.out
    assert ">  " not in outcome.out  # no source lines of a traceback
    assert {bench["params"]["quantization"] for bench in found} == {"int8"}
