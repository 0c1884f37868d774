"""The tokenizer of synthetic checkpoints: any text in, and every id of the vocabulary decodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.config.workload import TEMPLATE, TOPICS, shipped_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


SPLIT = (  # Llama 3's own
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_tokenizer(config: Mapping[str, Any], folder: Path) -> None:
    """Write a byte-level BPE tokenizer like Llama 3's: any text in, and every id decodes.

    Its words are those of the suite's prompts; the rest of the vocabulary is filled with names.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    size, first_special = config["vocab_size"], config["bos_token_id"]
    level = ByteLevel(add_prefix_space=False, use_regex=False)
    words = Sequence([Split(Regex(SPLIT), behavior="isolated"), level])
    texts = [TEMPLATE.format(topic=topic) for topic in TOPICS] + [shipped_text()]
    known = [word for text in texts for word, _ in words.pre_tokenize_str(text)]
    pieces = list(dict.fromkeys([*sorted(ByteLevel.alphabet()), *known]))
    pieces += [f"Ġw{number}" for number in range(first_special - len(pieces))]
    specials = ["<|begin_of_text|>", "<|end_of_text|>"]
    specials += [f"<|reserved_{number}|>" for number in range(size - first_special - len(specials))]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(special, special=True) for special in specials])
    begin = specials[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, first_special)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": specials[1],
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
