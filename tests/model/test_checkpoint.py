"""Checkpoints: what is read of a good one, and the one line that is said of each bad one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.common.errors import InputError
from benchmarks.model.checkpoint import Checkpoint, default_model, read, resolve
from benchmarks.model.synthetic_weights import CONFIGS, tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hf_" + "x" * 34  # looks like an access token of the hub
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture(autouse=True)
def _within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub answer: what it says of a model is up to the tests."""
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", Mock())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkpoint of two small shards, as save_pretrained writes it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 4096}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"model.embed_tokens.weight": np.zeros((4, 2), np.float16)}, folder / FIRST)
    save_file({"lm_head.weight": np.zeros((4, 2), np.float16)}, folder / SECOND)
    weight_map = {"model.embed_tokens.weight": FIRST, "lm_head.weight": SECOND}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def refused(model: Path | str, revision: str | None = None) -> str:
    """Return the one line with which a model is refused."""
    with pytest.raises(InputError) as raised:
        resolve(str(model), revision, Path("nowhere"), print)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_synthetic_checkpoint_says_what_it_is(tiny_checkpoint: Checkpoint) -> None:
    """A written synthetic:tiny names its planted outliers, positions and every tensor's shape."""
    assert tiny_checkpoint.name == "synthetic:tiny"
    assert tiny_checkpoint.weights == "synthetic"
    assert tiny_checkpoint.outlier_channels == 6
    assert tiny_checkpoint.revision is None
    assert tiny_checkpoint.positions == 4096
    assert tiny_checkpoint.config == CONFIGS["tiny"]
    assert tiny_checkpoint.shapes == tensor_shapes(CONFIGS["tiny"])


def test_a_local_folder(folder: Path) -> None:
    """Somebody's own checkpoint is real weights, with the shapes of all of its shards."""
    checkpoint = resolve(str(folder), None, folder, print)
    assert checkpoint.path == folder
    assert checkpoint.weights == "real"
    assert checkpoint.positions == 4096
    assert checkpoint.shapes == {"model.embed_tokens.weight": (4, 2), "lm_head.weight": (4, 2)}


def test_a_local_folder_below_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted ~ is the home folder, as a shell would have had it."""
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve("~/model", None, folder, print).path == folder


def test_a_single_file_needs_no_index(folder: Path) -> None:
    """A small model is one file without an index; a config may leave the positions open."""
    for name in (FIRST, SECOND, INDEX):
        (folder / name).unlink()
    save_file({"lm_head.weight": np.zeros((4, 2), np.float16)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    checkpoint = read("mine", folder)
    assert checkpoint.shapes == {"lm_head.weight": (4, 2)}
    assert checkpoint.positions is None


def remove(*names: str) -> Callable[[Path], object]:
    """Return what removes files of a folder."""
    return lambda folder: [(folder / name).unlink() for name in names]


def replace(name: str, content: bytes) -> Callable[[Path], object]:
    """Return what gives a file of a folder another content."""
    return lambda folder: (folder / name).write_bytes(content)


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return what changes the content of a file of a folder."""
    return lambda folder: replace(name, change((folder / name).read_bytes()))(folder)


def instead(name: str) -> Callable[[Path], object]:
    """Return what takes a folder's weights away, and puts a file of another name there."""
    return lambda folder: (remove(FIRST, SECOND, INDEX)(folder), (folder / name).touch())


WEIGHTS = "expected model*.safetensors files in"
FRESH = "give a folder that save_pretrained wrote"
DAMAGED = f"{SECOND}: expected a whole safetensors file"
AGAIN = "fetch it again"


