"""The options: what each one becomes, and what is said of the ones that can't be used."""

from __future__ import annotations

import math
import os
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.common.errors import InputError
from benchmarks.config.generation import MODES
from benchmarks.config.options import ATTENTIONS, DEVICE_MAPS, DEVICES, DTYPES, OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import Settings, build_settings
from benchmarks.machine.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOSE = Bounds(**dict.fromkeys((each.name for each in fields(Bounds)), 1))
CASES = (  # option, its text, the field it becomes, and the value there
    ("--model", "org/model", "model", "org/model"),
    (
        "--model",
        "synthetic:tiny, org/model,synthetic:tiny",
        "models",
        ("synthetic:tiny", "org/model"),
    ),
    ("--revision", "v1.0", "revision", "v1.0"),
    *(("--device", each, "device", each) for each in DEVICES),
    *(("--device-map", each, "device_map", each) for each in DEVICE_MAPS),
    *(("--quantization", each, "quantizations", (each,)) for each in QUANTIZATIONS),
    ("--quantization", "fp16,int8", "quantizations", ("fp16", "int8")),
    ("--quantization", " fp16 , int8,fp16,", "quantizations", ("fp16", "int8")),
    ("--reference", "org/model", "reference", "org/model"),
    *(("--generation", each, "generations", (each,)) for each in MODES),
    ("--generation", "compiled,dynamic", "generations", ("compiled", "dynamic")),
    ("--batch-size", "1", "batch_sizes", (1,)),
    ("--batch-size", "8,1, 8 ", "batch_sizes", (8, 1)),
    ("--new-tokens", "1", "new_tokens", 1),
    ("--prompt-tokens", "5000", "prompt_tokens", 5000),
    ("--prompt", "Hello\nworld", "prompt", "Hello\nworld"),
    ("--prompt", "Hello", "prompt_tokens", None),
    ("--rounds", "7", "rounds", 7),
    ("--warmup-rounds", "0", "warmup_rounds", 0),
    ("--replicas", "4,1,2", "replicas", (1, 2, 4)),
    *(("--dtype", each, "dtype", each) for each in DTYPES),
    *(("--attn-implementation", each, "attn_implementation", each) for each in ATTENTIONS),
    ("--threads", "4", "threads", 4),
    ("--bounds", "clock_drop=0.5", "bounds", Bounds(clock_drop=0.5)),
    ("--bounds", "*=1, trend_size = inf", "bounds", replace(LOOSE, trend_size=math.inf)),
    ("--again-within", "0", "again_within_s", 0),
    ("--again-within", "12.5", "again_within_s", 12.5),
    ("--artifacts", "out/profiles", "artifacts", Path("out/profiles")),
    ("--nvtx", True, "nvtx", True),
    ("--memory-snapshot", True, "memory_snapshot", True),
    ("--report", "out/page.html", "report", Path("out/page.html")),
    ("--report", "~/page.html", "report", Path.home() / "page.html"),
    ("--columns", "p99,load", "columns", "p99,load"),
    ("--gate", "screen", "gate", "screen"),
    ("--gate", "strict", "gate", "strict"),
    ("--gate", "work", "gate", "work"),
    ("--device-repeats", "5", "device_repeats", 5),
    ("--work-only", True, "work_only", True),
    ("--work-only", True, "warmup_rounds", 0),
    ("--summary", "out.md", "summaries", (Path("out.md"),)),
)


