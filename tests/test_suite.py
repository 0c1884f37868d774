"""Whole sessions of `pytest benchmarks`, as a user runs them, on the tiny model."""

import errno
import gc
import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytest_benchmark.logger import PytestBenchmarkWarning

from benchmarks.harness import agreement, loading, machine, storage
from benchmarks.harness.errors import InputError
from benchmarks.page import render
from tests import virtual
from tests.running import (
    ALONE,
    FAST,
    ROOT,
    SECRET,
    Outcome,
    command,
    heard,
    interrupt_at,
    run_module,
)

DRIFT = ["-k", "throughput", "--new-tokens=2", "--rounds=5"]


@pytest.fixture
def drifting(monkeypatch, machine):
    """Return a function that makes so many timed rounds longer from one to the next."""
    load = loading.load

    def drift(rounds):
        def slower(target, quantization, *, cold):
            engine = load(target, quantization, cold=cold)
            generate = engine.generate
            seconds = iter(0.02 * (number % 5 + 1) for number in range(rounds))

            def late(workload, log=None):
                if log is not None:  # a timed round
                    machine.spend(next(seconds, 0))
                return generate(workload, log)

            engine.generate = late
            return engine

        monkeypatch.setattr(loading, "load", slower)

    return drift


@pytest.fixture(scope="module")
def full(environment, tmp_path_factory):
    """Run the main job once in a process of its own, saved, with all files, on few tokens."""
    folder = tmp_path_factory.mktemp("full")
    options = [*FAST, "--benchmark-save=main", "--artifacts", str(folder / "artifacts")]
    options += ["--report", str(folder / "page.html"), "--script-table"]
    with virtual.installed(virtual.Machine()):
        done = run_module("pytest", *command(folder, *options), environment=environment)
    return Outcome(done.returncode, done.stdout, done.stderr, folder)


def test_the_main_job_passes_and_stores_every_benchmark(full):
    """One command measures warm-up, throughput and profile, in this order, and stores them."""
    assert full.status == 0, full.out + full.err
    assert [bench["fullname"] for bench in full.saved["benchmarks"]] == [
        "benchmarks/test_warmup.py::test_warmup[int8-decomp-b8-p16-n6]",
        "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n6]",
        "benchmarks/test_profile.py::test_profile[int8-decomp-b8-p16-n1]",
    ]
    assert all(bench["extra_info"]["schema"] == 1 for bench in full.saved["benchmarks"])
    assert all("UNSERIALIZABLE" not in json.dumps(bench) for bench in full.saved["benchmarks"])


def test_rounds_agree_with_pytest_benchmarks_own_times(full):
    """TTFT and gaps of each round add up to the round that pytest-benchmark timed, within 1 %."""
    for bench in full.saved["benchmarks"]:
        data, rounds = bench["stats"]["data"], bench["extra_info"]["rounds"]
        assert len(data) == len(rounds) == bench["stats"]["rounds"]
        for seconds, each in zip(data, rounds, strict=True):
            assert each["round_s"] == seconds
            assert len(each["step_s"]) == bench["params"]["new_tokens"] - 1
            assert each["ttft_s"] + sum(each["step_s"]) == pytest.approx(seconds, rel=0.01)


def test_tokens_per_s_counts_all_rows_and_no_prompt(full):
    """The rate is 8 rows of 6 new tokens; the old script counted one row and its prompt."""
    bench = full.saved["benchmarks"][1]
    metrics = bench["extra_info"]["metrics"]
    median = statistics.median(bench["stats"]["data"])
    assert metrics["tokens_per_s"] == pytest.approx(8 * 6 / median)
    assert metrics["tokens_per_s_per_row"] == pytest.approx(6 / median)
    assert metrics["script_speed"] == pytest.approx((16 + 6) / bench["stats"]["mean"])


