"""The tables of docs/agreement.md: a trained checkpoint over many texts, whole and damaged.

`python -m tests.tools.calibration build/smollm2`, after `make smollm2`. It takes an hour on one
core, and exits with 1 if something right is refused, or something damaged isn't found.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.common.errors import OutputError
from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import build_settings
from benchmarks.evidence import agreement, output, references
from benchmarks.model import loading
from benchmarks.model.target import find_target
from tests.tools import damages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

ROOT = Path(__file__).parents[2]
TEXTS = (  # prose, a licence, code, tables
    "docs/design.md",
    "LICENSE",
    "benchmarks/model/checkpoint.py",
    "docs/options.md",
)
SCALED = "model.layers.15.mlp.down_proj"
HEAD = ("quantization", "what", "windows", "relative error", "KL, nats", "top-1", "weights", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each quantization, whole and with each damage; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="a folder, of SmolLM2's architecture")
    parser.add_argument("--quantization", nargs="+", default=list(QUANTIZATIONS))
    parser.add_argument("--windows", type=int, default=24, help="texts of a whole model")
    parser.add_argument("--damaged", type=int, default=1, help="texts of a damaged model")
    parser.add_argument("--tokens", type=int, default=512, help="of a text")
    asked = parser.parse_args(arguments)
    target = _target(asked.checkpoint)
    texts = windows(target, asked.windows, asked.tokens)
    with loading.load(target, references.reference_name(target), cold=False) as engine:
        expected = [_logits(engine, ids) for ids in texts]
    print(f"against {references.reference_name(target)}, windows of {asked.tokens} tokens\n")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    right = True
    found: dict[str, int] = {}
    for name in asked.quantization:
        right &= _row(target, name, None, texts, expected)
        for damage in damages.DAMAGES if asked.damaged else ():
            right &= _row(target, name, damage, texts[: asked.damaged], expected)
        if asked.damaged:
            found[name] = _least(target, name)
    for name, percent in found.items():
        print(f"{name}: scales of {SCALED} that are too large are found from {percent} % on")
    return 0 if right else 1


def windows(target: Target, count: int, tokens: int) -> list[list[int]]:
    """Return the token ids of so many windows: of each text in turn, spread over all of it."""
    found = []
    each = -(-count // len(TEXTS))
    for part in range(each):
        for name in TEXTS:
            ids = target.encode((ROOT / name).read_text(encoding="utf-8"))
            start = part * max(0, len(ids) - tokens) // max(1, each - 1)
            found.append(ids[start : start + tokens])
    return found[:count]


def _row(
    target: Target,
    name: str,
    damage: str | None,
    texts: Sequence[list[int]],
    expected: Sequence[torch.Tensor],
) -> bool:
    """Print the figures of a model, whole or damaged; return whether the suite judged it right."""
    with loading.load(target, name, cold=False) as engine:
        if damage:
            damages.DAMAGES[damage](engine.model.model.layers)
        weights, refused = _weights(engine, target)
        pairs = zip(texts, expected, strict=False)  # of a damaged one the first texts alone
        figures = [output.compare(_logits(engine, ids), logits) for ids, logits in pairs]
    bounds = dataclasses.asdict(QUANTIZATIONS[name].real)
    beyond = sum(any(found[key] > bound for key, bound in bounds.items()) for found in figures)
    spans = [_span(figures, key) for key in agreement.FIGURES]
    says = f"weights {'refused' if refused else 'pass'}, output refused in {beyond}"
    print(f"| {' | '.join((name, damage or 'whole', str(len(figures)), *spans, weights, says))} |")
    sys.stdout.flush()
    return refused if damage else not (refused or beyond)


def _least(target: Target, name: str) -> int:
    """Return from which error on, in percent, wrong scales of a linear are refused."""
    passes, refused, now = 0, 100, 1.0
    with loading.load(target, name, cold=False) as engine:
        linear = engine.model.get_submodule(SCALED)
        while refused - passes > 1:
            percent = (passes + refused) // 2
            damages.scale(linear, (1 + percent / 100) / now)
            now = 1 + percent / 100
            if _weights(engine, target)[1]:
                refused = percent
            else:
                passes = percent
    return refused


def _weights(engine: Engine, target: Target) -> tuple[str, bool]:
    """Return how far off the weights are, and whether the suite refuses them."""
    try:
        found = agreement.check_weights(engine, target)
    except OutputError as error:
        return str(error).partition("off by ")[2].partition(" ")[0], True
    assert found is not None
    return f"{found['relative_error']:.3g}", False


def _logits(engine: Engine, ids: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        found = engine.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return found.half()


def _span(figures: Sequence[Mapping[str, float]], key: str) -> str:
    values = [each[key] for each in figures]
    return f"{min(values):.3f} to {max(values):.3f}"


def _target(folder: Path) -> Target:
    defaults: dict[str, Any] = {option.dest: option.default for option in OPTIONS}
    settings = build_settings((defaults | {"device": "cpu"}).get, os.environ)
    return find_target(dataclasses.replace(settings, models=(str(folder),), threads=1), print)


if __name__ == "__main__":
    sys.exit(main())
