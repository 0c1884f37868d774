"""Synthetic checkpoints: the published shapes, the same bytes each time, whole or not there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.common.errors import InputError
from benchmarks.model import synthetic, synthetic_weights
from benchmarks.model.checkpoint import Checkpoint
from benchmarks.model.synthetic import ensure
from benchmarks.model.synthetic_weights import CONFIGS, Recipe, make_tensor, tensor_shapes
from tests import forking
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TINY = Recipe("tiny")


# Writes synthetic:tiny into argv[1]. A line on stdin lets it begin; `say` is argv[2].
WRITER = """
import sys
from pathlib import Path
import torch
from benchmarks.model import synthetic
def hang(line):
    print(line, flush=True)
    sys.stdin.readline()
print("ready", flush=True)
sys.stdin.readline()
say = hang if sys.argv[2] == "hang" else print
print(synthetic.ensure(synthetic.recipe_for("synthetic:tiny"), Path(sys.argv[1]), say))
"""


def start_writer(cache_dir: Path, say: str = "print") -> subprocess.Popen[str]:
    """Start a process that is about to write synthetic:tiny."""
    with forking.instead_of_new_processes():
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(cache_dir), say],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def begin(process: subprocess.Popen[str]) -> None:
    """Let a writer that is ready begin."""
    process.stdin.write("\n")
    process.stdin.flush()


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def folders(cache_dir: Path) -> list[str]:
    """Return the names of all checkpoint folders of a cache, unfinished ones included."""
    return [path.name for path in (cache_dir / "checkpoints").iterdir() if path.is_dir()]


def test_llama_has_the_published_size() -> None:
    """synthetic:llama-3.1-8b has the 8,030,261,248 parameters of the real one, 224 to quantize."""
    shapes = tensor_shapes(CONFIGS["llama-3.1-8b"])
    assert sum(prod(shape) for shape in shapes.values()) == 8_030_261_248
    linears = [name for name in shapes if re.search(r"layers\.\d+\.(self_attn|mlp)\.", name)]
    assert len(linears) == 224


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_that_transformers_loads(name: str) -> None:
    """Every tensor that transformers' Llama of this configuration wants is there, and no other."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**CONFIGS[name]))
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert tensor_shapes(CONFIGS[name]) == wanted