def test_what_cannot_be_measured_is_null_with_a_reason(full):
    """No guess and no zero stands for a number that this machine can't give."""
    for bench in full.saved["benchmarks"]:
        info = bench["extra_info"]
        nulls = {name for name, value in info["metrics"].items() if value is None}
        assert nulls == set(info["unmeasured"])
        assert {"mbu", "peak_allocated_bytes", "speed_of_light_tpot_s"} <= nulls
        assert all(info["unmeasured"].values())


def test_records_say_what_was_measured_and_how_warm_it_was(full):
    """Workload and process are part of each record."""
    warmup, throughput, profile = (bench["extra_info"] for bench in full.saved["benchmarks"])
    assert throughput["workload"] == {
        "model": "synthetic:tiny",
        "revision": None,
        "weights": "synthetic",
        "outlier_channels": 6,
        "quantization": "int8-decomp",
        "threshold": 6.0,
        "dtype": "float16",
        "attn_implementation": "sdpa",
        "device": "cpu",
        "device_map": "single",
        "batch_size": 8,
        "prompt_tokens": 16,
        "new_tokens": 6,
        "distinct_prompts": 8,
        "prompts_sha256": throughput["workload"]["prompts_sha256"],
    }
    assert warmup["cold_process"] is True
    assert warmup["metrics"]["cold_start_ratio"] > 0
    assert warmup["metrics"]["load_s"] > 0
    assert throughput["process"] == {"loaded": ["int8-decomp"], "profiled": False}
    metrics = throughput["metrics"]
    assert profile["placement"]["cpu"]["weights_bytes"] == metrics["weights_bytes"]


def test_every_benchmark_carries_its_evidence(full):
    """What was loaded, the path that it took, counters, and agreement with fp16 are stored."""
    for bench in full.saved["benchmarks"]:
        info = bench["extra_info"]
        found = info["attestation"]
        assert found["linears"] == {"Linear8bitLt": 28}
        assert found["threshold"] == 6.0
        assert found["path"]["outliers"]["decode"]["share_of_linears"] == 1
        assert len(found["tokens_sha256"]) == 64
        assert info["counters"]["decode_steps"] == [2, 10]
        calls = info["counters"]["decode"]["int8_operators"]
        assert calls["bitsandbytes::int8_mixed_scaled_mm"] == 28 * 8
        assert 0.9 < info["metrics"]["top1_agreement"] <= 1
        assert 0 < info["metrics"]["logits_relative_error"] < 0.03
    warmup, throughput, _ = full.saved["benchmarks"]
    same = [each["extra_info"]["attestation"]["tokens_sha256"] for each in (warmup, throughput)]
    assert same[0] == same[1]


def test_wrong_output_takes_the_results_back(session, monkeypatch):
    """A model that is fast and wrong ends in an error, and none of its numbers is stored."""
    load = loading.load

    def wrong(target, quantization, *, cold):
        engine = load(target, quantization, cold=cold)
        if quantization == "int8":
            engine.model.lm_head.weight.data.mul_(-1)
        return engine

    monkeypatch.setattr(loading, "load", wrong)
    outcome = session(
        *FAST, "--quantization=int8,nf4", "-k", "throughput", "--benchmark-save=wrong"
    )
    assert outcome.status == 1
    assert "OutputError: int8 disagrees with fp16 on the same checkpoint" in outcome.out
    assert [bench["params"]["quantization"] for bench in outcome.saved["benchmarks"]] == ["nf4"]


def test_every_benchmark_says_whether_the_machine_could_be_believed(full):
    """The state of the host, of the control and of the rounds is stored; no work precedes cold."""
    for bench in full.saved["benchmarks"]:
        found = bench["extra_info"]["validity"]
        assert found["valid"] is (not found["reasons"])
        assert found["readings"]["threads_over_cores"] == 0
        nulls = {name for name, value in found["readings"].items() if value is None}
        assert nulls == set(found["unmeasured"])
    warmup, throughput, _ = (bench["extra_info"]["validity"] for bench in full.saved["benchmarks"])
    assert warmup["readings"]["control_host_s"] is None
    assert throughput["readings"]["control_host_s"] > 0