DAMAGES = {
    "no config": (remove("config.json"), "readable config.json", FRESH),
    "config is not JSON": (replace("config.json", b"{not json"), "readable config.json", FRESH),
    "config is not text": (replace("config.json", b"\xff\xfe"), "readable config.json", FRESH),
    "config is not an object": (replace("config.json", b"[]"), "expected a JSON object", ""),
    "no layers": (
        replace("config.json", b'{"num_hidden_layers": 0}'),
        "expected num_hidden_layers of at least 1 in its config.json, got 0",
        AGAIN,
    ),
    "fewer positions than none": (
        replace("config.json", b'{"max_position_embeddings": -5}'),
        "expected max_position_embeddings of at least 1 in its config.json, got -5",
        AGAIN,
    ),
    "a size of the text part": (
        replace("config.json", b'{"text_config": {"vocab_size": -1}}'),
        "expected vocab_size of at least 1 in its config.json, got -1",
        AGAIN,
    ),
    "quantized already": (
        replace("config.json", b'{"quantization_config": {"quant_method": "gptq"}}'),
        "or quantized by bitsandbytes",
        "give the original model",
    ),
    "no tokenizer": (
        remove("tokenizer.json"),
        "expected a tokenizer.json in",
        "copy the tokenizer*.json of the model that it was made from into it",
    ),
    "no weights": (remove(FIRST, SECOND, INDEX), WEIGHTS, "found none; fetch them again"),
    "weights in an older format": (
        instead("pytorch_model-00001-of-00002.bin"),
        "got pytorch_model-00001-of-00002.bin, an older format",
        "give its hub id and a --revision with safetensors",
    ),
    "an adapter": (
        instead("adapter_model.safetensors"),
        "got adapter_model.safetensors, an adapter",
        "merge it into its model",
    ),
    "weights of llama.cpp": (
        instead("model-q4_0.gguf"),
        "got model-q4_0.gguf, llama.cpp's format",
        "give the original model",
    ),
    "weights by another name": (
        instead("consolidated.safetensors"),
        "got consolidated.safetensors, none of transformers' names",
        FRESH,
    ),
    "index is not JSON": (replace(INDEX, b"{"), f"readable {INDEX}", FRESH),
    "index of no names": (
        replace(INDEX, b'{"weight_map": {"a": 5}}'),
        "5: expected this file",
        AGAIN,
    ),
    "missing shard": (remove(SECOND), f"{SECOND}: expected this file", AGAIN),
    "a byte too few": (edit(SECOND, lambda old: old[:-1]), DAMAGED, AGAIN),
    "no tensors": (edit(SECOND, lambda old: old[:-16]), DAMAGED, AGAIN),
    "half a header": (edit(SECOND, lambda old: old[:-30]), DAMAGED, AGAIN),
    "a byte too many": (edit(SECOND, lambda old: old + b"x"), DAMAGED, AGAIN),
    "empty shard": (replace(SECOND, b""), DAMAGED, AGAIN),
    "half a length": (replace(SECOND, b"\x10\0\0"), DAMAGED, AGAIN),
    "endless length": (replace(SECOND, b"\xff" * 8 + b"{}"), DAMAGED, AGAIN),
    "header is not JSON": (replace(SECOND, b"\x08" + bytes(7) + b"not json"), DAMAGED, AGAIN),
    "header is a list": (replace(SECOND, b"\x02" + bytes(7) + b"[]"), DAMAGED, AGAIN),
    "header is another": (replace(SECOND, b"\x07" + bytes(7) + b'{"a":1}'), DAMAGED, AGAIN),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_bad_folder_is_refused(folder: Path, case: str) -> None:
    """Before anything is loaded, one line says what is wrong, where, and what to do."""
    damage, what, next_step = DAMAGES[case]
    damage(folder)
    message = refused(folder)
    assert what in message
    assert str(folder) in message
    assert next_step in message


@pytest.mark.parametrize(
    "size", ['"intermediate_size": 0', '"intermediate_size": [64, 0]', '"head_dim": null']
)
def test_a_size_that_a_model_may_have_is_no_fault(folder: Path, size: str) -> None:
    """All layers may be experts; a list is of each layer; null is what follows from the others."""
    replace("config.json", f"{{{size}}}".encode())(folder)
    assert read("mine", folder).shapes


@pytest.mark.parametrize("below", ["checkpoint-500", "snapshots/0123abc"])
def test_the_folder_above_a_checkpoint_names_it(folder: Path, tmp_path: Path, below: str) -> None:
    """As a training run and the hub's cache lay it out; with a config.json of its own as well."""
    inside = tmp_path / "above" / below
    inside.parent.mkdir(parents=True)
    folder.rename(inside)
    above = tmp_path / "above"
    for file in ("config.json", "tokenizer.json"):
        assert f"give {inside}, or " in refused(above)
        shutil.copy(inside / file, above)
    assert f"found none; give {inside}, or fetch them again" in refused(above)


def test_a_hub_model_without_safetensors_or_tokenizer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is the hub's cache: nothing is to be copied into it."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(return_value=str(folder)))
    remove(FIRST, SECOND, INDEX)(folder)
    assert "found none; give a --revision that has them" in refused("org/model")
    remove("tokenizer.json")(folder)
    assert refused("org/model").endswith("into a copy of that folder, and give that")


def test_a_truncated_shard_says_how_much_is_there(folder: Path) -> None:
    """The file is named, with the bytes that it has and should have."""
    size = (folder / SECOND).stat().st_size
    edit(SECOND, lambda old: old[:-10])(folder)
    message = refused(folder)
    assert str(folder / SECOND) in message
    assert f"({size - 10:,} bytes of {size:,})" in message


@pytest.mark.parametrize(
    "model", ["./nowhere", "/nowhere/model", "~/nowhere", "~nobody-here/model", "a/b/c"]
)
def test_a_folder_that_does_not_exist(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can only be a folder is never looked for on the hub."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    assert f"expected a folder with a checkpoint; {model} does not" in refused(model)


def test_a_revision_is_of_the_hub(folder: Path) -> None:
    """A revision of a folder or a synthetic model would be ignored, so it is refused."""
    for model in (str(folder), "synthetic:tiny"):
        assert refused(model, "main") == (
            f"--revision: expected a model from the hub, got {model}; leave the option out"
        )


def test_default_model() -> None:
    """A GPU measures the real model, a machine without one the tiny one."""
    assert default_model("cuda") == "meta-llama/Llama-3.1-8B"
    assert default_model("cpu") == "synthetic:tiny"


def test_a_hub_model_is_its_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit that was fetched is recorded, whatever branch was asked for."""
    commit = folder.rename(folder.with_name("0123abc"))
    download = Mock(return_value=str(commit))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    checkpoint = resolve("org/model", "main", folder, print)
    assert (checkpoint.name, checkpoint.revision) == ("org/model", "0123abc")
    assert download.call_args.args == ("org/model",)
    assert download.call_args.kwargs["revision"] == "main"


def test_only_what_is_loaded_is_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns take what Llama's repository has for transformers, and no second copy of it."""
    from huggingface_hub.utils import filter_repo_objects

    wanted = {FIRST, SECOND, INDEX, "config.json", "generation_config.json", "tokenizer.json"}
    unwanted = {"original/consolidated.00.pth", "original/params.json", "pytorch_model.bin"}
    download = Mock(return_value=str(folder))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve("org/model", None, folder, print)
    asked = {
        name: download.call_args.kwargs[name] for name in ("allow_patterns", "ignore_patterns")
    }
    assert set(filter_repo_objects(wanted | unwanted, **asked)) == wanted
