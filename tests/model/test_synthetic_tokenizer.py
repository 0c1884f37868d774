"""The tokenizer of a synthetic checkpoint: any text, any id, and as many tokens as Llama's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from benchmarks.model.synthetic_tokenizer import write_tokenizer
from benchmarks.model.synthetic_weights import CONFIGS, Recipe


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny_checkpoint):
    """Return the tokenizer of synthetic:tiny."""
    return AutoTokenizer.from_pretrained(tiny_checkpoint.path)


def test_every_id_decodes(tiny_tokenizer):
    """Whatever random weights choose, the example that is shown has a text."""
    assert len(tiny_tokenizer) == CONFIGS["tiny"]["vocab_size"] == 2048
    assert all(tiny_tokenizer.decode([token]) for token in range(2048))


@given(text=st.text(max_size=50))
def test_any_text_round_trips(tiny_tokenizer, text):
    """Any --prompt can be used: it comes back as it was, behind the token that begins a text."""
    begin_id, *ids = tiny_tokenizer.encode(text)
    assert begin_id == CONFIGS["tiny"]["bos_token_id"]
    assert max(ids, default=0) < 2048
    assert tiny_tokenizer.decode(ids) == text


def test_the_suites_own_words_are_single_tokens(tiny_tokenizer):
    """The default prompt has the 16 tokens that Llama's own tokenizer makes of it."""
    text = "Below is a question. I need an answer.\n\nExplain machine learning: "
    assert len(tiny_tokenizer.encode(text)) == 16


def test_llamas_tokenizer_has_llamas_size(tmp_path):
    """The 8B tokenizer has an entry for each row of the 8B embedding, special tokens in place."""
    write_tokenizer(Recipe("llama-3.1-8b").config, tmp_path)  # the weights would be 16 GB
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == CONFIGS["llama-3.1-8b"]["vocab_size"] == 128_256
    assert tokenizer.encode("") == [128_000]
    assert tokenizer.decode([128_001]) == "<|end_of_text|>"
    assert tokenizer.decode([128_255])
