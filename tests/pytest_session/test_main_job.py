"""The main job, as a user runs it: one whole session on the tiny model, and all that it leaves."""

import gzip
import json
import shlex
import statistics

import pytest
import torch

from benchmarks.machine import host, identity
from tests import virtual
from tests.running import ALONE, FAST, SECRET, Outcome, command, run_module


@pytest.fixture(scope="module")
def full(environment, tmp_path_factory):
    """Run the main job once in a process of its own, saved, with all files, on few tokens."""
    folder = tmp_path_factory.mktemp("full")
    options = [*FAST, "--benchmark-save=main", "--artifacts", str(folder / "artifacts")]
    options += ["--memory-snapshot", "--report", str(folder / "page.html")]
    arguments = command(folder, *options)
    with virtual.installed(virtual.Machine()):
        done = run_module("pytest", *arguments, environment=environment)
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
        nulls |= {f"memory.{name}" for name, value in info["memory"].items() if value is None}
        assert nulls == set(info["unmeasured"])
        assert {"mbu", "peak_allocated_bytes", "speed_of_light_tpot_s"} <= nulls
        assert all(info["unmeasured"].values())


def test_what_holds_the_memory_is_stored_and_drawn(full):
    """Once for each workload: the single token of the profile has a prefill of its own."""
    warmup, throughput, profile = (b["extra_info"]["memory"] for b in full.saved["benchmarks"])
    assert warmup == throughput
    assert throughput["decode"]["decode_steps"] == [1, 3]
    assert throughput["prefill"]["parts"]["workspace_bytes"] > 0
    assert profile["prefill"]["parts"]["weights_bytes"] > 0
    assert profile["decode"] is None
    assert "What holds the memory" in (full.folder / "page.html").read_text()


def test_records_say_what_was_measured_and_how_warm_it_was(full):
    """Workload and process are part of each record."""
    warmup, throughput, profile = (bench["extra_info"] for bench in full.saved["benchmarks"])
    assert throughput["workload"] == {
        "model": "synthetic:one-layer",
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
        assert found["linears"] == {"Linear8bitLt": 7}
        assert found["threshold"] == 6.0
        assert found["path"]["outliers"]["decode"]["share_of_linears"] == 1
        assert len(found["tokens_sha256"]) == 64
        assert info["counters"]["decode_steps"] == [2, 6]
        calls = info["counters"]["decode"]["int8_operators"]
        assert calls["bitsandbytes::int8_mixed_scaled_mm"] == 7 * 4
        assert 0.9 < info["metrics"]["top1_agreement"] <= 1
        assert 0 < info["metrics"]["logits_relative_error"] < 0.03
    warmup, throughput, _ = full.saved["benchmarks"]
    same = [each["extra_info"]["attestation"]["tokens_sha256"] for each in (warmup, throughput)]
    assert same[0] == same[1]


def test_every_benchmark_says_whether_the_machine_could_be_trusted(full):
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


def test_machine_info_names_device_and_versions(full):
    """A saved session knows what it ran on, and with which versions."""
    info = full.saved["machine_info"]
    assert info["hardware"] == {
        "device": "cpu",
        "threads": 1,
        "cpu_model": identity.cpu_model(),
        "available_cores": host.available_cores(),
    }
    assert info["software"]["torch"].startswith(torch.__version__.split("+")[0])
    assert {"transformers", "bitsandbytes", "accelerate", "cuda", "driver"} <= set(info["software"])


def test_a_saved_session_says_how_it_ended(full):
    """What decides whether it may become a baseline is in the file; it is none by itself."""
    saved = full.saved["llm_int8"]
    given = shlex.split(saved.pop("command"))  # so that it can be repeated
    variables = [each for each in given[: given.index("pytest")] if "=" in each]
    assert given.index("pytest") == len(variables)  # nothing else before it
    assert given[-2] == "--report"
    assert saved == {
        "passed": True,
        "exit_status": 0,
        "verdicts": None,
        "promoted": None,
    }


def test_profiles_are_stored_and_written(full):
    """The top operators are in the record, and the files are where --artifacts says."""
    profile = full.saved["benchmarks"][2]["extra_info"]["profile"]
    assert len(profile["prefill"]["operators"]) == 30
    assert profile["decode"]["decode_steps"] == [2, 6]
    folder = full.folder / "artifacts" / "test_profile[int8-decomp-b8-p16-n1]"
    kinds = ("table.txt", "trace.json.gz", "host.stacks.txt")
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
        line.startswith("model: synthetic:one-layer (synthetic weights) on cpu") for line in lines
    )
    assert any(line.startswith("versions: torch ") for line in lines)
    assert any(line.startswith("int8-decomp: loaded in") for line in lines)
    assert "int8-decomp: loading synthetic:one-layer" in lines
    assert sum(line.startswith("throughput[int8-decomp-b8-p16-n6]: round") for line in lines) == 1
    assert not any(line.startswith("Example ") for line in lines)
    table = [line for line in lines if line.startswith("throughput[int8-decomp-b8-p16-n6]  ")]
    assert len(table) == 1
    assert "Name (time in" not in full.out  # pytest-benchmark's table has the same facts
    paths = ("profiles: ", "saved: ", "report: ", "rootdir: ")
    assert not [line for line in lines if len(line) > 120 and not line.startswith(paths)]
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


@pytest.mark.usefixtures("machine")
def test_pytest_benchmarks_own_command_reads_the_file(full):
    """Saved sessions are plain pytest-benchmark files."""
    (file,) = full.folder.glob("storage/*.json")
    done = run_module("pytest_benchmark", "compare", str(file), environment={})
    assert done.returncode == 0, done.stderr
    assert "test_throughput[int8-decomp-b8-p16-n6]" in done.stdout


def test_comparing_shows_both_times_and_what_differs(session, full):
    """--benchmark-compare works from any storage, and names other versions and machines."""
    (file,) = full.folder.glob("storage/*.json")
    other = json.loads(file.read_text())
    other["machine_info"]["software"]["bitsandbytes"] = "0.1"
    other["machine_info"]["hardware"] = {"device": "cuda", "gpu": "NVIDIA H100"}
    file.with_name("0002_other.json").write_text(json.dumps(other))
    outcome = session(*FAST, *ALONE, "--benchmark-compare=0002", folder=full.folder)
    file.with_name("0002_other.json").unlink()
    assert outcome.status == 0, outcome.out
    assert "(0002_other)" in outcome.out
    assert "(NOW)" in outcome.out
    assert "compared with other versions: bitsandbytes 0.1 -> " in outcome.out
    assert "compared with another machine, so times are not comparable: device cuda -> cpu" in (
        outcome.out
    )