def test_two_writes_are_equal(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    """The same recipe gives the same bytes, file by file, so that results can be compared."""
    assert files(ensure(TINY, tmp_path, print)) == files(tiny_checkpoint.path)


def test_a_tensor_depends_on_name_and_seed() -> None:
    """The same name gives the same values; another name or another seed gives others."""
    name, shape = "model.layers.0.self_attn.q_proj.weight", (512, 512)
    tensor = make_tensor(TINY, name, shape)
    assert tensor.equal(make_tensor(TINY, name, shape))
    assert not tensor.equal(make_tensor(Recipe("tiny", seed=1), name, shape))
    assert not tensor.equal(make_tensor(TINY, name.replace("layers.0", "layers.1"), shape))


def test_large_tensors_are_made_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is filled, the short last one too, each with values of its own."""
    monkeypatch.setattr(synthetic_weights, "CHUNK", 1000)
    name, shape = "model.layers.0.self_attn.q_proj.weight", (50, 75)
    tensor = make_tensor(TINY, name, shape)
    assert tensor.shape == shape
    chunks = tensor.flatten().float().split(1000)
    assert [chunk.numel() for chunk in chunks] == [1000, 1000, 1000, 750]
    for chunk in chunks:
        assert chunk.std().item() == pytest.approx(0.7 / (512 + 6 * 20**2) ** 0.5, rel=0.1)
    assert not chunks[0].equal(chunks[1])
    assert tensor.equal(make_tensor(TINY, name, shape))  # in whichever order threads finish


def linear_inputs(path: Path) -> dict[str, int]:
    """Return how many columns of each linear's input exceed 6.0, for 16 tokens of a row."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    columns: dict[str, int] = {}

    def look(name: str) -> None:
        def hook(_module: object, inputs: tuple[torch.Tensor]) -> None:
            columns[name] = int((inputs[0].abs() > 6.0).flatten(0, -2).any(dim=0).sum())

        model.get_submodule(name).register_forward_pre_hook(hook)

    for name, module in model.model.named_modules(prefix="model"):
        if isinstance(module, torch.nn.Linear):
            look(name)
    with torch.no_grad():
        model(torch.arange(100, 116)[None])
    return columns


def test_planted_outliers_reach_every_linear(tiny_checkpoint: Checkpoint) -> None:
    """Every linear of every layer sees a few columns beyond 6.0: random weights have none."""
    columns = linear_inputs(tiny_checkpoint.path)
    assert len(columns) == 4 * 7
    assert min(columns.values()) >= 1
    assert max(columns.values()) <= 2 * TINY.outlier_channels
    after_norm = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    assert {columns[name] for name in columns if name.endswith(after_norm)} == {6}


def test_without_planted_outliers_there_are_none(tmp_path: Path) -> None:
    """A recipe of 0 outlier channels takes the outlier path nowhere."""
    columns = linear_inputs(ensure(Recipe("tiny", outlier_channels=0), tmp_path, print))
    assert set(columns.values()) == {0}


def test_an_interrupted_write_leaves_no_checkpoint(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """After SIGKILL in the middle nothing passes for a checkpoint, and the next call writes it."""
    with start_writer(tmp_path, "hang") as process:
        try:
            begin(process)
            assert process.stdout.readline() == "ready\n"
            assert "shard 1 of 2" in process.stdout.readline()
        finally:
            process.kill()
    assert folders(tmp_path) == [f"{TINY.folder}.partial"]
    folder = ensure(TINY, tmp_path, print)
    assert files(folder) == files(tiny_checkpoint.path)
    assert folders(tmp_path) == [folder.name]


def test_two_processes_write_one_checkpoint(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Of two processes that start at once, one writes, the other waits, and both have it."""
    processes = [start_writer(tmp_path), start_writer(tmp_path)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        begin(process)
    outputs = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    folder = tmp_path / "checkpoints" / TINY.folder
    written = [f"writing synthetic:tiny: shard {number} of 2" for number in (1, 2)]
    lines = sorted((output.splitlines() for output in outputs), key=len)
    assert lines == [[str(folder)], [*written, str(folder)]]
    assert files(folder) == files(tiny_checkpoint.path)


def test_a_checkpoint_is_written_once(tiny_checkpoint: Checkpoint, cache_dir: Path) -> None:
    """The second session finds the checkpoint, and writes and says nothing."""
    before = {file.name: file.stat().st_mtime_ns for file in tiny_checkpoint.path.iterdir()}
    said: list[str] = []
    assert ensure(TINY, cache_dir, said.append) == tiny_checkpoint.path
    assert said == []
    after = {file.name: file.stat().st_mtime_ns for file in tiny_checkpoint.path.iterdir()}
    assert after == before


class Usage(NamedTuple):
    """What shutil.disk_usage returns."""

    total: int
    used: int
    free: int


def test_too_small_a_disk_is_seen_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says how much is needed, how much is free and what to do; nothing is written."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**10, 10**10))
    monkeypatch.setattr(synthetic, "write", None)  # were it called, this test would write 16 GB
    said: list[str] = []
    with pytest.raises(InputError) as raised:
        ensure(Recipe("llama-3.1-8b"), tmp_path, said.append)
    assert str(raised.value) == (
        f"--model synthetic:llama-3.1-8b: expected 16.1 GB free in {tmp_path / 'checkpoints'}, "
        "got 10 GB; free some, or set XDG_CACHE_HOME to a larger disk"
    )
    assert folders(tmp_path) == []
    assert len(said) == 1
    assert "16.1 GB" in said[0]


@pytest.mark.parametrize("small_disk", ["size=8m", "size=8m,nr_inodes=1"], indirect=True)
def test_a_small_disk(small_disk: Path) -> None:
    """One of 8 MiB is too small for synthetic:tiny, also if not even a folder can be made there."""
    with pytest.raises(InputError, match=r"expected 0\.0267 GB free .* got 0\.00839 GB"):
        ensure(TINY, small_disk, print)
    assert not list(small_disk.glob("checkpoints/*/"))


def test_a_disk_that_fills_up_while_writing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another process takes the space meanwhile, the message is the same; nothing stays."""
    actual = shutil.disk_usage
    answers = iter([Usage(10**12, 0, 10**12)])  # at first there seems to be enough
    monkeypatch.setattr(shutil, "disk_usage", lambda path: next(answers, None) or actual(path))
    with pytest.raises(InputError, match=r"expected 0\.0267 GB free .* got 0\.00839 GB") as raised:
        ensure(TINY, small_disk, print)
    assert len(str(raised.value).splitlines()) == 1
    assert folders(small_disk) == []
    assert actual(small_disk).used < 100_000


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    """Where the cache's place is taken by a file, one line says so and what to set."""
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(InputError, match=r"^can't write .*; set XDG_CACHE_HOME") as raised:
        ensure(TINY, tmp_path, print)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("model", ["synthetic:", "synthetic:huge", "synthetic:Tiny"])
def test_an_unknown_name_is_refused(model: str) -> None:
    """The message names the ones that exist, and what was got."""
    with pytest.raises(InputError) as raised:
        synthetic.recipe_for(model)
    assert str(raised.value) == (
        f"--model: expected one of synthetic:tiny, synthetic:llama-3.1-8b; got {model!r}"
    )


def test_folders_are_named_after_the_whole_recipe() -> None:
    """Two recipes that differ in anything never share a folder of the cache."""
    recipes = [TINY, Recipe("tiny", seed=1), Recipe("tiny", outlier_channels=0)]
    names = {recipe.folder for recipe in [*recipes, Recipe("llama-3.1-8b")]}
    assert len(names) == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 8,030,261,248 parameters: 6,979,321,856 in 224 linears, 1,050,939,392 in the rest.
        ("fp16", 16_060_522_496),
        ("bf16", 16_060_522_496),
        ("int8", 6_979_321_856 + 2 * 1_050_939_392),  # 9.08 GB
        ("int8-decomp", 9_081_200_640),
        ("nf4", 6_979_321_856 * 9 // 16 + 2 * 1_050_939_392),  # 4 bits and 32 / 64 of scales
        # 4 bits, 8 / 64 of scales, and 32 / (64 x 256) of scales of the scales
        ("nf4-dq", pytest.approx(6_979_321_856 * 4.126953 / 8 + 2 * 1_050_939_392, rel=1e-4)),
    ],
)
def test_estimated_bytes(name: str, expected: int) -> None:
    """An 8B model needs 16.06 GB in 16 bits and 9.08 GB in INT8: linears alone get smaller."""
    config = CONFIGS["llama-3.1-8b"]
    checkpoint = Checkpoint("8B", Path(), None, None, config, tensor_shapes(config))
    assert checkpoint.estimated_bytes(name) == expected
