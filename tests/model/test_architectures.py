"""Architectures: what runs is counted right, and what doesn't is refused for its true reason."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benchmarks.common.errors import InputError, OutputError
from benchmarks.evidence import agreement, attestation, counters, output
from benchmarks.model import fitness, footprint, loading, skeleton
from benchmarks.model.target import find_target
from tests.model.architectures import ARCHITECTURES, Architecture, change, table
from tests.tools import damages

if TYPE_CHECKING:
    from benchmarks.model.target import Target

DOCS = Path(__file__).parents[2] / "docs" / "architectures.md"
# Tensors that are looked up by token or position, and output heads, by all names they go by here;
# and what a vision tower's own attention, and a projection into text, have beside linears.
LOOKED_UP = re.compile(
    r"(?<!vision_)embed|wte|wpe|lm_head\.weight$|^decoder\.weight$|output_projection|^output\.weight"
    r"|\bw\.weight|in_proj_weight|projection_weight|head\.attention"
)
TOWER = re.compile("vision|image_encoder|multi_modal|visual")
BY_NAME = {each.name: each for each in ARCHITECTURES}


@pytest.fixture
def find(target: Target, tmp_path: Path) -> Any:
    """Return a function that finds a tiny checkpoint of an architecture as what is measured."""

    def find(each: Architecture, **settings: Any) -> Target:
        folder = tmp_path / each.name
        if not folder.exists():
            each.write(folder)
        chosen = {
            "models": (str(folder),),
            "attn_implementation": each.attention,
            "quantizations": (each.quantization,),
            "batch_sizes": (2,),
            "new_tokens": 2,
        }
        return find_target(dataclasses.replace(target.settings, **(chosen | settings)), print)

    return find


@pytest.mark.parametrize("name", [each.name for each in ARCHITECTURES if not each.refused])
def test_what_runs_is_counted_right(find: Any, name: str) -> None:
    """Linears, bytes of weights, and bytes of the cache: as counted from the files, and by hand."""
    each = BY_NAME[name]
    target = find(each)
    with loading.load(target, each.quantization, cold=False) as engine:
        facts = attestation.attest_model(target, engine)
        workload = target.workload(2, 2)
        engine.prepare(workload)
        engine.generate(workload)
        output.check_reads(engine, target.agreement_ids)
        linears, rest = _counted(target)
        buffers = dict(engine.model.named_buffers())
        made = sum(buffers[name].nbytes for name in buffers.keys() - target.checkpoint.shapes)
        assert sum(facts["linears"].values()) == len(linears)
        expected = sum(map(_quantized_bytes(each), linears)) + rest + made
        assert footprint.weights_bytes(engine.model) == expected
        assert footprint.decode_weight_bytes(engine.model, engine.idle) <= expected
        names = skeleton.linears(engine.model)
        assert engine.idle & names.keys() == set(filter(TOWER.search, names))
        compared = agreement.check_weights(engine, target)["compared"]
        assert compared >= len(linears)  # and the head, if it is in the files
        assert footprint.cache_bytes(engine.model) == footprint.CacheBytes(each.kv, each.state)


@pytest.mark.parametrize("name", [each.name for each in ARCHITECTURES if each.refused])
def test_what_does_not_run_is_refused_for_its_true_reason(find: Any, name: str) -> None:
    """In one line, before a load; and the reason is INT8's, where it is, so that fp16 runs."""
    each = BY_NAME[name]
    with pytest.raises(InputError, match=each.refused) as caught:
        find(each)
    assert "\n" not in str(caught.value)
    if str(caught.value).startswith("--quantization"):
        target = find(each, quantizations=("fp16",))
        with loading.load(target, "fp16", cold=False) as engine:
            attestation.attest_model(target, engine)
            workload = target.workload(2, 2)
            engine.prepare(workload)
            engine.generate(workload)


