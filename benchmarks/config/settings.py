"""The options of a session: read once, at the edge, into one frozen object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.config import models, values
from benchmarks.config.generation import MODES
from benchmarks.config.options import (
    ATTENTIONS,
    DEFAULT_PROMPT_TOKENS,
    DEVICE_MAPS,
    DEVICES,
    DTYPE,
    DTYPES,
)
from benchmarks.config.quantization import DEFAULT, QUANTIZATIONS
from benchmarks.machine.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAVED_TO = "LLM_INT8_SAVED_TO"  # names a file that a session writes into where it was saved
GATES = ("screen", "strict", "work")  # how wall times are judged: see `judgement.judge`


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long; every value is checked before it gets here."""

    models: tuple[str | None, ...]  # None: chosen by the device, see checkpoint.default_model
    revision: str | None
    reference: str | None  # of a model that is quantized already: the one that it was made from
    device: str
    device_map: str
    quantizations: tuple[str, ...]
    generations: tuple[str, ...]  # modes
    batch_sizes: tuple[int, ...]
    new_tokens: int
    prompt_tokens: int | None  # None if `prompt` is given: its own length counts
    prompt: str | None
    rounds: int
    warmup_rounds: int
    replicas: tuple[int, ...]  # empty: no benchmark of them
    dtype: str | None  # None: float16, or that in which a quantized checkpoint has the rest
    attn_implementation: str
    bounds: Bounds
    again_within_s: float
    threads: int | None  # None: one on the CPU, torch's own default on CUDA
    artifacts: Path | None
    memory_snapshot: bool
    nvtx: bool  # parts of a run have names for profilers
    report: Path | None
    columns: str | None  # of the table at the end; None: those that matter most
    gate: str | None  # None: nothing is judged
    device_repeats: int
    work_only: bool  # no round is timed
    summaries: tuple[Path, ...]  # files to which Markdown is added
    saved_to: Path | None
    cache: Path | None  # None: no home is known

    @property
    def model(self) -> str | None:
        """The model, if there is only one."""
        (model,) = self.models
        return model

    @property
    def cache_dir(self) -> Path:
        """Where checkpoints and overlays are kept. Raises InputError if no home is known."""
        if self.cache is None:
            raise InputError(
                "expected a home for checkpoints and overlays, got neither XDG_CACHE_HOME nor "
                "HOME; set XDG_CACHE_HOME to a folder that can be written"
            )
        return self.cache

    @property
    def prompt_id(self) -> int | str:
        """What a test id says of the prompts: their length, or `text` and a hash of the text."""
        if self.prompt is None:
            return self.prompt_tokens or DEFAULT_PROMPT_TOKENS
        return "text" + hashlib.sha256(self.prompt.encode()).hexdigest()[:8]


