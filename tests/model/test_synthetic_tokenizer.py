"""The tokenizer of a synthetic checkpoint: any text, any id, and as many tokens as Llama's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.model.synthetic_tokenizer import write_tokenizer
from benchmarks.model.synthetic_weights import CONFIGS, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.model.checkpoint import Checkpoint


class Tokenizer(NamedTuple):
    """A tokenizer as the suite loads it, and its vocabulary's size."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    size: int


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint's folder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Tokenizer(lambda text: tokenizer(text)["input_ids"], tokenizer.decode, len(tokenizer))


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny_checkpoint: Checkpoint) -> Tokenizer:
    """Return the tokenizer of synthetic:tiny."""
    return load_tokenizer(tiny_checkpoint.path)


def test_every_id_decodes(tiny_tokenizer: Tokenizer) -> None:
    """Whatever random weights choose, the example that is shown has a text."""
    assert tiny_tokenizer.size == CONFIGS["tiny"]["vocab_size"] == 2048
    assert all(tiny_tokenizer.decode([token]) for token in range(2048))


@given(text=st.text(max_size=50))
def test_any_text_round_trips(tiny_tokenizer: Tokenizer, text: str) -> None:
    """Any --prompt can be used: it comes back as it was, behind the token that begins a text."""
    begin_id, *ids = tiny_tokenizer.encode(text)
    assert begin_id == CONFIGS["tiny"]["bos_token_id"]
    assert max(ids, default=0) < 2048
    assert tiny_tokenizer.decode(ids) == text


def test_the_suites_own_words_are_single_tokens(tiny_tokenizer: Tokenizer) -> None:
    """The default prompt has the 16 tokens that Llama's own tokenizer makes of it."""
    text = "Below is a question. I need an answer.\n\nExplain machine learning: "
    assert len(tiny_tokenizer.encode(text)) == 16


def test_llamas_tokenizer_has_llamas_size(tmp_path: Path) -> None:
    """The 8B tokenizer has an entry for each row of the 8B embedding, special tokens in place."""
    write_tokenizer(Recipe("llama-3.1-8b").config, tmp_path)  # the weights would be 16 GB
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.size == CONFIGS["llama-3.1-8b"]["vocab_size"] == 128_256
    assert tokenizer.encode("") == [128_000]
    assert tokenizer.decode([128_001]) == "<|end_of_text|>"
    assert tokenizer.decode([128_255])
