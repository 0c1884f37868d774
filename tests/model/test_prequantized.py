"""Checkpoints that are quantized already, as `save_pretrained` writes and the hub has them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.commands import measuring
from benchmarks.common.errors import InputError, OutputError
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.evidence import agreement, attestation, counters, output, references
from benchmarks.model import checkpoint, fitness, loading, skeleton
from benchmarks.model import target as targets
from benchmarks.model.target import find_target
from tests.duets import given
from tests.running import LEAST

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.model.target import Target

WEIGHTS = "model.safetensors"
LINEAR = "model.layers.2.mlp.up_proj.weight"


@pytest.fixture(autouse=True)
def _over_a_short_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "AGREEMENT_TOKENS", 64)  # of 512, which take seconds in 4 bits


@pytest.fixture(scope="module")
def saved(target: Target, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder for each quantization, written by `save_pretrained`."""
    folders = {}
    for name in ("int8-decomp", "nf4", "nf4-dq"):
        folder = tmp_path_factory.mktemp(name)
        with loading.load(target, name, cold=False) as engine:
            engine.model.save_pretrained(folder)
        for file in target.checkpoint.path.glob("tokenizer*"):
            shutil.copy(file, folder)
        folders[name] = folder
    return folders


@pytest.fixture
def find(target: Target) -> Any:
    """Return a function that finds a folder as what is measured, as one quantization."""

    def find(folder: Path, name: str, **more: Any) -> Target:
        settings = dataclasses.replace(
            target.settings,
            models=(str(folder),),
            quantizations=(name,),
            batch_sizes=(2,),
            new_tokens=4,
            **more,
        )
        return find_target(settings, print)

    return find


@pytest.mark.parametrize("name", ["int8-decomp", "nf4", "nf4-dq"])
def test_what_was_saved_is_loaded_attested_and_compared(
    saved: dict[str, Path], target: Target, find: Any, name: str
) -> None:
    """The path is the same as after quantizing here, and so are the logits, to the last bit."""
    found = find(saved[name], name, reference="synthetic:tiny")
    with loading.load(found, name, cold=False) as engine:
        attestation.attest_model(found, engine)
        weights = agreement.check_weights(engine, found)
        workload = found.workload(2, 4)
        engine.prepare(workload)
        counted = counters.count(engine, workload, range(2, 4)).record
        attestation.attest_workload(engine, workload, counted)
        logits = output.logits(engine, found).cpu()
    assert weights["compared"] == 29
    reference = references.ensure_reference(found)
    figures, how = agreement.check(name, logits, found, reference)
    assert how["checkpoint"] == "synthetic:tiny"
    with pytest.raises(OutputError, match=f"^{name} disagrees with bf16 of synthetic:tiny: "):
        agreement.check(name, -logits, found, reference)
    assert figures["logits_relative_error"] > 0
    with loading.load(target, name, cold=False) as engine:
        assert torch.equal(output.logits(engine, target).cpu(), logits)


@pytest.mark.lie("a damaged scale in a checkpoint that was quantized before")
@pytest.mark.parametrize(("name", "part"), [("int8-decomp", "SCB"), ("nf4", "absmax")])
def test_a_damaged_scale_is_caught_with_a_reference(
    saved: dict[str, Path], find: Any, tmp_path: Path, name: str, part: str
) -> None:
    """A scale that is off by half in one linear of 28: speed shows nothing of it."""
    folder = shutil.copytree(saved[name], tmp_path / "damaged")
    tensors = load_file(folder / WEIGHTS)
    key = next(each for each in tensors if LINEAR.removesuffix("weight") in each and part in each)
    tensors[key] *= 1.5
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    alone = find(folder, name)
    with loading.load(alone, name, cold=False) as engine:
        assert agreement.check_weights(engine, alone) is None
    found = find(folder, name, reference="synthetic:tiny")
    with (
        loading.load(found, name, cold=False) as engine,
        pytest.raises(OutputError, match=rf"got {LINEAR.removesuffix('.weight')} off by 0\.[45]"),
    ):
        agreement.check_weights(engine, found)


def test_a_duet_is_of_its_own_quantization(saved: dict[str, Path], target: Target) -> None:
    """Without a name for it; its workers are told."""
    for folder, name in ((saved["nf4"], "nf4"), (target.checkpoint.path, "int8-decomp")):
        asked = measuring.conditions(given(f"--model={folder}", "--device=cpu"))
        assert asked.settings.quantizations == (name,)
    assert asked.options["quantization"] is None  # of 16 bits: the default


