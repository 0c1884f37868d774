"""The engine on a real model: exact work, true times, and memory given back."""

import gc
import json
import shutil
import weakref
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from bitsandbytes.nn import Linear8bitLt
from transformers import GenerationConfig

from benchmarks.common.errors import OutOfMemoryError, WorkError
from benchmarks.machine.clock import StepMarks
from benchmarks.measure.memory import model_cost
from benchmarks.measure.rounds import round_of
from benchmarks.model import loading
from benchmarks.model.checkpoint import read
from benchmarks.model.target import Target
from tests.tools import parity

ROWS, NEW_TOKENS = 2, 6


@pytest.fixture
def workload(engine, target):
    """Return rows of different prompts, ready to be generated from."""
    workload = target.workload(ROWS, NEW_TOKENS)
    engine.prepare(workload)
    return workload


@contextmanager
def failing(module, error):
    """Let each pass through a module raise this."""
    hook = module.register_forward_pre_hook(Mock(side_effect=error))
    try:
        yield
    finally:
        hook.remove()


def first_token(engine, workload):
    """Return the token that the first row generates first."""
    return int(engine.generate(workload).tokens[0, workload.prompt_tokens])


def test_every_row_gets_exactly_the_tokens_asked_for(engine, workload):
    """Output is batch x (prompt + new): the work is fixed before it is timed, and is counted."""
    log, before = [], engine.generations[workload]
    generation = engine.generate(workload, log)
    assert generation.tokens.shape == (ROWS, workload.prompt_tokens + NEW_TOKENS)
    assert log == [generation]
    assert engine.generations[workload] == before + 1
    assert len({tuple(row) for row in generation.tokens.tolist()}) == ROWS


@pytest.fixture
def timed(engine, machine):
    """Let each pass of the model take exactly what the tests' machine says."""
    machine.noise = machine.luck = 0
    hook = machine.follow(engine)
    yield machine
    hook.remove()


def test_times_add_up_to_the_generation(engine, workload, timed):
    """TTFT is the prompt's pass, a gap is a step's; with nothing left over they are the whole."""
    generation = engine.generate(workload)
    times = round_of(generation, generation.seconds)
    assert times.ttft_s == pytest.approx(timed.prefill * timed.step_s, rel=1e-3)
    assert times.step_s == pytest.approx([timed.step_s] * (NEW_TOKENS - 1), rel=1e-3)
    assert times.ttft_s + sum(times.step_s) == pytest.approx(generation.seconds)


@pytest.mark.lie("an early end of sequence")
def test_an_early_end_of_sequence_raises(engine, workload):
    """A generation that stops early would read as a speed-up; it is an error instead."""
    end = first_token(engine, workload)
    one_row = type(workload)(workload.prompts[:1], NEW_TOKENS)
    engine.prepare(one_row)
    ours = engine.model.generation_config
    arguments = engine.arguments
    engine.model.generation_config = GenerationConfig(eos_token_id=end)
    engine.arguments = lambda *given: arguments(*given) | {"min_new_tokens": 0}
    try:
        with pytest.raises(WorkError, match=r"generated 1 new tokens .* expected 6 .* bug"):
            engine.generate(one_row)
    finally:
        engine.model.generation_config = ours
        del engine.arguments


def test_nothing_is_inherited_from_the_checkpoint(engine, workload, target, tmp_path):
    """Sampling and an end of sequence in generation_config.json change nothing."""
    expected = engine.generate(workload).tokens
    folder = tmp_path / "sampling"
    shutil.copytree(target.checkpoint.path, folder)
    inherited = {"do_sample": True, "temperature": 5.0, "num_beams": 4}
    inherited["eos_token_id"] = first_token(engine, workload)
    (folder / "generation_config.json").write_text(json.dumps(inherited))
    checkpoint = read("sampling", folder)
    other = Target(target.settings, target.device, checkpoint, target.tokenizer)
    with loading.load(other, "int8-decomp", cold=False) as sampling:
        sampling.prepare(workload)
        assert torch.equal(sampling.generate(workload).tokens, expected)


def test_a_version_that_skips_logits_processors_is_noticed(engine, workload, monkeypatch):
    """Without a mark for each step there are no per-step times, so the round is refused."""
    monkeypatch.setattr(StepMarks, "__call__", lambda _self, _ids, scores: scores)
    with pytest.raises(WorkError, match="saw 0 steps, expected 6"):
        engine.generate(workload)


def pretend(engine, monkeypatch, seconds):
    """Let generations take these seconds, one after the other, and the last ones from then on.

    They are counted, not made.
    """
    times = iter(seconds)

    def timed(workload):
        engine.generations[workload] += 1
        return SimpleNamespace(seconds=next(times, seconds[-1]))

    monkeypatch.setattr(engine, "generate", timed)


