"""Replicas for real: torch's launcher, two processes that meet, and what ends them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from benchmarks.common.errors import OutOfMemoryError, ReplicaError
from benchmarks.replicas.launch import ROOT, Fleet, variables
from benchmarks.replicas.worker import RESULTS
from tests import virtual
from tests.running import heard
from tests.waiting import PATIENCE_S

SHORT = ["--batch-size=2", "--new-tokens=3", "--rounds=2", "--warmup-rounds=0"]
MODEL = [f"--model={virtual.ONE_LAYER}", "--device=cpu", "--quantization=bf16"]


@pytest.fixture
def fleet(environment, machine):  # noqa: ARG001 (it is installed)
    """Return a function that makes two replicas; `show` hears what they do."""

    def two(show=lambda _, __: None):
        around = variables(os.environ | environment, None)
        return Fleet(2, [*MODEL, *SHORT], around, show)

    return two


def run_out():
    """Find that the device has too little memory."""
    raise OutOfMemoryError("no room")


def test_replicas_are_measured_together(session):
    """One alone, then two: each has its figures, and all of them have theirs; the id says r2."""
    options = ["--replicas=2,1", "-k=replicas", "--quantization=bf16", "--benchmark-save=all"]
    outcome = session(*SHORT, *options)
    assert outcome.status == 0, outcome.out + outcome.err
    alone, both = outcome.saved["benchmarks"]
    assert both["name"] == "test_replicas[bf16-b2-p16-n3-r2]"
    info = both["extra_info"]
    each = [one["metrics"]["tokens_per_s"] for one in info["replicas"]]
    slowest = [max(times) for times in zip(*(r["rounds_s"] for r in info["replicas"]), strict=True)]
    assert both["stats"]["data"] == slowest == [one["round_s"] for one in info["rounds"]]
    total, one = info["metrics"]["tokens_per_s"], alone["extra_info"]["metrics"]["tokens_per_s"]
    assert max(each) < total <= sum(each) * 1.0001
    assert info["metrics"]["scaling_efficiency"] == pytest.approx(total / (2 * one))
    assert info["metrics"]["tpot_s"] == max(r["metrics"]["tpot_s"] for r in info["replicas"])
    assert info["placement"]["cpu"]["replicas"] == 2
    assert info["workload"]["replicas"] == 2
    assert len({one["tokens_sha256"] for one in info["replicas"]}) == 1
    assert "replicas: 1, 2 on cpu (1 thread)\n" in outcome.out
    assert "replicas[bf16-b2-p16-n3-r2]: tokens/s of each: " in outcome.out
    assert re.search(r"benchmark +tokens/s .* scaling +cores", outcome.out)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL; if nobody did, mem"),
        (run_out, "OutOfMemoryError: no room"),
    ],
    ids=["killed", "out of memory"],
)
def test_a_replica_that_is_lost_is_named(fleet, second, act, says, nothing_stays):
    """By its number, what it was at, and the end of its log; the other one is ended."""
    second(act)
    both = fleet()
    with pytest.raises(ReplicaError, match=r"^replica 1 .*; last it was at: round 1; .*") as lost:
        both.run()
    assert says in str(lost.value)
    assert len(str(lost.value).splitlines()) == 1
    assert nothing_stays(both)


def test_a_replica_that_hangs_is_named(fleet, second, silent_after, nothing_stays):
    """Not the one that waits for it."""
    second(lambda: os.kill(os.getpid(), signal.SIGSTOP))
    both = fleet(silent_after((0, "ready for round 2"), (1, "round 1")))
    with pytest.raises(ReplicaError, match=r"^replica 1 said nothing for 600 s; last .* round 1;"):
        both.run()
    assert nothing_stays(both)


def test_ctrl_c_ends_all_replicas(fleet, second, nothing_stays):
    """Also one that would not hear of it."""
    second(lambda: os.kill(os.getpid(), signal.SIGSTOP))

    def show(replica, says):
        if (replica, says) == (0, "ready for round 2"):
            os.kill(os.getpid(), signal.SIGINT)

    both = fleet(show)
    with heard(signal.SIGINT, signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        both.run()
    assert nothing_stays(both)


def test_replicas_of_two_hosts_are_one_benchmark(fleet, tmp_path):
    """Two launchers of one rendezvous: the first replica, wherever it is, has what all came to."""
    around = fleet().variables
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"--rdzv-endpoint=127.0.0.1:{free.getsockname()[1]}"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meet = ["--rdzv-id=test", "--rdzv-backend=c10d", "--local-addr=127.0.0.1", endpoint]
    worker = ["-m", "benchmarks.replicas.worker", f"--folder={tmp_path}", *MODEL, *SHORT]
    both = [subprocess.Popen([*launch, *meet, *worker], env=around, cwd=ROOT) for _ in range(2)]
    assert [each.wait(PATIENCE_S) for each in both] == [0, 0]
    record = json.loads((tmp_path / RESULTS).read_text())
    assert [each["host"] for each in record["replicas"]] == [0, 1]
    assert {*record["placement"]} == {"host 0 cpu", "host 1 cpu"}
