"""How much of each step of `make gpu-check` is measured: on a GPU, and small on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

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
    """What the gate is tried with, from end to end: `rounds` are those on a busy host."""

    baselines: int
    pull_requests: tuple[str, ...]
    layers: int  # of the model
    options: tuple[str, ...]
    rounds: tuple[str, ...] = ("--rounds=3", "--warmup-rounds=1")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much of it."""

    model: str = "synthetic:llama-3.1-8b"
    device: str = "cuda"
    main: tuple[str, ...] = ()  # options of the main job: its defaults
    sharded: tuple[str, ...] = ("--quantization=int8", "--new-tokens=32", "--rounds=3")
    tensor: tuple[str, ...] = (  # each batch size loads anew
        *("--quantization=fp16", "--batch-size=8,1", "--new-tokens=64"),
        *("--rounds=5", "--warmup-rounds=2"),
    )
    replicas: tuple[str, ...] = (  # each number of them loads anew
        *("--replicas=1,2,4", "--new-tokens=32", "--rounds=3", "--warmup-rounds=1"),
    )
    quantizations: str = "int8-decomp,int8,fp16,nf4"
    batch_sizes: str = "1,8,32"
    table: tuple[str, ...] = ("--new-tokens=16", "--rounds=3", "--warmup-rounds=1")
    modes: tuple[str, ...] = ("--batch-size=8,1", "--new-tokens=16", "--rounds=3")
    modes_s: float = 310.0  # for all of it
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
        pull_requests=("same", "device", "host", "busy"),
        layers=32,
        options=("-k=throughput", "--quantization=int8", "--new-tokens=16"),
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
    main=("-k=throughput", FEW_ROWS, "--new-tokens=6", "--rounds=2", "--warmup-rounds=1"),
    sharded=("--quantization=int8", FEW_ROWS, "--new-tokens=4", "--rounds=2"),
    tensor=("--quantization=fp16", FEW_ROWS, "--new-tokens=6", "--rounds=2", "--warmup-rounds=1"),
    replicas=("--replicas=1,2", FEW_ROWS, "--new-tokens=4", "--rounds=2", "--warmup-rounds=0"),
    quantizations="int8-decomp,int8",
    batch_sizes="1",
    table=("--new-tokens=4", "--rounds=2", "--warmup-rounds=1"),
    modes=("--batch-size=2", "--new-tokens=4", "--rounds=2"),
    parities=(Parity("int8-decomp", 2, 16, 2, pairs=2), Parity("int8", 2, 32, 1, pairs=2)),
    memory=(Apart("int8-decomp", ((2, 4),)),),
    gate=Gated(1, ("host",), 1, ("-k=throughput", "--quantization=int8", FEW_ROWS)),
    duet=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    slowed=Played((FEW_ROWS, "--new-tokens=2"), pairs=2, restarts=1),
    prefill=Played(("--quantization=int8", FEW_ROWS, "--new-tokens=1"), pairs=2, restarts=1),
)
