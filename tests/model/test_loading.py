"""Loading: a model that isn't wholly what was asked for is refused by one line."""

import dataclasses
import json
import re
import shutil
import traceback
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.common.errors import InputError, LibraryError, OutOfMemoryError
from benchmarks.model import fitness, loading, skeleton
from benchmarks.model.checkpoint import Checkpoint, read
from benchmarks.model.target import find_target


def test_out_of_memory_while_loading_says_how_much_was_needed(target, monkeypatch):
    """A model that doesn't fit names its size, and what else could be done."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 112.00 MiB. GPU 0")
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", Mock(side_effect=error))
    with pytest.raises(OutOfMemoryError) as caught:
        loading.load(target, "int8", cold=True)
    assert "about 0.0155 GB for weights" in str(caught.value)
    assert "choose another --quantization" in str(caught.value)
    assert caught.value.__context__ is None


def test_a_model_that_transformers_refuses_is_one_line(target, monkeypatch):
    """What transformers says of a model is passed on, and offloading is told apart."""
    error = ValueError("Some modules are dispatched on the CPU or the disk. Make sure ...\nmore")
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", Mock(side_effect=error))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=r"doesn't fit .* expected fp16 0\.0267 GB, int8-decomp"):
        loading.load(target, "int8", cold=True)


def test_what_transformers_raises_is_named_with_its_last_frame(target, monkeypatch, tmp_path):
    """The error keeps the text of the traceback, and none of the frames that hold tensors."""
    reads = Mock(side_effect=lambda *_, **__: AutoConfig.from_pretrained(tmp_path / "none"))
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", reads)
    with pytest.raises(LibraryError) as caught:
        loading.load(target, "int8", cold=True)
    says = r"can't load it with int8: (\w+): \w+: .* \(\1/[\w/]+\.py:\d+, in \w+\)$"
    assert re.search(says, str(caught.value))
    assert caught.value.__cause__.__traceback__ is None
    assert "in load" in "".join(traceback.format_exception(caught.value.__cause__))


def rewritten(target, folder, change):
    """Return the target with a checkpoint of its own whose tensors `change` has changed."""
    for file in target.checkpoint.path.iterdir():
        shutil.copy(file, folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for shard in folder.glob("*.safetensors"):
        tensors = load_file(shard)
        change(tensors)
        save_file(tensors, shard, metadata={"format": "pt"})
        kept = {name for name, file in index["weight_map"].items() if file != shard.name}
        index["weight_map"] = {name: index["weight_map"][name] for name in kept} | dict.fromkeys(
            tensors, shard.name
        )
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    checkpoint = read("changed", folder)
    return dataclasses.replace(target, checkpoint=checkpoint)


@pytest.mark.parametrize("quantization", ["fp16", "int8-decomp", "nf4"])
def test_a_missing_weight_is_never_measured(target, tmp_path, quantization):
    """transformers would draw it at random, and say so in a warning only."""
    name = "model.layers.2.mlp.up_proj.weight"
    damaged = rewritten(target, tmp_path, lambda tensors: tensors.pop(name, None))
    with pytest.raises(InputError) as caught:
        loading.load(damaged, quantization, cold=False)
    assert "\n" not in str(caught.value)


def test_a_missing_linear_is_found_before_the_load(target, tmp_path):
    """Of a checkpoint in 16 bits as well; of linears that share a weight files have one."""
    name = "model.layers.2.mlp.up_proj"
    damaged = rewritten(target, tmp_path, lambda tensors: tensors.pop(f"{name}.weight", None))
    model = skeleton.build(damaged.checkpoint, "sdpa")
    with pytest.raises(InputError, match=rf"got none of {name}\.weight \(1 missing in all\)"):
        fitness.check(damaged.checkpoint, ["fp16"], model, None)
    model.get_submodule(name).weight = model.model.layers[1].mlp.up_proj.weight
    fitness.check(damaged.checkpoint, ["fp16"], model, None)


def test_weights_of_another_shape_than_the_config_says_are_refused(target, tmp_path):
    """bitsandbytes would load them all the same, and time another model."""
    for file in target.checkpoint.path.iterdir():
        shutil.copy(file, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 1024}))
    settings = dataclasses.replace(target.settings, models=(str(tmp_path),))
    with pytest.raises(InputError, match=r"expected model\.layers\.0\.mlp.* got \(1408, 512\)"):
        find_target(settings, print)


def test_offloaded_parts_are_an_error():
    """A model whose layers wait on the host or the disk isn't what was asked for."""
    closed = []
    engine = SimpleNamespace(
        device=torch.device("cuda", 0),
        model=SimpleNamespace(hf_device_map={"model": 0, "lm_head": "cpu"}),
        close=lambda: closed.append(True),
    )
    checkpoint = Checkpoint("big", Path(), None, None, {}, {"a.weight": (4, 4)})
    with pytest.raises(InputError, match=r"doesn't fit .*\(parts of it went to cpu\)"):
        loading._checked(engine, checkpoint, {})
    assert closed