def test_a_vision_tower_is_attested_and_the_text_part_is_measured(find: Any) -> None:
    """Its linears have the right class and weights; no step calls them, or reads them."""
    found = find(BY_NAME["gemma3"], new_tokens=4)
    with loading.load(found, "int8", cold=False) as engine:
        attestation.attest_model(found, engine)
        workload = found.workload(2, 4)
        engine.prepare(workload)
        counted = counters.count(engine, workload, range(2, 4)).record
        path = attestation.attest_workload(engine, workload, counted)
        # Seven linears in each of two layers; of the tower's eight none.
        assert path["quantized_operators"]["bitsandbytes::int8_scaled_mm"] == 2 * 7 * 2
        tensors = {**engine.model.state_dict(), **dict(engine.model.named_buffers())}
        named = {n: t.nbytes for n, t in tensors.items() if not n.endswith("weight_format")}
        tower = sum(size for name, size in named.items() if TOWER.search(name))
        read = footprint.decode_weight_bytes(engine.model, engine.idle)
        rest = footprint.decode_weight_bytes(engine.model) - read
        # An embedding never counts.
        looked_up = sum(size for name, size in named.items() if "position_embedding.w" in name)
        assert looked_up
        assert rest == tower - looked_up
        damages.zero(engine.model.model.language_model.layers[1].mlp.up_proj)
        with pytest.raises(OutputError, match=r"language_model\.layers\.1\.mlp\.up_proj off by 1 "):
            agreement.check_weights(engine, found)


def test_an_attention_that_a_model_does_not_have_is_refused(find: Any) -> None:
    """The line says whether the architecture or a package lacks, and names the option that works.

    It names no argument of Python's.
    """
    missing = importlib.util.find_spec("flash_attn") is None
    for asked, why in (
        ("sdpa", "got one that transformers doesn't have for gemma2; "),
        *([("flash_attention_2", "got one whose package isn't installed, or ")] * missing),
    ):
        with pytest.raises(InputError, match="write --attn-implementation eager") as caught:
            find(BY_NAME["gemma2"], attn_implementation=asked)
        assert str(caught.value).startswith(f"--attn-implementation {asked}: expected one that")
        assert why in str(caught.value)


def test_latent_attention_is_refused_in_int8(find: Any) -> None:
    """bitsandbytes loses a dimension of its inputs; the line says what runs."""
    with pytest.raises(InputError, match=r"--quantization int8: .* write --quantization nf4"):
        find(BY_NAME["deepseek_v3"], quantizations=("nf4", "int8"))


def test_a_linear_that_runs_twice_is_refused(target: Target) -> None:
    """Its calls would be counted, and it would be read, twice."""
    model = skeleton.build(target.checkpoint, "sdpa")
    layer = model.model.layers[0].mlp
    layer.up_proj = layer.gate_proj
    done = skeleton.dry_pass(model)
    with pytest.raises(InputError, match=r"run more than once, such as model\.layers\.0\.mlp"):
        fitness.check(target.checkpoint, ["int8"], model, done)
    fitness.check(target.checkpoint, ["fp16"], model, done)


def test_ids_beyond_the_vocabulary_are_refused(find: Any) -> None:
    """The tokenizer of another model gives ids that have no embedding."""
    smaller = dataclasses.replace(BY_NAME["llama"], more={"vocab_size": 100, "bos_token_id": 1})
    smaller = dataclasses.replace(smaller, more=smaller.more | {"eos_token_id": 2})
    with pytest.raises(InputError, match="expected token ids below 100, its vocabulary, got 20"):
        find(smaller)


def test_few_positions_shorten_the_text_that_is_compared(find: Any) -> None:
    """A model of 64 positions is compared over 64 tokens, and isn't asked for more."""
    short = dataclasses.replace(BY_NAME["opt"], more={"max_position_embeddings": 64})
    found = find(short)
    assert len(found.agreement_ids) == 64
    with loading.load(found, "int8", cold=False) as engine:
        assert len(output.logits(engine, found)) == 64
    # Evidence is gathered over 8 new tokens, whatever is timed.
    find(short, prompt_tokens=56)
    with pytest.raises(InputError, match=r"expected at most 64 tokens .* got 57 \+ 8 \(evidence"):
        find(short, prompt_tokens=57)