def test_rounds_on_a_machine_that_moved_are_measured_again(session, drifting):
    """Both sets of rounds are kept, the second counts, and the session is valid."""
    drifting(rounds=5)
    outcome = session(*DRIFT, "--benchmark-save=again")
    assert outcome.status == 0, outcome.out
    assert "throughput[int8-decomp-b8-p16-n2]: again, round ..." in outcome.out
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("measured again: ")]
    assert "from first to last (throughput[int8-decomp-b8-p16-n2])" in line
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
        "from first to last (throughput[int8-decomp-b8-p16-n2]); measure again later"
    )
    assert "throughput[int8-decomp-b8-p16-n2] !" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert bench["extra_info"]["validity"]["valid"] is False
    assert len(bench["extra_info"]["refused"]) == attempts - 1


def test_machine_info_names_device_and_versions(full):
    """A saved session knows what it ran on, and with which versions."""
    info = full.saved["machine_info"]
    assert info["hardware"] == {
        "device": "cpu",
        "threads": 1,
        "cpu_model": machine.cpu_model(),
        "available_cores": machine.available_cores(),
    }
    assert info["software"]["torch"].startswith(torch.__version__.split("+")[0])
    assert {"transformers", "bitsandbytes", "accelerate", "cuda", "driver"} <= set(info["software"])


def test_a_saved_session_says_how_it_ended(full):
    """What decides whether it may become a baseline is in the file; it is none by itself."""
    assert full.saved["llm_int8"] == {
        "passed": True,
        "exit_status": 0,
        "verdicts": None,
        "promoted": None,
    }


def test_a_session_is_stored_below_a_folder_of_its_machine(session, monkeypatch, tmp_path):
    """Without --benchmark-storage the folder is the machine's; pytest-benchmark finds it there."""
    monkeypatch.chdir(tmp_path)
    outcome = session(
        *FAST, *ALONE, "--benchmark-save=one", "--benchmark-json=all.json", storage=None
    )
    assert outcome.status == 0, outcome.out
    name = machine.folder_name(machine.facts("cpu", None, None))
    file = Path(".benchmarks", name, "0001_one.json")
    assert f"saved: {file}" in outcome.out
    assert json.loads(Path("all.json").read_text())["llm_int8"]["passed"] is True
    facts = {"device": "cuda", "gpu": "NVIDIA H200", "gpu_count": 1, "cpu_model": None}
    facts |= dict.fromkeys(["gpu_memory_bytes", "mig_mode", "power_limit_watts"])
    monkeypatch.setattr(machine, "facts", lambda *_: facts)
    outcome = session(*FAST, *ALONE, "--benchmark-save=two", storage=None)
    assert "the folder is named after NVIDIA H200, but torch used cpu" in outcome.out
    tool = Path(sys.executable).with_name("pytest-benchmark")
    done = subprocess.run([tool, "compare", "0001"], capture_output=True, text=True, check=True)
    assert "one" in done.stdout
    assert "two" in done.stdout


def test_a_storage_that_cannot_be_written_is_found_before_anything_is_measured(session):
    """No hours of measuring for nothing."""
    outcome = session(*FAST, *ALONE, "--benchmark-save=x", storage="/proc/none")
    assert outcome.status == 4
    assert "/proc/none: expected a folder in which sessions can be saved" in outcome.err
    assert "passed" not in outcome.out


def test_a_session_that_cannot_be_saved_is_no_success(session, monkeypatch):
    """The tables are shown, one line says why there is no file, and the status isn't 0."""

    def full(*_):
        raise InputError("the disk is full")

    monkeypatch.setattr(storage, "save", full)
    outcome = session(*FAST, *ALONE, "--benchmark-save=x")
    assert outcome.status == 3
    assert "NOT SAVED: the disk is full" in outcome.out
    assert "tokens/s" in outcome.out


