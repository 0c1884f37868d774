"""Ranks for real: two processes that hold one model together, and what they must not hide."""

import copy
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch.distributed.tensor import Partial, Replicate, Shard

from benchmarks.common.errors import InputError, ReplicaError, WorkError
from benchmarks.common.quantity import Unmeasured
from benchmarks.config.options import TENSOR
from benchmarks.evidence import device_time, work
from benchmarks.evidence.kineto import Event
from benchmarks.model import loading, skeleton
from benchmarks.model.tensors import rows_of
from benchmarks.pytest_session import opening
from benchmarks.replicas import parts, worker
from benchmarks.replicas.launch import Fleet, variables
from benchmarks.replicas.turns import Turns
from benchmarks.report.lines import placement_line
from benchmarks.splitting import possible, shards
from tests import virtual

SHORT = ["--batch-size=2", "--new-tokens=3", "--rounds=2", "--warmup-rounds=1"]
RANKS = [f"--device-map={TENSOR}", "--quantization=fp16"]
REDUCE = "ncclDevKernel_AllReduce_Sum_f16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"


def test_two_processes_hold_one_model(session):
    """Half of each layer is on each; the output is that of one device, and the record has both."""
    outcome = session(*SHORT, *RANKS, "--benchmark-save=both")
    assert outcome.status == 0, outcome.out + outcome.err
    (bench,) = outcome.saved["benchmarks"]
    assert bench["name"] == "test_tensor_parallel[fp16-b2-p16-n3]"
    info = bench["extra_info"]
    assert info["workload"]["ranks"] == 2
    assert info["warmup_rounds"] == 1
    assert bench["stats"]["data"] == [each["round_s"] for each in info["rounds"]]
    first, second = (each["weights"] for each in info["ranks"])
    assert first == second
    assert "model.layers.*.mlp.down_proj.weight" in first["split"]["names"]
    assert "model.layers.*.input_layernorm.weight" in first["whole"]["names"]
    held = sum(each["bytes"] for each in first.values())
    buffers = 2 * 32 * 4  # the angles of the positions
    assert [each["weights_bytes"] for each in info["placement"].values()] == [held + buffers] * 2
    assert info["metrics"]["weights_bytes"] == 2 * (held + buffers)
    assert info["attestation"]["weights"]["compared"] > 0
    assert info["counters"]["decode"]["operators"]["c10d::allreduce_"] > 0
    assert 0 < info["metrics"]["logits_relative_error"] < 0.01
    assert info["unmeasured"]["decode_collectives_s"].startswith("on the CPU")
    assert len({each["tokens_sha256"] for each in info["ranks"]}) == 1
    assert "ranks: 2, each with its part of every layer\n" in outcome.out
    assert "cpu, rank 1: weights " in outcome.out


@pytest.fixture
def fleet(environment, machine):  # noqa: ARG001 (it is installed)
    """Return two ranks."""
    options = [f"--model={virtual.ONE_LAYER}", "--device=cpu", *RANKS, *SHORT]
    return Fleet(2, options, variables(os.environ | environment, None), kind="rank")


def test_a_weight_that_is_whole_is_named(fleet, machine, monkeypatch, nothing_stays):
    """It would be read twice, and no output shows it."""
    load = machine.load

    def loaded(*arguments, **more):
        engine = load(*arguments, **more)
        linear = engine.model.model.layers[0].mlp.up_proj
        linear.weight = torch.nn.Parameter(linear.weight.full_tensor())
        return engine

    monkeypatch.setattr(loading, "load", loaded)
    with pytest.raises(ReplicaError, match=r"^rank [01] ended with status 1; ") as lost:
        fleet.run()
    name = "model.layers.0.mlp.up_proj.weight"
    says = f"AttestationError: --device-map tensor is not what ran: expected {name} split, got "
    assert says in str(lost.value)
    assert nothing_stays(fleet)


def test_a_rank_that_is_killed_is_named(fleet, second, nothing_stays):
    """Not the one that notices it, in the middle of a layer: its connection is closed."""
    second(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ReplicaError, match=r"^rank 1 was killed by SIGKILL; .* at: round 1; "):
        fleet.run()
    assert nothing_stays(fleet)


