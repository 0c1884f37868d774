"""Tiny random checkpoints of many architectures, and what the suite is to say of each.

`python -m tests.model.architectures` prints the table of docs/architectures.md.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from benchmarks.model.synthetic_tokenizer import write_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY, FIRST_SPECIAL, POSITIONS = 2048, 2032, 1024
TINY: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": FIRST_SPECIAL,
    "eos_token_id": FIRST_SPECIAL + 1,
    "pad_token_id": 0,
}


@dataclass(frozen=True)
class Architecture:
    """One architecture, by the name that transformers knows its config by."""

    name: str
    more: dict[str, Any] = field(default_factory=dict)  # of its config
    attention: str = "sdpa"
    refused: str | None = None  # part of the line that refuses INT8; None: it runs

    def config(self) -> Any:
        """Return a tiny config: what all have in common, and what this one wants."""
        kind = CONFIG_MAPPING[self.name]
        known = set(inspect.signature(kind.__init__).parameters)
        for each in kind.__mro__:
            known |= set(getattr(each, "__annotations__", {}))
        names = {name: (kind.attribute_map or {}).get(name, name) for name in TINY}
        given = {n: v for n, v in TINY.items() if n in known or names[n] in known}
        return kind(**(given | self.more))

    def write(self, folder: Path, dtype: torch.dtype = torch.float16) -> Path:
        """Write a random checkpoint with a tokenizer; the same for the same name."""
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(
            self.config(), attn_implementation=self.attention, dtype=dtype
        )
        model.save_pretrained(folder)
        vocabulary = {"vocab_size": VOCABULARY, "bos_token_id": FIRST_SPECIAL}
        write_tokenizer(vocabulary | {"max_position_embeddings": POSITIONS}, folder)
        return folder


def change(folder: Path, **values: Any) -> None:
    """Change values of a checkpoint's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


EAGER = {"attention": "eager"}
NO_CACHE = "keeps a cache"
ARCHITECTURES = (
    Architecture("llama"),
    Architecture("mistral"),
    Architecture("qwen2"),
    Architecture("qwen3"),
    Architecture("gemma"),
    Architecture("gemma2", **EAGER),
    Architecture("gemma3_text"),
    Architecture("phi"),
    Architecture("phi3"),
    Architecture("gpt_neox"),
    Architecture("gpt_bigcode"),
    Architecture("bloom", **EAGER),
    Architecture("mpt", **EAGER),
    Architecture("opt"),
    Architecture("olmo"),
    Architecture("olmo2"),
    Architecture("olmo3"),
    Architecture("cohere"),
    Architecture("cohere2"),
    Architecture("granite"),
    Architecture("stablelm"),
    Architecture("starcoder2"),
    Architecture("nemotron"),
    Architecture("persimmon"),
    Architecture("glm"),
    Architecture("glm4"),
    Architecture("helium"),
    Architecture("smollm3"),
    Architecture("ernie4_5"),
    Architecture("exaone4"),
    Architecture("seed_oss"),
    Architecture("arcee"),
    Architecture("apertus"),
    Architecture("diffllama"),
    Architecture("hunyuan_v1_dense"),
    Architecture("nanochat"),
    Architecture("modernbert-decoder"),
    Architecture("biogpt"),
    Architecture("ctrl"),
    Architecture("gptj", {"rotary_dim": 8}, **EAGER),
    Architecture("codegen", {"rotary_dim": 8}, **EAGER),
    Architecture("gpt_neo", {"attention_types": [[["global", "local"], 1]]}, **EAGER),
    Architecture("xglm", {"ffn_dim": 128}, **EAGER),
    Architecture(
        "minicpm3",
        {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
         "v_head_dim": 16, "num_key_value_heads": 4, "head_dim": 8},
    ),
    Architecture(
        "deepseek_v3",
        {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
         "v_head_dim": 16, "num_key_value_heads": 4, "head_dim": 8, "first_k_dense_replace": 2},
    ),
    Architecture("lfm2"),
    Architecture("falcon", refused="FalconLinear"),
    Architecture("gpt2", refused="Conv1D"),
    Architecture("mixtral", refused="of the weights"),
    Architecture("qwen2_moe", refused="of the weights"),
    Architecture("gpt_oss", refused="of the weights", **EAGER),
    Architecture("mamba", refused="lend their weights", **EAGER),
    Architecture("falcon_mamba", refused="lend their weights", **EAGER),
    Architecture("rwkv", refused=NO_CACHE, **EAGER),
    Architecture("bert", refused=NO_CACHE),
    Architecture("roberta", refused=NO_CACHE),
    Architecture("electra", refused=NO_CACHE),
)  # fmt: skip