def test_profiles_are_stored_and_written(full):
    """The top operators are in the record, and the files are where --artifacts says."""
    profile = full.saved["benchmarks"][2]["extra_info"]["profile"]
    assert len(profile["prefill"]["operators"]) == 30
    assert profile["decode"]["decode_steps"] == [2, 6]
    folder = full.folder / "artifacts" / "test_profile[int8-decomp-b8-p16-n1]"
    kinds = ("table.txt", "trace.json.gz", "host.stacks.txt", "script-table.txt")
    expected = {f"{phase}.{kind}" for phase in ("prefill", "decode") for kind in kinds}
    assert {file.name for file in folder.iterdir()} == expected


def test_a_session_writes_its_report(full):
    """--report leaves one page of the session, with the flame graphs of its profile."""
    assert f"report: {full.folder / 'page.html'}" in full.out
    page = (full.folder / "page.html").read_text()
    assert "throughput[int8-decomp-b8-p16-n6]" in page
    assert "Flame graph: decode, host" in page


def test_the_terminal_shows_progress_and_tables(full):
    """A log reads from top to bottom: what, how, the numbers, and where the files are."""
    lines = full.out.splitlines()
    assert any(
        line.startswith("model: synthetic:tiny (synthetic weights) on cpu") for line in lines
    )
    assert any(line.startswith("versions: torch ") for line in lines)
    assert any(line.startswith("int8-decomp: loaded in") for line in lines)
    assert "int8-decomp: loading synthetic:tiny" in lines
    assert sum(line.startswith("throughput[int8-decomp-b8-p16-n6]: round") for line in lines) == 1
    table = [line for line in lines if line.startswith("throughput[int8-decomp-b8-p16-n6]  ")]
    assert len(table) == 2
    assert "\x1b" not in full.out
    assert not [each for each in ("Loading weights", "USDT", "W1") if each in full.out + full.err]
    assert lines[-4].startswith("profiles: ")
    assert lines[-3] == f"saved: {full.folder}/storage/0001_main.json"
    assert lines[-2] == f"report: {full.folder}/page.html"


def test_credentials_stay_out_of_everything_that_is_written(full):
    """A token in the environment is in no result, file or line."""
    written = [file.read_bytes() for file in full.folder.rglob("*") if file.is_file()]
    written += [gzip.decompress(each) for each in written if each[:2] == b"\x1f\x8b"]
    assert len(written) > 9
    assert not [each for each in written if SECRET.encode() in each]
    assert SECRET not in full.out + full.err


def test_pytest_benchmarks_own_command_reads_the_file(full):
    """Saved sessions are plain pytest-benchmark files."""
    (file,) = full.folder.glob("storage/*.json")
    tool = Path(sys.executable).with_name("pytest-benchmark")
    done = subprocess.run([tool, "compare", file], capture_output=True, text=True, check=True)
    assert "test_throughput[int8-decomp-b8-p16-n6]" in done.stdout


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

    session("-k", "throughput", "--new-tokens=2", "--rounds=1")  # computes fp16's output, once
    monkeypatch.setattr(loading, "load", counting)
    options = ["--quantization=int8-decomp,int8,fp16", "--batch-size=1,8", "--new-tokens=2"]
    outcome = session(*FAST, "-k", "warmup or throughput", *options)
    assert outcome.status == 0, outcome.out
    assert "12 passed" in outcome.out
    assert [(name, cold) for name, cold, _ in loads] == [
        ("int8-decomp", True),
        ("int8", False),
        ("fp16", False),
    ]
    assert len({alive for *_, alive in loads}) == 1  # those of other tests, none of this session


def test_a_benchmark_asked_for_alone_warms_up(session):
    """-k throughput does its own untimed warm-up, which is not among the rounds."""
    outcome = session(*FAST, "-k", "throughput", "--benchmark-save=alone")
    (bench,) = outcome.saved["benchmarks"]
    assert bench["stats"]["rounds"] == 3
    assert outcome.status == 0


def test_q_silences_progress(session):
    """-q leaves the results, and nothing about loading."""
    outcome = session("-q", *FAST, "-k", "throughput")
    assert outcome.status == 0
    assert "loaded in" not in outcome.out
    assert "model:" not in outcome.out
    assert "tokens/s" in outcome.out


