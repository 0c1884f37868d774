"""What is generated: so many rows of so many prompt tokens, and so many new tokens for each."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.errors import InputError
from benchmarks.config.generation import DEFAULT

Encode = Callable[[str], list[int]]  # a text to its token ids, special tokens included

TEMPLATE = "Below is a question. I need an answer.\n\nExplain {topic}: "

# Short and different: LLM.int8()'s outlier columns are a union over the rows of a batch, so a
# batch of equal rows would measure too little work.
TOPICS = (
    "machine learning", "plate tectonics", "quantum mechanics", "general relativity",
    "natural selection", "supply chains", "operating systems", "compound interest",
    "public health", "organic chemistry", "music theory", "game theory",
    "fluid dynamics", "computer networks", "language families", "crop rotation",
    "solar power", "data structures", "human memory", "ocean currents",
    "civil engineering", "number theory", "market prices", "weather forecasts",
    "bread baking", "digital cameras", "bridge design", "water treatment",
    "image compression", "jet engines", "vaccine trials", "star formation",
)  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """Rows of prompt token ids, all of one length, and the new tokens asked for each row."""

    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int
    generation: str = DEFAULT  # the mode
    room: int = 0  # tokens of a row that a static cache has room for

    @property
    def batch_size(self) -> int:
        """Rows that are generated at once."""
        return len(self.prompts)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of each row's prompt."""
        return len(self.prompts[0])

    @property
    def distinct_prompts(self) -> int:
        """How many rows differ; fewer than the batch size measures less outlier work."""
        return len(set(self.prompts))

    @property
    def prompts_sha256(self) -> str:
        """SHA-256 of the prompts' token ids as JSON rows."""
        return hashlib.sha256(json.dumps(self.prompts).encode()).hexdigest()


def build_workload(
    encode: Encode,
    *,
    batch_size: int,
    new_tokens: int,
    prompt_tokens: int | None,
    prompt: str | None = None,
) -> Workload:
    """Tokenize the prompts of a workload.

    With `prompt`, every row is that text at its own length. Without, row i asks about topic i and
    goes on with the suite's text, cut to `prompt_tokens`, so that no row needs padding.
    """
    if prompt is not None:
        row = tuple(encode(prompt))
        if not row:
            raise InputError("--prompt: expected a text of at least one token; got none")
        return Workload((row,) * batch_size, new_tokens)
    if prompt_tokens is None:
        raise ValueError("prompt_tokens is needed if no prompt is given")
    rows = [_question(encode, row, prompt_tokens) for row in range(min(batch_size, len(TOPICS)))]
    return Workload(tuple(rows[row % len(rows)] for row in range(batch_size)), new_tokens)


def shipped_text() -> str:
    """Return the text that ships with the suite, for prompts longer than a question."""
    return (Path(__file__).parent / "prompt.txt").read_text(encoding="utf-8")


def _question(encode: Encode, row: int, tokens: int) -> tuple[int, ...]:
    question = TEMPLATE.format(topic=TOPICS[row])
    ids = encode(question)
    if len(ids) < tokens:
        text = shipped_text()
        growth = len(encode(question + text)) - len(ids)
        copies = math.ceil((tokens - len(ids)) / max(growth, 1)) + 1  # one more: seams may merge
        ids = encode(question + text * copies) if growth > 0 else ids
    if len(ids) < tokens:
        raise InputError(
            f"prompts: expected {tokens} tokens of plain English, got {len(ids)}; "
            "check the model's tokenizer"
        )
    return tuple(ids[:tokens])
