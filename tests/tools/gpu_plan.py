"""How much of each step of `make gpu-check` is measured: on a GPU, and small on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.duets import given
from tests.tools.gpu_pull_requests import PULL_REQUESTS

if TYPE_CHECKING:
    import argparse

TINY, FEW_ROWS = "--model=synthetic:tiny", "--batch-size=2"


@dataclass(frozen=True)
class Parity:
    """A workload for which rounds of the suite are compared with a loop without it."""

    quantization: str
    batch_size: int
    prompt_tokens: int
    new_tokens: int
    pairs: int


@dataclass(frozen=True)
class Played:
    """What a duet plays: options beside the model, pairs, and restarts of two fresh processes."""

    options: tuple[str, ...]
    pairs: int
    restarts: int


@dataclass(frozen=True)
class Apart:
    """A quantization whose peaks of memory are taken apart, at batch sizes and new tokens."""

    quantization: str
    sizes: tuple[tuple[int, int], ...]
    model: str | None = None  # an option, if it isn't the plan's


@dataclass(frozen=True)
class Gated:
    """What the gate is tried with, from end to end."""

    baselines: int
    pull_requests: tuple[str, ...]
    layers: int  # of the model
    options: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much of it."""

    model: str = "synthetic:llama-3.1-8b"
    device: str = "cuda"
    # Few tokens and rounds in the default steps: they have ten minutes, on a slow host as well.
    main: tuple[str, ...] = ("--new-tokens=16", "--rounds=2", "--warmup-rounds=1")
    whole: int = 8  # rows of the first quantization, of which warm-up and profile are measured too
    sharded: tuple[str, ...] = ("--quantization=int8", "--new-tokens=32", "--rounds=3")
    tensor: tuple[str, ...] = (  # each batch size loads anew
        *("--quantization=fp16", "--batch-size=8,1", "--new-tokens=64"),
        *("--rounds=5", "--warmup-rounds=2"),
    )
    # Each number of them loads anew.
    replicas: tuple[str, ...] = ("--new-tokens=32", "--rounds=3", "--warmup-rounds=1")
    few: str = "1,2"
    many: str = "1,2,4"
    quantizations: str = "int8-decomp,int8,fp16,nf4"
    one: str = "int8"  # of steps in which all of them would take too long
    batch_sizes: str = "1,8,32"
    # A counter of energy moves in steps, so it needs rounds of two seconds in all, fp16's too.
    energy: tuple[str, ...] = ("--new-tokens=32", "--rounds=4", "--warmup-rounds=1")
    modes: tuple[str, ...] = ("--new-tokens=16", "--rounds=3")
    modes_s: float = 60.0  # for `one`
    all_modes_s: float = 440.0
    identical: int = 10  # processes; three repeats, of which the first two are what is usual
    identical_options: tuple[str, ...] = ("--new-tokens=16", "--work-only", "--device-repeats=3")
    turns: int = 5  # of two processes, with the gate's options
    releases: tuple[str, ...] = ("0.48.2", "0.49.2", "0.50.2")  # of bitsandbytes
    prequantized: str = "int8-decomp,nf4"
    beside: str = "int8-decomp,int8,fp16"
    slices: str = "int8-decomp,int8"
    # The first is bound by the host, whose noise it has; the last one by the GPU alone.
    parities: tuple[Parity, ...] = (
        Parity("int8-decomp", 8, 16, 2, pairs=60),
        Parity("int8-decomp", 32, 512, 1, pairs=20),
        Parity("int8", 16, 1024, 1, pairs=20),
    )
    memory: tuple[Apart, ...] = (
        Apart("int8-decomp", ((8, 8),), TINY),  # whose history stays, so it is a small one
        Apart("int8", ((8, 8),), TINY),
        Apart("nf4", ((8, 8),), TINY),
        Apart("fp16", ((8, 8), (8, 1)), TINY),
        Apart("int8-decomp", ((1, 16), (8, 128), (32, 16))),
        Apart("fp16", ((8, 128),)),
    )
    gate: Gated = Gated(
        baselines=5,
        pull_requests=tuple(PULL_REQUESTS),
        layers=32,
        options=(
            *("-k=throughput", "--quantization=int8", "--new-tokens=16"),
            *("--rounds=3", "--warmup-rounds=1"),
        ),
    )
    # Short rounds, and many: a host that is slow for a second hits both of a pair.
    duet: Played = Played(("--new-tokens=2",), pairs=24, restarts=5)
    slowed: Played = Played((TINY, "--new-tokens=2"), pairs=120, restarts=5)
    prefill: Played = Played(
        ("--quantization=int8", "--batch-size=16", "--prompt-tokens=1024", "--new-tokens=1"),
        pairs=6,
        restarts=3,
    )


SMALL = Plan(
    model="synthetic:tiny",
    main=("--new-tokens=4", "--rounds=2", "--warmup-rounds=1"),
    whole=1,
    sharded=("--quantization=int8", FEW_ROWS, "--new-tokens=4", "--rounds=2"),
    tensor=("--quantization=fp16", FEW_ROWS, "--new-tokens=6", "--rounds=2", "--warmup-rounds=1"),
    replicas=(FEW_ROWS, "--new-tokens=4", "--rounds=2", "--warmup-rounds=0"),
    many="1,2",
    quantizations="int8-decomp,int8",
    batch_sizes="1",
    energy=("--new-tokens=6", "--rounds=2", "--warmup-rounds=1"),
    modes=("--new-tokens=4", "--rounds=2"),
    identical=2,
    identical_options=(FEW_ROWS, "--new-tokens=4", "--work-only"),
    turns=2,
    prequantized="nf4",
    beside="int8",
    slices="int8",
    parities=(Parity("int8-decomp", 2, 16, 2, pairs=2), Parity("int8", 2, 32, 1, pairs=2)),
    memory=(Apart("int8-decomp", ((2, 4),)),),
    gate=Gated(
        1,
        ("host",),
        1,
        ("-k=throughput", "--quantization=int8", FEW_ROWS, "--new-tokens=4", "--rounds=2"),
    ),
    duet=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    slowed=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    prefill=Played(("--quantization=int8", FEW_ROWS, "--new-tokens=1"), pairs=2, restarts=1),
)


def options_of(plan: Plan, *options: str) -> argparse.Namespace:
    """Return the options of a command that measures, for this plan's model and device."""
    return given(f"--model={plan.model}", f"--device={plan.device}", *options)