def test_disabled_benchmarks_run_once_and_store_nothing(session):
    """--benchmark-disable checks that everything works, without a measurement."""
    outcome = session(*FAST, "--benchmark-disable", "--benchmark-save=none", "-k", "not profile")
    assert outcome.status == 0, outcome.out
    assert not list(outcome.folder.glob("storage/*.json"))


def test_prompts_too_short_to_differ_are_said_and_a_profiled_round_is_none(session):
    """pytest-benchmark's --benchmark-cprofile makes one round more, which isn't timed."""
    options = ["--prompt-tokens=8", "--benchmark-cprofile=tottime", "--benchmark-save=short"]
    outcome = session(*FAST, *ALONE, *options)
    assert outcome.status == 0, outcome.out
    assert "only 1 of 8 prompts differ, so fewer outliers than usual" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert len(bench["extra_info"]["rounds"]) == bench["stats"]["rounds"] == 3


def test_what_cant_be_written_at_the_end_costs_only_that(session, monkeypatch, tmp_path):
    """fp16's logits: null, with the reason. The report: status 3, as for --summary."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def refused(*_, **__):
        raise InputError("--report: can't write it (No space left on device)")

    monkeypatch.setattr(agreement, "ensure_reference", full)
    monkeypatch.setattr(render, "write", refused)
    report = f"--report={tmp_path / 'page.html'}"
    outcome = session(*FAST, *ALONE, report, "--benchmark-save=full")
    assert outcome.status == 3
    assert "NO REPORT: --report: can't write it" in outcome.out
    (bench,) = outcome.saved["benchmarks"]
    assert bench["extra_info"]["metrics"]["top1_agreement"] is None
    assert "No space left" in bench["extra_info"]["unmeasured"]["top1_agreement"]


def test_one_quantization_out_of_memory_leaves_the_others(session, monkeypatch):
    """A model that doesn't fit fails by one line; the next one runs, and its results are kept."""
    load = loading.load

    def fits(target, quantization, *, cold):
        if quantization == "bf16":
            from benchmarks.harness.errors import OutOfMemoryError

            raise OutOfMemoryError("out of memory while loading")
        return load(target, quantization, cold=cold)

    monkeypatch.setattr(loading, "load", fits)
    outcome = session(
        *FAST, "--quantization", "bf16,int8", "-k", "not profile", "--benchmark-save=rest"
    )
    assert outcome.status == 1
    assert "2 passed, 2 deselected, 2 errors" in outcome.out
    assert [bench["extra_info"].get("cold_process") for bench in outcome.saved["benchmarks"]] == [
        True,
        None,
    ]
    assert "OutOfMemoryError: out of memory while loading" in outcome.out
    assert "Traceback" not in outcome.out
    assert ">  " not in outcome.out  # no source lines of a traceback
    names = {bench["params"]["quantization"] for bench in outcome.saved["benchmarks"]}
    assert names == {"int8"}


@pytest.mark.parametrize(
    ("moment", "kept"),
    [("warmup[int8-decomp-b8-p16-n8]: round", 0), ("throughput[int8-decomp-b8-p16-n8]: round", 1)],
    ids=["in the first round", "in a later benchmark"],
)
def test_an_interrupt_keeps_what_was_measured(environment, tmp_path, moment, kept):
    """Ctrl-C ends the session by pytest's status 2; finished benchmarks are saved, no other."""
    options = ["--new-tokens", "8", "--rounds", "100000", "--benchmark-save=part"]
    process, lines = interrupt_at(moment, ["pytest", *command(tmp_path, *options)], environment)
    assert process.returncode == 2, "".join(lines)
    assert not [line for line in lines if "Traceback" in line or "INTERNALERROR" in line]
    saved = [json.loads(file.read_text()) for file in tmp_path.glob("storage/*.json")]
    assert [each["llm_int8"]["passed"] for each in saved] == [False] * kept
    names = [bench["name"] for each in saved for bench in each["benchmarks"]]
    assert names == ["test_warmup[int8-decomp-b8-p16-n8]"][:kept]
    assert any(line.startswith("saved: " if kept else "not saved: ") for line in lines)


