"""The options of a session: one table for pytest and for the commands that measure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.config.quantization import QUANTIZATIONS

DEVICES = ("auto", "cuda", "cpu")
DEVICE_MAPS = ("single", "auto")
DTYPES = ("float16", "bfloat16")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flex_attention")

DEFAULT_PROMPT_TOKENS = 16  # what Llama-3.1's own tokenizer makes of the old script's prompt


@dataclass(frozen=True)
class Option:
    """One command-line option, and the text that stands for its default."""

    name: str
    help: str
    default: str | None = None
    metavar: str | None = None
    flag: bool = False
    bare: str | None = None  # what the option means without a value, where it needs none

    @property
    def dest(self) -> str:
        """The attribute under which argument parsers keep it."""
        return self.name.lstrip("-").replace("-", "_")


OPTIONS = (
    Option(
        "--model",
        "hub id, local folder, synthetic:tiny or synthetic:llama-3.1-8b "
        "(default: meta-llama/Llama-3.1-8B on CUDA, synthetic:tiny on the CPU)",
        metavar="ID",
    ),
    Option("--revision", "branch, tag or commit of a hub model", metavar="REV"),
    Option(
        "--reference",
        "hub id or local folder of the 16-bit checkpoint that a --model which is quantized already "
        "was made from, to compare it with",
        metavar="ID",
    ),
    Option("--device", f"{', '.join(DEVICES)} (default: auto)", "auto"),
    Option(
        "--device-map",
        "single: the whole model on one device; auto: sharded over all visible GPUs "
        "(default: single)",
        "single",
        metavar="MAP",
    ),
    Option(
        "--quantization",
        f"one or more of {', '.join(QUANTIZATIONS)} (default: int8-decomp; of a local folder that "
        "is quantized already, its own)",
        metavar="A,B",
    ),
    Option("--batch-size", "rows generated at once; one or more (default: 8)", "8", metavar="N,M"),
    Option("--new-tokens", "tokens generated for each row (default: 128)", "128", metavar="N"),
    Option(
        "--prompt-tokens",
        "length of every prompt; longer than the question, it goes on with a text of the suite "
        f"(default: {DEFAULT_PROMPT_TOKENS})",
        metavar="N",
    ),
    Option("--prompt", "this text in every row, at its own length", metavar="TEXT"),
    Option("--rounds", "timed rounds of a benchmark (default: 5)", "5", metavar="N"),
    Option(
        "--warmup-rounds",
        "untimed rounds before them, where the model isn't warm yet (default: 3)",
        "3",
        metavar="N",
    ),
    Option(
        "--dtype",
        "of what isn't quantized: float16, bfloat16 (default: float16; fp16 and bf16 bring theirs)",
        "float16",
    ),
    Option(
        "--attn-implementation", f"{', '.join(ATTENTIONS)} (default: sdpa)", "sdpa", metavar="NAME"
    ),
    Option(
        "--threads",
        "host threads of torch (default: 1 on the CPU, torch's own on CUDA)",
        metavar="N",
    ),
    Option(
        "--bounds",
        "bounds of validity, as in clock_drop=0.1,trend_size=0.2; *=inf takes all away; with "
        "wider ones than usual a session becomes a baseline only by force "
        "(names and defaults: benchmarks/machine/bounds.py)",
        metavar="NAME=X,...",
    ),
    Option(
        "--again-within",
        "measure rounds that are not valid once more, if they took less than this; 0: never "
        "(default: 300)",
        "300",
        metavar="SECONDS",
    ),
    Option("--report", "write one HTML page of this session there", metavar="FILE"),
    Option("--artifacts", "folder for profiles: tables, traces, stacks", metavar="DIR"),
    Option(
        "--gate",
        "judge this session by the promoted baselines, or those that --benchmark-compare=NAME "
        "names; a time of the wall beyond what they vary is suspicious (screen, the default) or "
        "REGRESSED (strict); work: counters, calls, device time and memory are judged alone, and "
        "no wall time, so that a busy host doesn't matter",
        metavar="HOW",
        bare="screen",
    ),
    Option(
        "--device-repeats",
        "recordings of what the GPU does, whose median is its device time (default: 3)",
        "3",
        metavar="N",
    ),
    Option(
        "--work-only",
        "measure the work alone, with --gate=work the fast gate: each throughput benchmark "
        "generates a few tokens once, without warm-up, and no wall time is kept",
        flag=True,
    ),
    Option(
        "--summary",
        "add the verdicts and the metrics to this file, as Markdown; with this option or --gate "
        "also to $GITHUB_STEP_SUMMARY",
        metavar="FILE",
    ),
)
