"""The prompts: rows of the length asked for, all different, the same ones each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.common.errors import InputError
from benchmarks.config.workload import (
    TEMPLATE,
    TOPICS,
    Encode,
    Workload,
    build_workload,
    shipped_text,
)

if TYPE_CHECKING:
    from benchmarks.model.checkpoint import Checkpoint


def encode(text: str) -> list[int]:
    """Tokenize a text the plainest way: 1 to begin with, then one token for each character."""
    return [1, *(ord(character) for character in text)]


def build(
    batch_size: int = 8, prompt_tokens: int | None = 64, prompt: str | None = None
) -> Workload:
    """Return a workload of the plain tokenizer."""
    return build_workload(
        encode, batch_size=batch_size, new_tokens=4, prompt_tokens=prompt_tokens, prompt=prompt
    )


@pytest.fixture(scope="module")
def tokenizer_encode(tiny_checkpoint: Checkpoint) -> Encode:
    """Return what the suite tokenizes with: a tokenizer of words, read from the checkpoint."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint.path)
    return lambda text: tokenizer(text)["input_ids"]


@given(st.integers(1, 100), st.integers(1, 500))
def test_all_rows_have_the_length_asked_for(batch_size: int, prompt_tokens: int) -> None:
    """Every row has exactly the prompt tokens asked for, so that no row needs padding."""
    workload = build(batch_size, prompt_tokens)
    assert {len(row) for row in workload.prompts} == {prompt_tokens} == {workload.prompt_tokens}
    assert len(workload.prompts) == batch_size == workload.batch_size


def test_rows_are_distinct() -> None:
    """Rows differ as long as there are topics: equal rows would have too few outlier columns."""
    assert build(len(TOPICS)).distinct_prompts == len(TOPICS) == 32
    assert build(batch_size=40).distinct_prompts == 32
    assert build(batch_size=1).distinct_prompts == 1


def test_the_default_rows_are_distinct(tokenizer_encode: Encode) -> None:
    """The default of 16 tokens reaches the topic: a shorter cut would make all rows equal."""
    workload = build_workload(tokenizer_encode, batch_size=32, new_tokens=128, prompt_tokens=16)
    assert workload.distinct_prompts == 32


def test_the_first_row_is_the_old_scripts_prompt() -> None:
    """Row 0 asks about machine learning, in the words of the old script, at any batch size."""
    text = "Below is a question. I need an answer.\n\nExplain machine learning: "
    assert TEMPLATE.format(topic=TOPICS[0]) == text
    for batch_size in (1, 8):
        workload = build(batch_size, prompt_tokens=len(encode(text)))
        assert workload.prompts[0] == tuple(encode(text))


def test_a_row_does_not_depend_on_the_batch_size() -> None:
    """A larger batch adds rows and changes none, so that batch sizes can be compared."""
    assert build(32).prompts[:8] == build(8).prompts


@pytest.mark.parametrize("text", ["Why?", "A text\nof two lines, Größe 世界"])
def test_a_given_prompt_repeats_at_its_own_length(text: str) -> None:
    """With --prompt every row is that text: not cut, not continued."""
    workload = build(batch_size=3, prompt_tokens=None, prompt=text)
    assert workload.prompts == (tuple(encode(text)),) * 3
    assert workload.prompt_tokens == len(text) + 1
    assert workload.distinct_prompts == 1


def test_long_prompts_go_on_with_the_suites_text(tokenizer_encode: Encode) -> None:
    """5000 tokens, several times the shipped text, are had at exactly that length."""
    workload = build_workload(tokenizer_encode, batch_size=8, new_tokens=1, prompt_tokens=5000)
    assert {len(row) for row in workload.prompts} == {5000}
    assert workload.distinct_prompts == 8
    assert len(set(workload.prompts[0])) > 200  # the text, and no single token repeated


def test_long_prompts_begin_with_the_question() -> None:
    """A long prompt is the question and then the text, so that its length is all that differs."""
    question = TEMPLATE.format(topic=TOPICS[0])
    row = build(1, prompt_tokens=5000).prompts[0]
    text = question + shipped_text() * 2
    assert row == tuple(encode(text))[:5000]


def test_tokens_that_merge_across_copies_do_not_matter() -> None:
    """A tokenizer that joins the end of a copy to the next one still gives the full length."""
    text = shipped_text()

    def joining(text_: str) -> list[int]:
        return encode(text_.replace(text[-9:] + text[:9], "|"))

    two_copies = len(encode(TEMPLATE.format(topic=TOPICS[0]) + 2 * text))
    for prompt_tokens in range(two_copies - 20, two_copies + 1):
        workload = build_workload(joining, batch_size=1, new_tokens=1, prompt_tokens=prompt_tokens)
        assert workload.prompt_tokens == prompt_tokens


def test_the_same_options_give_the_same_prompts() -> None:
    """The hash names the prompts: new tokens don't change it; rows, order and length do."""
    base = build()
    assert base.prompts_sha256 == build().prompts_sha256
    assert base.prompts_sha256 == Workload(base.prompts, new_tokens=999).prompts_sha256
    others = [
        build(batch_size=7),
        build(prompt_tokens=65),
        build(prompt_tokens=None, prompt="Why?"),
        Workload(base.prompts[::-1], new_tokens=4),
    ]
    assert len({each.prompts_sha256 for each in [base, *others]}) == 5


def test_rows_of_other_lengths_hash_differently() -> None:
    """The same ids cut into rows at another place are other prompts."""
    assert (
        Workload(((1, 2), (3, 4)), 1).prompts_sha256 != Workload(((1, 2, 3, 4),), 1).prompts_sha256
    )


def test_a_prompt_without_tokens_is_refused() -> None:
    """A text that the tokenizer makes nothing of is named, before anything is generated."""
    with pytest.raises(InputError, match="--prompt: expected a text of at least one token"):
        build_workload(lambda _: [], batch_size=1, new_tokens=1, prompt_tokens=None, prompt="x")


def test_a_tokenizer_that_can_not_fill_a_prompt_is_named() -> None:
    """A tokenizer that drops the text ends in one line that says how far it came."""
    with pytest.raises(InputError, match=r"^prompts: expected 16 tokens .* got 1;") as raised:
        build_workload(lambda _: [1], batch_size=1, new_tokens=1, prompt_tokens=16)
    assert len(str(raised.value).splitlines()) == 1


def test_a_length_or_a_text_is_needed() -> None:
    """A workload of neither length nor text is a mistake of the caller."""
    with pytest.raises(ValueError, match="prompt_tokens"):
        build(prompt_tokens=None)