WITHOUT_LINES = """
def stop():
    raise KeyboardInterrupt

stop.__code__ = stop.__code__.replace(co_linetable=b"")

def test():
    try:
        stop()
    finally:
        stop()
"""
CTRL_C = """
import os, signal

def press():
    os.kill(os.getpid(), signal.{number})

"""
ONE_PASSES = "def test(): pass"


@pytest.mark.parametrize(
    ("test", "pressed", "number", "status"),
    [
        (WITHOUT_LINES, ["pytest_keyboard_interrupt", "pytest_terminal_summary"], "SIGINT", 2),
        (ONE_PASSES, ["pytest_runtest_logfinish", "pytest_keyboard_interrupt"], "SIGINT", 2),
        (ONE_PASSES, ["pytest_sessionfinish", "pytest_terminal_summary"], "SIGINT", 0),
        (ONE_PASSES, ["pytest_runtest_logfinish", "pytest_keyboard_interrupt"], "SIGTERM", 2),
        (ONE_PASSES, ["pytest_sessionfinish", "pytest_terminal_summary"], "SIGTERM", 0),
    ],
    ids=["no line", "again", "at the end", "SIGTERM again", "SIGTERM at the end"],
)
def test_an_interrupt_is_never_taken_for_a_regression(
    environment, tmp_path, test, pressed, number, status
):
    """Where the source has no line, while another one is handled, and when all is over."""
    (file := tmp_path / "test_interrupted.py").write_text(test)
    (tmp_path / "ctrl_c.py").write_text(
        CTRL_C.format(number=number) + "\n".join(f"{name} = press" for name in pressed)
    )
    options = ["-p", "conftest", "-p", "ctrl_c", f"--rootdir={ROOT}", "-c", f"{ROOT}/pytest.ini"]
    with heard(signal.SIGINT):
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(file)],
            env=os.environ | environment | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
        )
    assert (ended.returncode, ended.stderr) == (status, "")
    assert ("! KeyboardInterrupt !" in ended.stdout) == (status == 2)