def test_warm_up_does_only_what_is_missing(engine, target, monkeypatch):
    """A workload that was generated already, or a longer one, counts as warm-up."""
    pretend(engine, monkeypatch, [1.0])
    longer, shorter = target.workload(3, 5), target.workload(3, 2)
    engine.prepare(longer)
    engine.prepare(shorter)
    engine.warm_up(longer, 2)
    engine.warm_up(longer, 2)
    engine.warm_up(shorter, 4)
    assert (engine.generations[longer], engine.generations[shorter]) == (2, 2)


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [([2.0, 1.0, 1.0], 3), ([4.0, 3.0, 2.0, 1.0, 1.0], 5), ([9.0, 8, 7, 6, 5, 4, 3, 2, 1], 6)],
)
def test_warm_up_goes_on_while_it_still_gets_faster(engine, target, monkeypatch, seconds, rounds):
    """Timed rounds start in a steady state; a process that never settles ends at the bound."""
    workload = target.workload(ROWS + 1, 1 + rounds)
    engine.prepare(workload)
    pretend(engine, monkeypatch, seconds)
    engine.warm_up(workload, 3)
    assert engine.generations[workload] == rounds


def test_every_linear_sees_outliers(engine, workload):
    """LLM.int8()'s mixed decomposition really runs, in each of the 28 linears, at every step."""
    columns = {}

    def count(name):
        def hook(module, _inputs, _output):
            columns.setdefault(name, []).append(module.state.idx.numel())

        return hook

    hooks = [
        module.register_forward_hook(count(name))
        for name, module in engine.model.named_modules()
        if isinstance(module, Linear8bitLt)
    ]
    engine.generate(workload)
    for hook in hooks:
        hook.remove()
    assert len(columns) == 28
    assert all(min(counts) > 0 for counts in columns.values()), columns


def test_bytes_follow_from_the_architecture(engine, target, workload):
    """Weights are one byte per quantized parameter, a scale per row, and two for the rest."""
    quantized = rows = rest = embedding = 0
    for name, shape in target.checkpoint.shapes.items():
        if "proj" in name:
            quantized, rows = quantized + shape[0] * shape[1], rows + shape[0]
        else:
            rest += 2 * torch.Size(shape).numel()
            embedding += 2 * torch.Size(shape).numel() if "embed" in name else 0
    cost = model_cost(engine, workload)
    buffers = sum(buffer.nbytes for buffer in set(engine.model.buffers()))
    assert cost.weights_bytes == quantized + 4 * rows + rest + buffers
    assert cost.decode_weight_bytes == cost.weights_bytes - embedding
    assert cost.kv_bytes_per_token == 2 * 4 * 2 * 64 * 2


def test_the_suites_throughput_is_that_of_a_bare_loop(engine, workload, timed):
    """A loop of its own, same model and arguments and no suite, gives the same tokens/s.

    So the suite counts the same tokens, and asks for no pass more. What its own work costs is a
    figure of real time: `make figures`.
    """
    assert parity.log_ratios(engine, workload, 2) == pytest.approx([0, 0], abs=1e-3)
    passes = 2 * 2 * (timed.prefill + NEW_TOKENS - 1)
    assert timed.worked_s == pytest.approx(passes * timed.step_s, rel=1e-4)


def test_out_of_memory_while_generating_says_what_to_lower(engine, workload):
    """An allocation that fails becomes one line: how much, what for, what to do."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has")
    with failing(engine.model.model.layers[2], error), pytest.raises(OutOfMemoryError) as caught:
        engine.generate(workload)
    message = str(caught.value)
    assert "generating 6 tokens for each of 2 rows with int8-decomp" in message
    assert "needed 2.50 GiB more" in message
    assert "lower --batch-size" in message
    assert "\n" not in message
    assert caught.value.__context__ is None  # no traceback that would hold tensors


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
    ],
)
def test_memory_that_runs_out_elsewhere_is_recognised(engine, workload, message):
    """The driver, cuBLAS and the host say it in their own words, and as plain RuntimeErrors."""
    broken = failing(engine.model.model.layers[0], RuntimeError(message))
    with broken, pytest.raises(OutOfMemoryError, match="lower --batch-size"):
        engine.generate(workload)


def test_a_failed_generation_holds_no_weights(target, workload):
    """Closing frees the weights even while a traceback still holds the model."""
    engine = loading.load(target, "int8-decomp", cold=False)
    engine.prepare(workload)
    weights = [weakref.ref(parameter) for parameter in engine.model.parameters()]
    quantized = weakref.ref(engine.model.model.layers[0].mlp.up_proj.weight.CB)
    broken = failing(engine.model.model.layers[1], RuntimeError("a kernel failed"))
    with broken, pytest.raises(RuntimeError, match="a kernel failed") as kept:
        engine.generate(workload)
    engine.close()
    gc.collect()
    assert kept.traceback
    assert engine.model is None
    assert not [weight for weight in weights if weight() is not None]
    assert quantized() is None