def test_without_its_origin_there_is_nothing_to_compare_with(
    saved: dict[str, Path], find: Any
) -> None:
    """The reason names the option that would give one."""
    with pytest.raises(InputError, match="was made from by --reference"):
        references.ensure_reference(find(saved["nf4"], "nf4"))


@pytest.mark.parametrize("name", ["int8-decomp", "nf4", "nf4-dq"])
def test_a_reference_that_it_was_not_made_from_is_refused(
    saved: dict[str, Path], target: Target, name: str
) -> None:
    """Its origin is of one type with it, and has layers of the same sizes; 4 bits are packed."""
    own, origin = checkpoint.read("own", saved[name]), target.checkpoint
    fitness.check_reference(own, origin)
    layer = LINEAR.replace("2", "4")
    for other, says in (
        ({"config": {**origin.config, "model_type": "opt"}}, "of type opt instead of llama"),
        ({"shapes": {**origin.shapes, layer: origin.shapes[LINEAR]}}, "of other names or sizes"),
        ({"shapes": {**origin.shapes, LINEAR: (2, 2)}}, "of other names or sizes"),
    ):
        with pytest.raises(InputError, match=says):
            fitness.check_reference(own, dataclasses.replace(origin, **other))


def test_what_is_wrong_with_a_reference_is_said_of_its_option(
    saved: dict[str, Path], find: Any
) -> None:
    """Not of `--model`, which is right."""
    for wrong in ("./none", str(saved["nf4"] / WEIGHTS)):
        with pytest.raises(InputError, match=r"^--reference: expected a folder"):
            find(saved["nf4"], "nf4", reference=wrong)


def test_what_is_stored_in_bfloat16_is_measured_in_it(
    saved: dict[str, Path], target: Target, find: Any, tmp_path: Path
) -> None:
    """As most 4-bit checkpoints of the hub are; `--dtype` can't change it, and is refused."""
    settings = dataclasses.replace(target.settings, dtype="bfloat16")
    with loading.load(dataclasses.replace(target, settings=settings), "nf4", cold=False) as engine:
        engine.model.save_pretrained(tmp_path)
    for file in target.checkpoint.path.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    found = find(tmp_path, "nf4")
    with loading.load(found, "nf4", cold=False) as engine:
        assert attestation.attest_model(found, engine)["dtype"] == "bfloat16"
    for folder, other, own in (
        (saved["nf4"], "bfloat16", "float16"),
        (tmp_path, "float16", "bfloat16"),  # the default of the rest, if it is asked for
    ):
        with pytest.raises(InputError, match=f"--dtype {other}: expected {own}, in which"):
            find(folder, "nf4", dtype=other)


@pytest.mark.parametrize(
    ("name", "dtype", "own", "says"),
    [
        ("nf4", None, None, "beyond float16: --dtype bfloat16 holds them"),
        ("nf4", "bfloat16", None, "beyond bfloat16"),
        ("nf4", "bfloat16", "nf4", "beyond bfloat16"),
        ("nf4", "float16", "nf4", "beyond float16; give the original model with --dtype bfloat16"),
        ("int8", "bfloat16", None, "in which INT8 kernels compute: --quantization bf16 holds them"),
        ("int8", None, "int8", "compute; give the original model with --quantization bf16, which"),
        ("fp16", "bfloat16", None, "beyond float16: --quantization bf16 holds them"),
        ("bf16", None, None, "beyond bfloat16"),
    ],
)
def test_advice_names_no_option_that_is_refused(
    target: Target, name: str, dtype: str | None, own: str | None, says: str
) -> None:
    """What is quantized already takes neither another dtype nor another quantization."""
    settings = dataclasses.replace(target.settings, dtype=dtype)
    other = dataclasses.replace(target.checkpoint, quantization=own)
    found = output.beyond(name, dataclasses.replace(target, settings=settings, checkpoint=other))
    assert says in found
    assert ("holds" in found) == (found != "beyond bfloat16")