def test_what_did_not_run_to_its_end_has_not_passed(session, tmp_path, monkeypatch):
    """However it ended: pytest's own status says so only a moment later."""
    (tmp_path / "stopping.py").write_text(
        "def stop():\n    raise KeyboardInterrupt\n\n"
        "pytest_runtest_logfinish = pytest_keyboard_interrupt = stop\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        session("-p", "stopping", *FAST, "-k", "warmup or throughput", "--benchmark-save=part")
    (file,) = tmp_path.glob("storage/*.json")
    ours = json.loads(file.read_text())["llm_int8"]
    assert (ours["passed"], ours["exit_status"]) == (False, 2)


BAD_OPTIONS = {
    "quantization": (["--quantization", "int4"], "--quantization: expected one of int8-decomp"),
    "batch": (
        ["--batch-size", "0"],
        "--batch-size: expected a whole number of at least 1; got '0'",
    ),
    "batches": (["--batch-size", "8,many"], "--batch-size: expected a whole number"),
    "tokens": (["--new-tokens", "-3"], "--new-tokens: expected a whole number of at least 1"),
    "both": (
        ["--prompt", "a", "--prompt-tokens", "3"],
        "--prompt and --prompt-tokens: expected one",
    ),
    "map": (["--device-map", "auto"], "--device-map auto: expected GPUs; the device is the CPU"),
    "folder": (["--model", "./none"], "--model: expected a folder with a checkpoint"),
    "synthetic": (["--model", "synthetic:70b"], "--model: expected one of synthetic:tiny"),
    "long": (["--prompt-tokens", "4096"], "expected at most 4096 tokens together"),
    "text": (["--prompt", "word " * 5000], "expected at most 4096 tokens together"),
    "bytes": (["--prompt", "\udcff"], "--prompt: expected UTF-8"),
    "artifacts": (["--artifacts", "/proc/none"], "--artifacts: expected a folder that can be"),
    "report": (["--report", "/proc/none/page.html"], "/proc/none/page.html: can't write the re"),
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_gpu_is_one_line_and_status_4(session):
    """Asking for CUDA where there is none says why, and what to do."""
    outcome = session("--device", "cuda")
    assert outcome.status == 4
    assert "--device cuda: expected a GPU that torch can use" in outcome.err
    assert "use --device cpu" in outcome.err


def test_a_truncated_checkpoint_is_found_before_it_is_loaded(session, target, tmp_path):
    """A file that is shorter than its header says is named, with both sizes."""
    for file in target.checkpoint.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shard = sorted(tmp_path.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    outcome = session("--model", str(tmp_path))
    assert outcome.status == 4
    assert shard.name in outcome.err
    assert "truncated" in outcome.err


def test_a_model_that_is_not_at_hand_says_what_to_do(environment, tmp_path):
    """Without a network, the default of CUDA machines offers a synthetic checkpoint."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command(tmp_path, "--model", "meta-llama/Llama-3.1-8B")],
        env=os.environ | environment | offline,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 4
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert "can't reach the hub" in line
    assert "--model synthetic:llama-3.1-8b" in line
    assert "Traceback" not in done.stdout + done.stderr


def cpu_seconds(arguments):
    """Return user and system seconds of a command."""
    before = os.times()
    subprocess.run(arguments, capture_output=True, check=False, cwd=ROOT)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_collecting_imports_no_torch(environment, tmp_path, figure):
    """--collect-only and --help are instant: nothing heavy is imported for them."""
    seconds = {}
    (tmp_path / "empty").mkdir()
    for what, arguments in {
        "suite": command(tmp_path, "--collect-only", "-q"),
        "empty folder": [str(tmp_path / "empty"), "--collect-only", "-q", "-c", os.devnull],
    }.items():
        runs = [cpu_seconds([sys.executable, "-m", "pytest", *arguments]) for _ in range(3)]
        seconds[what] = min(runs)
    ratio = seconds["suite"] / seconds["empty folder"]
    figure(f"collecting the suite : an empty folder, CPU time, best of 3: {ratio:.2f}")
    assert ratio < 1.5
    for option in ("--collect-only", "--help"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "pytest", *command(tmp_path, option, "-q")],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
        assert "pytest" in imported
        heavy = {"torch", "transformers", "bitsandbytes", "accelerate", "numpy", "huggingface_hub"}
        assert not imported & heavy
    assert "--quantization" in done.stdout


def test_comparing_shows_both_times_and_what_differs(session, full):
    """--benchmark-compare works from any storage, and names other versions and machines."""
    (file,) = full.folder.glob("storage/*.json")
    other = json.loads(file.read_text())
    other["machine_info"]["software"]["bitsandbytes"] = "0.1"
    other["machine_info"]["hardware"] = {"device": "cuda", "gpu": "NVIDIA H100"}
    file.with_name("0002_other.json").write_text(json.dumps(other))
    outcome = session(*FAST, "-k", "throughput", "--benchmark-compare=0002", folder=full.folder)
    file.with_name("0002_other.json").unlink()
    assert outcome.status == 0, outcome.out
    assert "(0002_other)" in outcome.out
    assert "(NOW)" in outcome.out
    assert "compared with other versions: bitsandbytes 0.1 -> " in outcome.out
    assert "compared with another machine, so times are not comparable: device cuda -> cpu" in (
        outcome.out
    )


def test_comparing_with_nothing_saved_warns(session):
    """Without a saved session the benchmarks run all the same, and a warning says so."""
    with pytest.warns(PytestBenchmarkWarning, match=r"Can't compare\. No benchmark files"):
        outcome = session(*FAST, "-k", "throughput", "--benchmark-compare")
    assert outcome.status == 0
