"""What replicas come to: sums, the slowest, and whether their machine could be trusted."""

import gzip
import json

import pytest

from benchmarks.common.quantity import NO_GPU, Unmeasured
from benchmarks.machine.bounds import Bounds
from benchmarks.machine.readings import Observations
from benchmarks.measure.metrics import Peaks, Round
from benchmarks.replicas import account
from benchmarks.replicas.account import Account
from benchmarks.sessions.session import Measured
from tests.tools.replicas import records, svg, table

WORKLOAD = {"model": "m", "quantization": "int8", "batch_size": 8, "prompt_tokens": 16}
COUNTS = {"wall_s": 12.0, "cpu_s": 11.0, "machine_busy_s": 24.0, "core_wait_s": 6.0}
BUSY = {"machine_busy_s": 70.0}  # four cores for twelve seconds, and more
FACTS = {"threads": 1, "machine_cores": 4, "available_cores": 4}


def one(replica, seconds, *, host=0, local=0, counts=None):
    """Return the account of a replica whose rounds took so long, on the second GPU or the first."""
    watches = local == 0
    energy = {"total_energy_joules": 6000.0} if watches else {}
    seen = Observations("cuda", seconds, FACTS, COUNTS | energy | (counts or {}))
    return Account(
        replica=replica,
        host=host,
        device=f"cuda:{local}",
        load_s=20.0 + replica,
        warmup_rounds=1,
        rounds=[Round(each, each / 4, (each / 4, each / 2)) for each in seconds],
        starts_s=[5.0 * n for n in range(len(seconds))],
        placement={f"cuda:{local}": {"weights_bytes": 9, "peak_allocated_bytes": 10, "gpu": "H"}},
        peaks=Peaks(10, 12, Unmeasured("no /proc"), NO_GPU),
        weights_bytes=9,
        seen=seen,
        watches=watches,
        tokens_sha256="0",
    )


def together(*accounts, new_tokens=3):
    """Return what is stored of them."""
    return account.record(accounts, WORKLOAD | {"new_tokens": new_tokens}, Bounds())


def test_the_slowest_ends_a_round_and_memory_is_added_up():
    """Two replicas, of which now the one and now the other is the slower one."""
    found = together(one(0, [4.0, 5.0, 4.0]), one(1, [5.0, 4.0, 6.0], local=1))
    metrics = found["metrics"]
    assert [each["round_s"] for each in found["rounds"]] == [5.0, 5.0, 6.0]
    assert metrics["tokens_per_s"] == 2 * 8 * 3 / 5.0
    assert metrics["tpot_s"] == 5.0 * 3 / 8  # of the second one, whose median round is the longer
    assert metrics["joules_per_token"] == 6000 / (3 * 2 * 8 * 3)
    assert metrics["host_cores"] == pytest.approx(22 / 12)
    assert metrics["weights_bytes"] == 18
    assert metrics["peak_allocated_bytes"] == 20
    assert metrics["load_s"] == 21
    assert found["unmeasured"]["peak_resident_bytes"] == "no /proc"
    assert found["placement"]["cuda:1"]["replicas"] == 1


def test_two_on_one_gpu_share_its_place():
    """Their weights and peaks are there together; its name stands once."""
    there = together(one(0, [4.0]), one(1, [4.0], counts={}))["placement"]
    expected = {"replicas": 2, "weights_bytes": 18, "peak_allocated_bytes": 20, "gpu": "H"}
    assert there == {"cuda:0": expected}


def test_one_token_has_no_tpot():
    """There is no step after it."""
    assert together(one(0, [4.0]), new_tokens=1)["metrics"]["tpot_s"] is None


def test_what_replicas_take_from_each_other_makes_nothing_invalid():
    """They waited for a core half of the time: that is the result. What strangers take is not."""
    assert together(one(0, [4.0] * 3), one(1, [4.0] * 3, local=1))["validity"]["valid"]

    found = together(one(0, [4.0] * 3, counts=BUSY), one(1, [4.0] * 3, local=1))["validity"]
    assert [each["reading"] for each in found["findings"]] == ["crowding_cores"]


def test_each_host_is_judged():
    """What was wrong on the second one is told, and the energy of both is added up."""
    found = together(one(0, [4.0] * 3), one(1, [4.0] * 3, host=1, counts=BUSY))
    assert not found["validity"]["valid"]
    assert found["metrics"]["joules_per_token"] == 12000 / (3 * 2 * 8 * 3)
    assert {*found["placement"]} == {"host 0 cuda:0", "host 1 cuda:0"}


@pytest.mark.parametrize(
    ("alone", "asked", "efficiency", "why"),
    [
        (6.0, True, pytest.approx(0.8), None),
        (None, True, None, "one replica alone has no result in this session"),
        (None, False, None, "--replicas has no 1, so that there is no replica alone to compare"),
    ],
)
def test_scaling_needs_one_alone(alone, asked, efficiency, why):
    """Else it is null, and says why."""
    found = together(one(0, [5.0] * 3), one(1, [5.0] * 3, local=1))
    account.add_scaling(found, alone, asked=asked)
    assert found["metrics"]["scaling_efficiency"] == efficiency
    assert (found["unmeasured"].get("scaling_efficiency") or "").startswith(why or "")


def test_a_page_of_results_has_a_row_for_each_number(tmp_path):
    """With each replica's rate, and a mark if it is INVALID; what is compressed is read as well."""
    found = [
        together(one(0, [5.0] * 3)),
        together(one(0, [4.0, 6.0, 9.0], counts=BUSY), one(1, [5.0] * 3)),
    ]
    for info in found:
        account.add_scaling(info, 4.8, asked=True)
    file = tmp_path / "int8.json.gz"
    stored = {"benchmarks": [{"extra_info": info} for info in (*found, {})]}
    file.write_bytes(gzip.compress(json.dumps(stored).encode()))
    *_, alone, both = table([*records(file)])
    assert (
        alone
        == "| int8 | 1 | 1 | 4.8 | 5.00 to 5.00 s | 5 | 4.8 | 100 % | 1.88 s | 0.9167 | 83.33 |"
    )
    assert both.startswith("| int8 | 2 | 1 | 8 ! | 5.00 to 9.00 s | 4, 5 | 8.8 | 83.3 % |")
    assert "<svg" in svg(found)


def test_a_session_of_work_alone_does_not_miss_replicas():
    """They do the work of one, and are measured for their times: a fast gate has none of them."""
    assert Measured("replicas", (5.0,), together(one(0, [5.0]))).is_of_its_own
    assert not Measured("throughput", (5.0,), {"metrics": {}}).is_of_its_own
