"""Tensors in a checkpoint's files: found by the model's names, and refused if there are others."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.common.errors import InputError
from benchmarks.model import checkpoint, skeleton, tensors
from benchmarks.model.target import find_target
from benchmarks.model.tensors import stored_name
from tests.model.architectures import ARCHITECTURES, change

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.model.target import Target

BY_NAME = {each.name: each for each in ARCHITECTURES}


def test_a_tensor_is_found_under_the_name_that_its_files_have():
    """The text part and the vision tower have layers of the same names; none is taken for another.

    Names are those of Gemma3, in its files and as a model.
    """
    layer = "layers.0.self_attn.q_proj.weight"
    stored = {f"language_model.model.{layer}", f"vision_tower.vision_model.encoder.{layer}"}
    for name in (f"model.language_model.{layer}", f"language_model.model.{layer}"):
        assert stored_name(stored, name) == f"language_model.model.{layer}"
    tower = f"vision_tower.vision_model.encoder.{layer}"
    assert stored_name(stored, f"model.{tower}") == tower
    assert stored_name(stored, f"model.{layer.replace('0', '1')}") is None
    assert stored_name({f"a.{layer}", f"b.{layer}"}, layer) is None


# Where the number of layers stands in config.json, and where layers are in the model.
CUT = {
    "llama": ({"num_hidden_layers": 1}, "model.layers"),
    "bloom": ({"n_layer": 1}, "transformer.h"),
    "gemma3": ({}, "model.language_model.layers"),  # files name its parts in another order
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("quantization", ["int8", "fp16"])
def test_layers_that_config_json_leaves_out_are_refused(
    target: Target, tmp_path: Path, name: str, quantization: str
) -> None:
    """Without them it is another model that is timed, and nothing else would say so."""
    each = BY_NAME[name]
    folder = each.write(tmp_path / name)
    settings = dataclasses.replace(
        target.settings,
        models=(str(folder),),
        attn_implementation=each.attention,
        quantizations=(quantization,),
        new_tokens=2,
    )
    find_target(settings, print)
    changed, stack = CUT[name]
    inner = checkpoint.read("", folder).config.get("text_config")
    one = {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
    change(folder, **(changed or {"text_config": inner | one}))
    with pytest.raises(InputError) as caught:
        find_target(settings, print)
    assert str(caught.value) == (
        f"--model {folder}: expected 1 layer in {stack} by its config.json, got 2 in its files; "
        "fetch both again, from one place"
    )


# Tensors of files that a model of two layers has no place for.
UP = "mlp.up_proj.weight"
OTHERS = {
    "a buffer": ("llama", ["model.layers.1.self_attn.rotary_emb.inv_freq"]),
    "a tower that the config doesn't have": ("llama", [f"visual.layers.2.{UP}"]),
    "layers ahead, by their name": ("llama", [f"mtp.layers.2.{UP}"]),
    "layers ahead, by transformers' list": (
        "deepseek_v3",
        [f"model.layers.{each}.{UP}" for each in (61, 62)],  # the other is the one by config.json
    ),
    "a layer ahead, by config.json": ("deepseek_v3", [f"model.layers.2.{UP}"]),
}
BEYOND = {
    "a layer": ("llama", [f"model.layers.2.{UP}"], 3),
    "a layer, and one ahead": ("deepseek_v3", [f"model.layers.{each}.{UP}" for each in (2, 3)], 3),
    "60 layers, and one ahead": (
        "deepseek_v3",
        [f"model.layers.{each}.{UP}" for each in range(2, 62)],
        61,
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a checkpoint of each architecture, and its model without weights."""
    folder = tmp_path_factory.mktemp("built")
    read = {
        name: checkpoint.read(name, BY_NAME[name].write(folder / name))
        for name in ("llama", "deepseek_v3")
    }
    return {name: (each, skeleton.build(each, "sdpa")) for name, each in read.items()}


def _with(found: checkpoint.Checkpoint, names: list[str]) -> checkpoint.Checkpoint:
    file = next(iter(found.files.values()))
    return dataclasses.replace(found, files={**found.files, **dict.fromkeys(names, file)})


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_rightly_left_out_is_no_layer(built: dict[str, Any], case: str) -> None:
    """Buffers, other parts, and layers that predict tokens further ahead are no fault of files."""
    name, others = OTHERS[case]
    found, model = built[name]
    tensors.check(_with(found, others), model)


@pytest.mark.parametrize("case", BEYOND)
def test_a_layer_beyond_is_told_from_one_that_predicts_further_ahead(
    built: dict[str, Any], case: str
) -> None:
    """The last one of DeepSeek's files isn't counted; those before it are."""
    name, others, count = BEYOND[case]
    found, model = built[name]
    with pytest.raises(InputError, match=f"expected 2 layers .* got {count} in its files"):
        tensors.check(_with(found, others), model)


def test_a_tower_that_does_not_run_may_be_cut(tmp_path: Path) -> None:
    """Its last layers may be left out on purpose; the text part is what is measured."""
    found = checkpoint.read("gemma3", BY_NAME["gemma3"].write(tmp_path / "gemma3"))
    model = skeleton.build(found, "sdpa")
    first = next(name for name in found.files if ".encoder.layers.0." in name)
    beyond = _with(found, [first.replace("layers.0", "layers.1")])
    done = skeleton.dry_pass(model)
    assert done
    tensors.check(beyond, model, done.idle)
    with pytest.raises(InputError, match="got 2 in its files"):
        tensors.check(beyond, model)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_codes_without_a_quantization_config_are_no_weights(
    target: Target, tmp_path: Path, dtype: torch.dtype
) -> None:
    """transformers would take the numbers for weights, whatever scales they want."""
    folder = BY_NAME["llama"].write(tmp_path / "codes")
    file = folder / "model.safetensors"
    stored = load_file(file)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(stored | {name: stored[name].to(dtype)}, file, metadata={"format": "pt"})
    settings = dataclasses.replace(
        target.settings, models=(str(folder),), quantizations=("fp16",), new_tokens=2
    )
    with pytest.raises(InputError, match=rf"no quantization_config, got {name} in [FI]8.*; give"):
        find_target(settings, print)
