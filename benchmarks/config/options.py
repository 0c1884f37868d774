"""The options of a session: one table for pytest and for the commands that measure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.common.exit_status import listed
from benchmarks.config import generation
from benchmarks.config.quantization import QUANTIZATIONS

DEVICES = ("auto", "cuda", "cpu")
TENSOR = "tensor"  # several processes hold a model together
DEVICE_MAPS = ("single", "auto", TENSOR)
DTYPES = ("float16", "bfloat16")
DTYPE = "float16"  # of what isn't quantized, if none is asked for
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flex_attention")

DEFAULT_PROMPT_TOKENS = 16  # what Llama-3.1's own tokenizer makes of the old script's prompt
# The heading of the suite's options: pytest has no other place for what they are for.
HELP = f"""\
LLM.int8() benchmarks: measure how fast a model generates text if its weights are quantized
examples:
  python -m pytest benchmarks
  python -m pytest benchmarks --new-tokens 8 --rounds 2 --columns all
  python -m pytest benchmarks --gate
exit status:
{listed()}
options"""


@dataclass(frozen=True)
class Option:
    """One command-line option, and the text that stands for its default."""

    name: str
    help: str
    default: str | None = None
    metavar: str | None = None
    flag: bool = False
    bare: str | None = None  # what the option means without a value, if it needs none

    @property
    def dest(self) -> str:
        """The attribute under which argument parsers keep it."""
        return self.name.lstrip("-").replace("-", "_")


OPTIONS = (
    Option(
        "--model",
        "one or more of: hub id, local folder, synthetic:tiny, synthetic:llama-3.1-8b "
        "(default: meta-llama/Llama-3.1-8B on CUDA, synthetic:tiny on the CPU)",
        metavar="A,B",
    ),
    Option(
        "--revision",
        "branch, tag or commit of a hub model (default: its main branch)",
        metavar="REV",
    ),
    Option(
        "--reference",
        "hub id or local folder of the 16-bit checkpoint that a --model which is quantized already "
        "was made from, to compare it with (default: none)",
        metavar="ID",
    ),
    Option(
        "--device",
        f"device to run on: {', '.join(DEVICES)} (default: auto, the first GPU if there is one)",
        "auto",
    ),
    Option(
        "--device-map",
        "single: the whole model on one device; auto: whole layers on each of all visible GPUs; "
        "tensor: each layer of an fp16 or bf16 model split over all visible GPUs, a process for "
        "each, or over two processes on the CPU (default: single)",
        "single",
        metavar="MAP",
    ),
    Option(
        "--quantization",
        f"one or more of {', '.join(QUANTIZATIONS)} (default: int8-decomp; of a checkpoint that "
        "is quantized already, its own)",
        metavar="A,B",
    ),
    Option(
        "--generation",
        f"how tokens are generated, one or more of {', '.join(generation.MODES)}: with the usual "
        "cache, a static one, a static one and a compiled decode step, or a quantized one "
        f"(default: {generation.DEFAULT})",
        generation.DEFAULT,
        metavar="A,B",
    ),
    Option(
        "--batch-size",
        "rows that are generated at once; one number or several (default: 8)",
        "8",
        metavar="N,M",
    ),
    Option("--new-tokens", "tokens to generate for each row (default: 128)", "128", metavar="N"),
    Option(
        "--prompt-tokens",
        "tokens of each prompt; a question that is shorter goes on with a text of the suite "
        f"(default: {DEFAULT_PROMPT_TOKENS})",
        metavar="N",
    ),
    Option(
        "--prompt",
        "use this text in every row, at its own length (default: a question for each row)",
        metavar="TEXT",
    ),
    Option("--rounds", "timed rounds of a benchmark (default: 5)", "5", metavar="N"),
    Option(
        "--warmup-rounds",
        "untimed rounds before the timed ones, if the model isn't warm yet (default: 3)",
        "3",
        metavar="N",
    ),
    Option(
        "--replicas",
        "also measure this many processes at once, each with its own copy of the model, on all "
        "visible GPUs in turn; one number or several, and with a 1 among them scaling efficiency "
        "(default: none)",
        metavar="N,M",
    ),
    Option(
        "--dtype",
        f"data type of what isn't quantized: {', '.join(DTYPES)} (default: {DTYPE}; the "
        "quantizations fp16 and bf16 have their own, and so has a checkpoint that is quantized "
        "already)",
    ),
    Option(
        "--attn-implementation",
        f"attention: {', '.join(ATTENTIONS)} (default: sdpa)",
        "sdpa",
        metavar="NAME",
    ),
    Option(
        "--threads",
        "threads of torch on the host (default: 1 on the CPU, torch's own number on CUDA)",
        metavar="N",
    ),
    Option(
        "--bounds",
        "move the bounds beyond which the machine can't be trusted, as in clock_drop=0.1 or "
        "'*=inf', which lifts all; such a session becomes a baseline only by promote --force "
        "(names and defaults: benchmarks/machine/bounds.py)",
        metavar="NAME=X,...",
    ),
    Option(
        "--again-within",
        "measure rounds once more if the machine was busy and they took less than this; 0: never "
        "(default: 300)",
        "300",
        metavar="SECONDS",
    ),
    Option(
        "--columns",
        "columns of the table at the end, by their headers, as in tokens/s,p99,load; all: every "
        "one that was measured (default: tokens/s, TTFT, TPOT, device, busy, calls, and memory, of "
        "several processes also scaling, cores and collectives; the stored file has all of them "
        "anyway)",
        metavar="NAME,...",
    ),
    Option(
        "--report",
        "write an HTML page of this session into this file (default: none)",
        metavar="FILE",
    ),
    Option(
        "--artifacts",
        "write profiles into this folder: tables, traces, stacks (default: none)",
        metavar="DIR",
    ),
    Option(
        "--nvtx",
        "name load, warm-up, benchmarks, rounds, prefill and each decode step for Nsight Systems "
        "and Nsight Compute; each waits for the GPU at its end, so such a session is compared with "
        "its like alone",
        flag=True,
    ),
    Option(
        "--memory-snapshot",
        "record, in one untimed generation, what holds the memory at the peaks of prefill and "
        "decode; on CUDA --artifacts gets the allocator's snapshots, for pytorch.org/memory_viz",
        flag=True,
    ),
    Option(
        "--gate",
        "judge this session by the promoted baselines, or by those of --benchmark-compare=NAME. "
        "screen: a wall time that is slower than they vary is suspicious; strict: it is REGRESSED; "
        "work: no wall time is judged, so a busy host doesn't matter, only counters, calls, device "
        "time, memory and agreement with 16 bits (default: no gate; a bare --gate is screen)",
        metavar="HOW",
        bare="screen",
    ),
    Option(
        "--device-repeats",
        "how often the GPU's work is recorded; the median is the device time (default: 2)",
        "2",
        metavar="N",
    ),
    Option(
        "--work-only",
        "measure counters, calls, device time and memory alone: each throughput benchmark "
        "generates a few tokens once, and no wall time is kept; with --gate=work it is the fast "
        "gate",
        flag=True,
    ),
    Option(
        "--summary",
        "append verdicts and metrics to this file, as Markdown; with this option or --gate also "
        "to $GITHUB_STEP_SUMMARY (default: none)",
        metavar="FILE",
    ),
)