def test_an_encoder_that_says_it_decodes_is_found_out(find: Any) -> None:
    """A model that looks ahead, or ignores its prompt, is refused by what it computes."""
    found = find(BY_NAME["llama"])
    with loading.load(found, "int8", cold=False) as engine:
        forward = engine.model.forward

        def looking_ahead(**inputs: Any) -> Any:
            result = forward(**inputs)
            result.logits = result.logits + result.logits.flip(1)
            return result

        def ignoring(**inputs: Any) -> Any:
            result = forward(**inputs)
            result.logits = torch.ones_like(result.logits)
            return result

        for change_of, says in ((looking_ahead, "looks ahead"), (ignoring, "don't depend on")):
            engine.model.forward = change_of
            with pytest.raises(OutputError, match=says):
                output.check_reads(engine, found.agreement_ids)


def test_a_file_is_no_folder(find: Any, tmp_path: Path) -> None:
    """A checkpoint is a folder; of a file of it the line says so."""
    file = BY_NAME["llama"].write(tmp_path / "llama") / "model.safetensors"
    with pytest.raises(InputError, match="expected a folder with a checkpoint, got the file"):
        find(BY_NAME["llama"], models=(str(file),))


def test_an_encoder_is_refused_and_a_decoder_is_not(find: Any, tmp_path: Path) -> None:
    """BERT runs once its config.json says that it decodes."""
    folder = BY_NAME["bert"].write(tmp_path / "bert")
    with pytest.raises(InputError, match="is_decoder: false"):
        find(BY_NAME["bert"])
    change(folder, is_decoder=True)
    find(BY_NAME["bert"])


def test_a_config_that_describes_no_model_is_refused_for_its_true_reason(
    find: Any, tmp_path: Path
) -> None:
    """Of an encoder with a decoder half would run; and a wrong number is no wrong tokenizer."""
    folder = BY_NAME["llama"].write(tmp_path / "llama")
    change(folder, is_encoder_decoder=True)
    with pytest.raises(InputError, match="expected a decoder, got an encoder and a decoder"):
        find(BY_NAME["llama"])
    change(folder, is_encoder_decoder=False, num_attention_heads=3)
    with pytest.raises(InputError, match=r"its config\.json"):
        find(BY_NAME["llama"])


def test_what_an_architecture_keeps_in_32_bits_is_not_asked_for_in_16(target: Target) -> None:
    """Names of it may be several words, in either of transformers' lists."""
    model = skeleton.build(target.checkpoint, "sdpa")
    names, _ = skeleton.quantizable(model)
    model._keep_in_fp32_modules_strict = ["mlp.up_proj"]
    left, kept = skeleton.quantizable(model)
    assert set(names) - set(left) == {name for name in kept if name.endswith(".mlp.up_proj")}
    assert len(names) - len(left) == 4


def test_the_table_of_the_docs_is_the_one_that_is_walked() -> None:
    """`python -m tests.model.architectures` prints it; at least forty architectures are in it."""
    assert table() in DOCS.read_text(encoding="utf-8")
    assert len(ARCHITECTURES) >= 40


def _counted(target: Target) -> tuple[list[tuple[int, ...]], int]:
    """Return the shapes of the linears, and the bytes of the rest, as the files have them."""
    shapes = target.checkpoint.shapes
    linears = {n: s for n, s in shapes.items() if len(s) == 2 and not LOOKED_UP.search(n)}
    rest = [shape for name, shape in shapes.items() if name not in linears]
    return list(linears.values()), sum(2 * prod(shape) for shape in rest)


def _quantized_bytes(each: Architecture) -> Any:
    """Return what gives the bytes of a linear: a byte and a scale a row, or a nibble and scales."""
    if each.quantization == "int8":
        return lambda shape: prod(shape) + 4 * shape[0]
    return lambda shape: prod(shape) // 2 + 4 * prod(shape) // 64 + 4 * 16


def test_code_of_a_checkpoint_is_never_run(find: Any) -> None:
    """Nor is anybody asked: its own architecture is refused, and one of transformers is taken."""
    target = find(BY_NAME["llama"])
    folder = target.checkpoint.path
    ran = folder / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    change(folder, auto_map=own)
    skeleton.build(find_target(target.settings, print).checkpoint, "sdpa")
    change(folder, model_type="own")
    found = dataclasses.replace(
        target.checkpoint, config={**target.checkpoint.config, "model_type": "own", "auto_map": own}
    )
    with pytest.raises(InputError, match=r"code is in the checkpoint \(auto_map .* never run"):
        skeleton.build(found, "sdpa")
    assert not ran.exists()