def build(
    given: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of a command line with `given` options, and defaults for the rest."""
    values: dict[str, str | None] = {option.dest: option.default for option in OPTIONS}
    values |= {name.lstrip("-").replace("-", "_"): text for name, text in (given or {}).items()}
    return build_settings(values.__getitem__, environment or {})


def test_defaults() -> None:
    """Without options the workload is the old script's: 8 rows of 16 + 128 tokens, INT8."""
    assert build() == Settings(
        models=(None,),
        revision=None,
        reference=None,
        device="auto",
        device_map="single",
        quantizations=("int8-decomp",),
        generations=("dynamic",),
        batch_sizes=(8,),
        new_tokens=128,
        prompt_tokens=16,
        prompt=None,
        rounds=5,
        warmup_rounds=3,
        replicas=(),
        dtype=None,
        attn_implementation="sdpa",
        bounds=Bounds(),
        again_within_s=300,
        threads=None,
        artifacts=None,
        memory_snapshot=False,
        nvtx=False,
        report=None,
        columns=None,
        gate=None,
        device_repeats=2,
        work_only=False,
        summaries=(),
        saved_to=None,
        cache=Path.home() / ".cache" / "llm-int8-benchmarks",
    )


@pytest.mark.parametrize(("option", "text", "field", "expected"), CASES)
def test_every_option_is_read(option: str, text: Any, field: str, expected: object) -> None:
    """Each option arrives in its field; lists keep their order and lose what comes twice."""
    assert getattr(build({option: text}), field) == expected


def test_every_option_is_tested() -> None:
    """An option that is added comes with a case above."""
    assert {option.name for option in OPTIONS} == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--model", "", "a name"),
        ("--revision", "", "a name"),
        ("--artifacts", "", "a path"),
        ("--report", "", "a path"),
        ("--summary", " ", "a path"),
        ("--device", "tpu", "one of auto, cuda, cpu"),
        ("--device-map", "balanced", "one of single, auto, tensor"),
        ("--quantization", "int4", "one of int8-decomp, int8, nf4, nf4-dq, fp16, bf16"),
        ("--quantization", "fp16;int8", "one of int8-decomp, int8, nf4, nf4-dq, fp16, bf16"),
        ("--quantization", "", "one or more of int8-decomp, int8, nf4, nf4-dq, fp16, bf16"),
        ("--quantization", ",", "one or more of int8-decomp, int8, nf4, nf4-dq, fp16, bf16"),
        ("--batch-size", "0", "a whole number of at least 1"),
        ("--batch-size", "", "whole numbers of at least 1"),
        ("--new-tokens", "-3", "a whole number of at least 1"),
        ("--new-tokens", "1.5", "a whole number of at least 1"),
        ("--new-tokens", "", "a whole number of at least 1"),
        ("--new-tokens", "12\n8", "a whole number of at least 1"),
        ("--bounds", "trend_size=-inf", "a number, as in 0.1 or inf"),
        ("--prompt-tokens", "0", "a whole number of at least 1"),
        ("--prompt", "", "a text"),
        ("--prompt", " \n", "a text"),
        ("--rounds", "0", "a whole number of at least 1"),
        ("--device-repeats", "1", "a whole number of at least 2"),
        ("--warmup-rounds", "-1", "a whole number of at least 0"),
        ("--dtype", "int8", "one of float16, bfloat16"),
        ("--attn-implementation", "flash", "one of sdpa, eager, flash_attention_2"),
        ("--threads", "0", "a whole number of at least 1"),
        ("--threads", "many", "a whole number of at least 1"),
        ("--bounds", "clock_drop", "NAME=NUMBER, as in trend_size=0.2"),
        ("--bounds", "0.2", "NAME=NUMBER"),
        ("--bounds", "", "NAME=NUMBER"),
        ("--bounds", "clock_drop=a lot", "a number"),
        ("--bounds", "clock_drop=nan", "a number"),
        ("--bounds", "trend_size=1e200", "less than 1e+100, or inf"),
        ("--bounds", "trend_size=-1e100", "less than 1e+100, or inf"),
        ("--again-within", "1e300", "less than 1e+100, or inf"),
        ("--rounds", 100 * "9", "a whole number of at least 1"),
        ("--gate", "benchmarks", "one of screen, strict, work"),
        ("--again-within", "soon", "a number"),
        ("--again-within", "-1", "seconds of at least 0"),
    ],
)
def test_bad_input_is_named(option: str, text: str, expected: str) -> None:
    """One line says which option can't be used, what was expected and what was got."""
    with pytest.raises(InputError) as raised:
        build({option: text})
    message = str(raised.value)
    assert message.startswith(f"{option}: expected {expected}")
    assert f"got {text[:20]!r}"[:-1] in message or "got an empty one" in message
    assert len(message.splitlines()) == 1


def test_the_wrong_one_of_several_is_named() -> None:
    """Of a list, the message names the part that is wrong."""
    with pytest.raises(InputError, match=r"--batch-size: .*; got '0'"):
        build({"--batch-size": "8,0,4"})
    with pytest.raises(InputError, match=r"--quantization: .*; got 'int4'"):
        build({"--quantization": "int8,int4"})