def test_ranks_of_which_one_is_stopped_are_ended(fleet, second, silent_after, nothing_stays):
    """The other one waits within a layer, and says nothing either."""
    second(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    fleet.show = silent_after((0, "round 1"), (1, "round 1"))
    with pytest.raises(ReplicaError, match=r"^the ranks .* 0 at: round 1, 1 at: round 1; 0: "):
        fleet.run()
    assert nothing_stays(fleet)


def test_a_rank_that_fails_in_its_turn_is_named(fleet, monkeypatch, nothing_stays):
    """The others wait for what it will generate next, until the launcher ends them."""
    measure = work.measure

    def measured(engine, workload, gpu, settings):
        if os.environ["RANK"] == "1":
            engine.run(workload, 1)
            raise WorkError("its own error")
        return measure(engine, workload, gpu, settings)

    monkeypatch.setattr(work, "measure", measured)
    with pytest.raises(ReplicaError, match=r"^rank 1 ended with status 1; .* recorded; ") as lost:
        fleet.run()
    assert str(lost.value).endswith("WorkError: its own error")
    assert nothing_stays(fleet)


def wrapped(error):
    """Return an error that was raised while another one was handled."""
    try:
        try:
            raise error
        except RuntimeError as cause:
            raise WorkError("no trace") from cause
    except WorkError as outer:
        return outer


def test_errors_of_the_exchange_are_told_from_others():
    """Whoever has one waits for the launcher to see the lost one; another error ends at once."""
    closed = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed")
    for error in (closed, torch.distributed.DistNetworkError("reset"), wrapped(closed)):
        assert worker._is_of_the_exchange(error)
    for error in (RuntimeError("shapes differ"), OSError("gloo")):
        assert not worker._is_of_the_exchange(error)
    assert not worker._is_of_the_exchange(wrapped(RuntimeError("shapes differ")))


def test_ranks_that_hang_are_all_named(tmp_path):
    """They wait for one another in every layer, so none can say which of them it is."""
    (tmp_path / "replica-1.log").write_text("a last word\n")
    both = Fleet(2, [], {}, kind="rank")
    for line in ("rank 0: round 2", "rank 1: round 1"):
        both._hear(line)
    says = str(both._hung(tmp_path))
    assert says.startswith("the ranks said nothing for 600 s; one that hangs stops all; last they")
    assert "0 at: round 2, 1 at: round 1; 0: its log says nothing; 1: a last word" in says


def test_one_gpu_is_refused_with_its_number(monkeypatch):
    """A model that is split over one is the model."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"at least 2 visible GPUs, got 1; .*--device-map single$"):
        possible.ranks(torch.device("cuda", 0))
    assert possible.ranks(torch.device("cpu")) == 2


def test_what_cannot_be_split_is_refused_before_the_load(tiny_checkpoint):
    """Heads that can't be shared out, and models for which transformers has no plan."""
    model = skeleton.build(tiny_checkpoint, "sdpa")
    possible.check_model(tiny_checkpoint.name, model, 2)
    with pytest.raises(InputError, match=r"num_attention_heads .* multiple of 3, .*; got 8;"):
        possible.check_model(tiny_checkpoint.name, model, 3)
    without = copy.copy(model)
    without._tp_plan = {}
    with pytest.raises(InputError, match=r"no plan for synthetic:tiny \(LlamaForCausalLM\);"):
        possible.check_model(tiny_checkpoint.name, without, 2)


def of_a_rank(tensor, rank, *placements):
    """Return a tensor as one of two ranks has it, without a group of them."""
    mesh = SimpleNamespace(size=lambda _: 2, get_local_rank=lambda _: rank)
    return SimpleNamespace(
        shape=tensor.shape, to_local=None, device_mesh=mesh, placements=placements
    )


def test_each_rank_is_compared_with_its_own_part_of_the_checkpoint(tiny_checkpoint):
    """The second half of the rows, or of the columns; and of five rows the last two."""
    name = "model.layers.0.mlp.up_proj.weight"
    whole = rows_of(tiny_checkpoint, name, [slice(None)])[0]
    second = whole[len(whole) // 2 :]
    part = shards.part(of_a_rank(whole, 1, Shard(0)))
    assert torch.equal(rows_of(tiny_checkpoint, name, [slice(None)], part)[0], second)
    assert torch.equal(rows_of(tiny_checkpoint, name, [slice(3)], part)[0], second[:3])
    part = shards.part(of_a_rank(whole, 1, Shard(1)))
    half = whole.shape[1] // 2
    assert torch.equal(rows_of(tiny_checkpoint, name, [slice(3)], part)[0], whole[:3, half:])
    assert shards.part(of_a_rank(whole[:5], 1, Shard(0)))[0] == slice(3, 5)
    assert shards.part(of_a_rank(whole[:5], 1, Replicate()))[0] == slice(0, 5)
    assert shards.part(of_a_rank(whole, 1, Partial())) is None
    assert shards.part(whole) == ()


def test_collectives_are_listed_by_the_names_of_their_kernels():
    """Out of the same records as all other kernels: a matrix product is none."""
    kernels = [("gemm", 700), (REDUCE, 200), (REDUCE, 100), (GATHER, 60), ("gemm", 700)]
    events = [
        Event(
            name,
            on_host=False,
            device=1,
            start_ns=1000 * number,
            duration_ns=ns,
            id=number,
            operator=0,
            annotation=False,
            bytes=0,
        )
        for number, (name, ns) in enumerate(kernels, start=1)
    ]
    each = device_time.repeat(events)
    found = parts.of_rank(device_time.record_of([each] * 2, 2, each.operators))
    assert found["step_s"] == pytest.approx(880e-9)
    assert found["collectives_s"] == pytest.approx(180e-9)
    assert found["collectives"] == [
        {"name": REDUCE, "calls": 2, "device_s": pytest.approx(300e-9)},
        {"name": GATHER, "calls": 1, "device_s": pytest.approx(60e-9)},
    ]


def test_a_rank_whose_gpu_was_unsteady_makes_the_device_time_invalid():
    """The first rank waits for it, and its own records don't say so."""
    phase = {"steps": 1, "repeats_s": [1e-3], "kernels": {"top": []}}
    phases = dict.fromkeys(parts.PHASES, phase)
    steady = {**phases, "validity": {"valid": True, "reasons": []}}
    fell = {**phases, "validity": {"valid": False, "reasons": ["decode: its clock fell"]}}
    for other, reasons in ((steady, []), (fell, ["rank 1: decode: its clock fell"])):
        info = {"device_time": steady, "ranks": [{"rank": 0}, {"rank": 1}], "metrics": {}}
        done = SimpleNamespace(device_time=other, no_device_time=None)
        parts.add_work(info, [None, done])
        found = info["device_time"]["validity"]
        assert found == {"valid": not reasons, "reasons": reasons}
        assert steady["validity"]["valid"]
    info = {"device_time": steady, "ranks": [{"rank": 0}, {"rank": 1}], "metrics": {}}
    lost = SimpleNamespace(device_time=None, no_device_time=Unmeasured("a record was lost"))
    parts.add_work(info, [None, lost])
    reasons = info["device_time"]["validity"]["reasons"]
    assert reasons == ["rank 1: its device time wasn't measured"]


@pytest.mark.parametrize(("device_map", "fixture"), [(TENSOR, "engine"), ("auto", "ranks")])
def test_ranks_are_measured_alone(device_map, fixture):
    """A benchmark that loads a whole model is none of theirs, nor is theirs one of the others."""
    selected = SimpleNamespace(name="test_x[fp16]", fixturenames=["benchmark", fixture])
    says = rf"^--device-map {device_map}: expected .* measured with it, got x\[fp16\]; name "
    with pytest.raises(InputError, match=says):
        opening._check_ranks(device_map, [selected])


def test_the_others_generate_as_often_as_the_one_whose_turn_it_is():
    """As many tokens each time; then it is another one's turn."""
    store = torch.distributed.HashStore()
    ran = {0: [], 1: []}

    def rank(number):
        turns = Turns(store, number, 2)
        engine = SimpleNamespace(run=lambda _, tokens, *_others: ran[number].append(tokens))
        for leader, asked in ((0, [2, 1, 1, 6]), (1, [2, 5])):
            if leader != number:
                turns.follow(engine, "workload")
                continue
            with turns.lead(engine):
                for tokens in asked:
                    engine.run("workload", tokens, "a processor")

    with ThreadPoolExecutor(2) as both:
        list(both.map(rank, ran))
    assert ran[0] == ran[1] == [2, 1, 1, 6, 2, 5]


def test_what_each_rank_holds_and_does_is_one_line():
    """Its bytes, how many weights are split, and what of its device time is collectives."""
    phase = {"step_s": 5e-3, "collectives_s": 1e-3}
    weights = {"split": {"tensors": 30}, "whole": {"tensors": 9}}
    there = {"weights_bytes": 8.1e9, "peak_allocated_bytes": 9.2e9}
    ranks = [{"weights": weights, "device_time": {"decode": phase}}] * 2
    placement = {f"cuda:{index}": there for index in range(2)}
    first, _, second = (placement_line({"placement": placement, "ranks": ranks}) or "").partition(
        "; "
    )
    says = "weights 8.1 GB, 30 of 39 split, peak 9.2 GB, a decode step 5 ms of device time, "
    assert first == f"cuda:0: {says}1 ms of it collectives"
    assert second == first.replace("cuda:0", "cuda:1")
    doubtful = {"validity": {"valid": False, "reasons": ["rank 1: its clock fell"]}}
    placed = placement_line({"placement": placement, "ranks": ranks, "device_time": doubtful})
    assert "a decode step 5 ms ! of device time, 1 ms ! of it collectives" in (placed or "")
