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
    quantization: str = "int8"
    refused: str | None = None  # part of the line that refuses it; None: it runs
    kv: int = 256  # bytes of a token: 2 x 2 layers x 2 heads x 16 x 2 bytes, if nothing is special
    state: int = 0  # bytes of a row beside its tokens
    kind: str = ""  # what the table says beside its name

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
# A vision tower of one layer, so small that what is in none of its linears hardly counts.
TOWER = {
    "hidden_size": 8,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 4,
    "patch_size": 2,
}
ALL_HEADS = 512  # keys and values of all four heads
LATENT = 2 * (16 + 8) * 2  # of each layer: a compressed vector, and a rotated key for all heads
NO_CACHE = "keeps a cache"
WHY = {
    NO_CACHE: "its pass returns no cache",
    "FalconLinear": "transformers quantizes linears of torch's own class alone",
    "Conv1D": "its linears are transposed, and can't be attested",
    "of the weights": "experts are in no linear, and would stay in 16 bits",
    "x_proj_weight": "a part of mamba is in no linear, and would stay in 16 bits",
    "weights read directly": "a linear's weight is used without the linear",
    "run more than once": "a linear runs twice in a step, so its work isn't known",
}
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
    Architecture("gpt_neox", kv=ALL_HEADS),
    Architecture("gpt_bigcode", kv=128),
    Architecture("bloom", **EAGER, kv=ALL_HEADS),
    Architecture("mpt", **EAGER, kv=ALL_HEADS),
    Architecture("opt", kv=ALL_HEADS),
    Architecture("olmo"),
    Architecture("olmo2"),
    Architecture("olmo3"),
    Architecture("cohere"),
    Architecture("cohere2"),
    Architecture("granite"),
    Architecture("stablelm"),
    Architecture("starcoder2"),
    Architecture("nemotron"),
    Architecture("persimmon", kv=ALL_HEADS),
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
    Architecture("modernbert-decoder", kv=ALL_HEADS),
    Architecture("biogpt", kv=ALL_HEADS),
    Architecture("ctrl", kv=ALL_HEADS),
    Architecture("gptj", {"rotary_dim": 8}, **EAGER, kv=ALL_HEADS),
    Architecture("codegen", {"rotary_dim": 8}, **EAGER, kv=ALL_HEADS),
    Architecture("gpt_neo", {"attention_types": [[["global", "local"], 1]]}, **EAGER, kv=ALL_HEADS),
    Architecture("xglm", {"ffn_dim": 128}, **EAGER, kv=ALL_HEADS),
    Architecture(
        "minicpm3",
        {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
         "v_head_dim": 16, "num_key_value_heads": 4, "head_dim": 8},
        quantization="nf4", kv=LATENT,
    ),
    Architecture(
        "deepseek_v3",
        {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
         "v_head_dim": 16, "num_key_value_heads": 4, "head_dim": 8, "first_k_dense_replace": 2},
        quantization="nf4", kv=LATENT,
    ),
    Architecture("lfm2", {"layer_types": ["conv", "full_attention"]}, kv=128, state=64 * 3 * 2),
    Architecture("vaultgemma", **EAGER),
    Architecture(
        "gemma3",
        {"text_config": TINY, "vision_config": TOWER, "mm_tokens_per_image": 4},
        kind="with its vision tower",
    ),
    Architecture(
        "git", {"vision_config": TOWER}, **EAGER, kv=ALL_HEADS, kind="with its vision tower"
    ),
    Architecture(
        "fuyu",
        {"text_config": TINY | {"model_type": "persimmon"}, "patch_size": 2, "image_size": 4},
        kv=ALL_HEADS, kind="with its embedding of images",
    ),
    Architecture(
        "gemma3n_text",
        {"num_kv_shared_layers": 1, "layer_types": ["full_attention"] * 2, "laurel_rank": 8,
         "activation_sparsity_pattern": [0.0, 0.0], "hidden_size_per_layer_input": 16,
         "vocab_size_per_layer_input": VOCABULARY},
        refused="run more than once", kv=128,
    ),
    # Its third layer is the first with attention. It keeps its state inside its modules.
    Architecture("recurrent_gemma", {"num_hidden_layers": 3}, refused=NO_CACHE),
    Architecture("falcon", refused="FalconLinear"),
    Architecture("gpt2", refused="Conv1D"),
    Architecture("mixtral", refused="of the weights"),
    Architecture("qwen2_moe", refused="of the weights"),
    Architecture("gpt_oss", refused="of the weights", **EAGER),
    Architecture("mamba", refused="weights read directly", **EAGER),
    Architecture("falcon_mamba", refused="weights read directly", **EAGER),
    # Its third layer and its fifth share a block. It makes A_log in 32 bits.
    Architecture(
        "zamba",
        {"num_hidden_layers": 6, "num_key_value_heads": 4, "mamba_d_state": 8,
         "attn_layer_offset": 1, "attn_layer_period": 3},
        refused="x_proj_weight",
    ),
    Architecture("rwkv", refused=NO_CACHE, **EAGER),
    Architecture("bert", refused=NO_CACHE),
    Architecture("roberta", refused=NO_CACHE),
    Architecture("electra", refused=NO_CACHE),
)  # fmt: skip


def table() -> str:
    """Return the table of docs/architectures.md: its rows are what the tests walk."""
    rows = ["| architecture | runs | bytes of cache a token | with |", "|---|---|---|---|"]
    for each in ARCHITECTURES:
        options = [] if each.attention == "sdpa" else [f"`--attn-implementation {each.attention}`"]
        if each.quantization != "int8":
            options.append(f"`--quantization {each.quantization}`; INT8 is refused")
        runs = f"refused: {WHY[each.refused]}" if each.refused else "yes"
        kv = "" if each.refused else f"{each.kv}" + (f", and {each.state} a row" * bool(each.state))
        name = f"{each.name}, {each.kind}" if each.kind else each.name
        rows.append(f"| {name} | {runs} | {kv} | {', '.join(options)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201 (a program: printing is what it does)