def test_the_summary_of_github_gets_what_others_get() -> None:
    """$GITHUB_STEP_SUMMARY is written with --gate or --summary, once, and never without."""
    github = {"GITHUB_STEP_SUMMARY": "step.md"}
    assert build(environment=github).summaries == ()
    assert build({"--gate": "screen"}, github).summaries == (Path("step.md"),)
    assert build({"--summary": "step.md"}, github).summaries == (Path("step.md"),)
    assert build({"--summary": "own.md"}, github).summaries == (Path("own.md"), Path("step.md"))


def test_a_summary_gets_its_text_once_by_whatever_path(tmp_path: Path) -> None:
    """GitHub's file may be given by a link, or from the folder that it is in."""
    (tmp_path / "link.md").symlink_to(tmp_path / "step.md")
    for same in ("link.md", "../" + tmp_path.name + "/step.md"):
        github = {"GITHUB_STEP_SUMMARY": str(tmp_path / "step.md")}
        given = tmp_path / same
        assert build({"--summary": str(given)}, github).summaries == (given,)


def test_a_bound_that_does_not_exist_is_named() -> None:
    """Whoever mistypes a bound is told the names of all of them."""
    with pytest.raises(InputError, match=r"^--bounds: expected one of .*clock_drop.*'clock_dorp'$"):
        build({"--bounds": "clock_dorp=0.1"})


def test_a_text_and_a_length_exclude_each_other() -> None:
    """A text has its own length: a second length would be ignored, so it is refused."""
    with pytest.raises(InputError, match=r"^--prompt and --prompt-tokens: .*got both") as raised:
        build({"--prompt": "Hello", "--prompt-tokens": "16"})
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("other", [{"--device-map": "auto"}, {"--work-only": True}])
def test_replicas_are_on_one_gpu_each_and_timed(other: dict[str, Any]) -> None:
    """A model that is sharded, or that is not timed, has no replicas."""
    (name,) = other
    with pytest.raises(InputError, match=rf"^--replicas and {name}.*: .*got both"):
        build({"--replicas": "1,2", **other})


def test_omp_num_threads_is_honoured() -> None:
    """It sets the threads where --threads doesn't; empty is as good as unset, others are named."""
    assert build(environment={"OMP_NUM_THREADS": "3"}).threads == 3
    assert build({"--threads": "2"}, {"OMP_NUM_THREADS": "3"}).threads == 2
    assert build(environment={"OMP_NUM_THREADS": ""}).threads is None
    with pytest.raises(InputError, match=r"^OMP_NUM_THREADS: expected a .*; got 'many'"):
        build(environment={"OMP_NUM_THREADS": "many"})


def test_xdg_cache_home_is_honoured(tmp_path: Path) -> None:
    """Checkpoints go below XDG_CACHE_HOME, to ~/.cache where it is unset or empty."""
    there = build(environment={"XDG_CACHE_HOME": str(tmp_path)}).cache_dir
    assert there == tmp_path / "llm-int8-benchmarks"
    assert build(environment={"XDG_CACHE_HOME": ""}).cache_dir == build().cache_dir
    home = Path.home() / "x" / "llm-int8-benchmarks"
    assert build(environment={"XDG_CACHE_HOME": "~/x"}).cache_dir == home


def test_without_a_home_the_options_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no home, as a container's arbitrary user, hears of it when one is needed."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)  # nobody has this number
    settings = build()
    with pytest.raises(InputError, match=r"got neither XDG_CACHE_HOME nor HOME; set XDG_CACHE_HO"):
        _ = settings.cache_dir
    with pytest.raises(InputError, match=r"^--report: expected a path, got ~/x, and no home is"):
        build({"--report": "~/x"})
    assert build(environment={"XDG_CACHE_HOME": "/x"}).cache_dir == Path("/x/llm-int8-benchmarks")


def test_the_prompts_part_of_an_id() -> None:
    """A test id holds the prompts' length, or a short name that only this very text has."""
    assert build().prompt_id == 16
    assert build({"--prompt-tokens": "512"}).prompt_id == 512
    # The beginning of sha256("Hello"); ids join baselines, so it never changes.
    assert build({"--prompt": "Hello"}).prompt_id == "text185f8db3"
    other = build({"--prompt": "Grüße, 世界!"}).prompt_id
    assert other != "text185f8db3"
    assert re.fullmatch(r"text[0-9a-f]{8}", str(other))