@pytest.fixture
def hub(saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of the hub, without a network: org/model is in nf4, and v8 of it in INT8."""
    cache, repository = tmp_path / "hub", tmp_path / "hub" / "models--org--model"
    for revision, name in (("main", "nf4"), ("v8", "int8-decomp")):
        commit = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        shutil.copytree(saved[name], repository / "snapshots" / commit)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository


@pytest.mark.usefixtures("hub")
def test_a_session_takes_the_checkpoints_own_quantization(session: Any) -> None:
    """`--quantization` may be left away; agreement is null with its reason."""
    done = session(*LEAST, "--model=org/model", "--benchmark-save=x", model=None)
    assert done.status == 0, done.out + done.err
    (benchmark,) = done.saved["benchmarks"]
    info = benchmark["extra_info"]
    assert info["workload"]["quantization"] == "nf4"
    assert info["metrics"]["logits_relative_error"] is None
    assert "--reference" in info["unmeasured"]["logits_relative_error"]
    assert " ".join(done.out.split()).count("Agreement with 16 bits was not measured: ") == 1


def test_the_own_quantization_is_that_of_the_revision(saved: dict[str, Path], hub: Path) -> None:
    """Of a folder as well, whose faults are said later; what can't be had is said in one line."""
    own = functools.partial(checkpoint.own_quantization, fetch=True)
    assert [own("org/model", each) for each in (None, "v8")] == ["nf4", "int8-decomp"]
    assert own(str(saved["nf4-dq"]), None) == "nf4-dq"
    for other in (None, "synthetic:tiny", "./none"):
        assert own(other, None) is None
    for model, revision in (("org/model", "v9"), ("org/other", None)):
        with pytest.raises(InputError, match=f"^--model {model}: HF_HUB_OFFLINE or"):
            own(model, revision)
        assert own(model, revision, fetch=False) is None
    for file in hub.glob("snapshots/*/config.json"):
        config = json.loads(file.read_text())
        file.write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(InputError, match=r"^--model org/model: expected weights in 16 .* got awq"):
        own("org/model", None)


LACKING = {
    "int8-decomp": ("SCB", "weight"),
    "nf4": ("weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4", "weight"),
    "nf4-dq": ("weight.nested_absmax", "weight.nested_quant_map"),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_part_of_a_linear_that_is_missing_is_found_before_the_load(
    saved: dict[str, Path], find: Any, name: str
) -> None:
    """By the headers of the files; the line names the linear."""
    found = find(saved[name], name).checkpoint
    model = skeleton.build(found, "sdpa")
    for part in LACKING[name]:
        missing = LINEAR.removesuffix("weight") + part
        files = {each: file for each, file in found.files.items() if each != missing}
        says = re.escape(f"got none of {missing} (1 missing in all); fetch it again")
        with pytest.raises(InputError, match=says):
            fitness.check(dataclasses.replace(found, files=files), (name,), model, None)
    unsaid = dataclasses.replace(found, config={}, quantization=None)
    with pytest.raises(InputError, match=r"expected a quantization_config in its config\.json"):
        fitness.check(unsaid, (name,), model, None)
    files = {each: file for each, file in found.files.items() if each.endswith("weight")}
    scales = 28 * len(QUANTIZATIONS[name].parts)
    with pytest.raises(InputError, match=rf"\({scales} missing in all\)"):  # of 16 bits
        fitness.check(dataclasses.replace(found, files=files), (name,), model, None)


def test_another_quantization_than_its_own_is_refused(
    saved: dict[str, Path], target: Target, find: Any, tmp_path: Path
) -> None:
    """What is quantized can't be quantized again; what isn't needs no reference."""
    with pytest.raises(InputError, match=r"--quantization int8: expected nf4, by which"):
        find(saved["nf4"], "int8")
    with pytest.raises(InputError, match="leave the option away"):
        find(target.checkpoint.path, "int8", reference="synthetic:tiny")
    with pytest.raises(InputError, match="expected the 16-bit checkpoint"):
        find(saved["nf4"], "nf4", reference=str(saved["int8-decomp"]))
    folder = shutil.copytree(saved["nf4"], tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    own = config["quantization_config"]
    for changed in (own | {"quant_method": "gptq"}, own | {"bnb_4bit_quant_type": "fp4"}, "nf4"):
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": changed}))
        with pytest.raises(InputError, match="expected weights in 16 bits, or quantized by bits"):
            checkpoint.read("other", folder)