def build_settings(value: Callable[[str], str | None], environment: Mapping[str, str]) -> Settings:
    """Build the settings from `value(dest)`, the text of each option, and the environment.

    Raises InputError, whose message is one line, for the first option that can't be used.
    """

    def text(name: str) -> str | None:
        return value(name.lstrip("-").replace("-", "_"))

    prompt, prompt_tokens = _prompts(text("--prompt"), text("--prompt-tokens"))
    gate, work_only = _gate(text("--gate")), bool(value("work_only"))
    if work_only and gate not in (None, "work"):
        raise InputError(
            f"--work-only and --gate={gate}: expected a gate that judges no wall time, since none "
            "is measured; write --gate=work"
        )
    return Settings(
        models=models.named(text("--model"), {name: text(name) for name in models.OF_ONE}),
        revision=values.optional_text("--revision", text("--revision")),
        reference=values.optional_text("--reference", text("--reference")),
        device=values.choice("--device", text("--device"), DEVICES),
        device_map=values.choice("--device-map", text("--device-map"), DEVICE_MAPS),
        quantizations=values.choices(
            "--quantization", values.given(text("--quantization"), DEFAULT), tuple(QUANTIZATIONS)
        ),
        generations=values.choices("--generation", text("--generation"), tuple(MODES)),
        batch_sizes=values.counts("--batch-size", text("--batch-size")),
        new_tokens=values.count("--new-tokens", text("--new-tokens")),
        prompt_tokens=prompt_tokens,
        prompt=prompt,
        rounds=values.count("--rounds", text("--rounds")),
        warmup_rounds=(
            0 if work_only else values.count("--warmup-rounds", text("--warmup-rounds"), minimum=0)
        ),
        replicas=_replicas(
            text("--replicas"), device_map=text("--device-map"), work_only=work_only
        ),
        dtype=values.optional_choice("--dtype", text("--dtype"), DTYPES),
        attn_implementation=values.choice(
            "--attn-implementation", text("--attn-implementation"), ATTENTIONS
        ),
        bounds=values.bounds(text("--bounds")),
        again_within_s=values.seconds("--again-within", text("--again-within")),
        threads=_threads(text("--threads"), environment.get("OMP_NUM_THREADS")),
        artifacts=values.optional_path("--artifacts", text("--artifacts")),
        memory_snapshot=bool(value("memory_snapshot")),
        nvtx=bool(value("nvtx")),
        report=values.optional_path("--report", text("--report")),
        columns=text("--columns"),
        gate=gate,
        device_repeats=values.count("--device-repeats", text("--device-repeats"), minimum=2),
        work_only=work_only,
        summaries=_summaries(
            values.optional_path("--summary", text("--summary")),
            environment.get("GITHUB_STEP_SUMMARY"),
            gate=gate,
        ),
        saved_to=Path(told) if (told := environment.get(SAVED_TO)) else None,
        cache=_cache(environment),
    )


def _prompts(prompt: str | None, given: str | None) -> tuple[str | None, int | None]:
    """Return a text for every row, or the length of the prompts."""
    tokens = values.optional_count("--prompt-tokens", given)
    if prompt is None:
        return None, tokens or DEFAULT_PROMPT_TOKENS
    if prompt != prompt.encode(errors="ignore").decode():  # Python's stand-ins for other bytes
        raise InputError("--prompt: expected UTF-8, got other bytes; check the shell's encoding")
    if not prompt.strip():
        raise InputError("--prompt: expected a text, got an empty one; leave the option out")
    if tokens is not None:
        raise InputError(
            "--prompt and --prompt-tokens: expected one of them, got both; "
            "a text is used at its own length, so leave --prompt-tokens out"
        )
    return prompt, None


def _replicas(text: str | None, device_map: str | None, *, work_only: bool) -> tuple[int, ...]:
    """Return the numbers of replicas, the smallest first: what is alone comes before the others."""
    other = "--work-only" if work_only else f"--device-map {device_map}"
    if text and (work_only or device_map != "single"):
        raise InputError(
            f"--replicas and {other}: expected one of them, got both; each is timed on one GPU"
        )
    return () if text is None else tuple(sorted(values.counts("--replicas", text)))


def _cache(environment: Mapping[str, str]) -> Path | None:
    """Where the user's caches are (XDG Base Directory Specification), if anybody knows."""
    try:
        base = files.given(environment.get("XDG_CACHE_HOME") or "~/.cache")
    except InputError:  # an arbitrary user of a container
        return None
    return base / "llm-int8-benchmarks"


def _threads(given: str | None, inherited: str | None) -> int | None:
    if given is None and inherited:
        one, *_ = inherited.split(",")  # OpenMP: one for each level
        return values.count("OMP_NUM_THREADS", one)
    return values.optional_count("--threads", given)


def _gate(text: str | None) -> str | None:
    if text is not None and text not in GATES:
        raise InputError(
            f"--gate: expected one of {', '.join(GATES)}; got {text!r}; "
            "what follows --gate is read as its value: write --gate=screen"
        )
    return text


def _summaries(given: Path | None, of_github: str | None, *, gate: str | None) -> tuple[Path, ...]:
    """Return the files that want Markdown, each once, by whatever path."""
    files = [Path(of_github) if of_github and (given or gate) else None, given]
    return tuple({each.resolve(): each for each in files if each}.values())[::-1]


def dtype_name(settings: Settings, quantization: str) -> str:
    """Return the name of the dtype of activations, and of what isn't quantized."""
    return QUANTIZATIONS[quantization].dtype or settings.dtype or DTYPE
