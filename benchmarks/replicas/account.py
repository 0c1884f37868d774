"""What each replica measured, and what all of them come to. No torch, no clock."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.quantity import NO_GPU, ONE_TOKEN, Metric, Unmeasured, as_stored
from benchmarks.machine import validity
from benchmarks.machine.readings import combine
from benchmarks.measure.metrics import joules_per_token, tokens_per_s, tpot_s
from benchmarks.sessions.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.machine.bounds import Bounds
    from benchmarks.machine.readings import Observations
    from benchmarks.machine.validity import Validity
    from benchmarks.measure.metrics import Peaks, Round

OWN = Unmeasured("replicas wait for each other, and share the cores: that is measured here")
# Of one process among several these say how much it waits for the others of its own benchmark.
SHARED = ("core_wait_s", "involuntary_switches", "voluntary_switches")


@dataclass(frozen=True)
class Account:
    """What one replica measured of its own rounds, which began when those of the others did."""

    replica: int
    host: int  # which of the launcher's nodes
    device: str
    load_s: float
    warmup_rounds: int
    rounds: Sequence[Round]
    starts_s: Sequence[float]
    placement: Mapping[str, Mapping[str, Any]]
    peaks: Peaks
    weights_bytes: int
    seen: Observations  # over all rounds
    watches: bool  # the GPUs of its host, for all replicas there
    tokens_sha256: str
    samples: dict[str, list[Any]] | None = field(default=None)

    @property
    def wall_s(self) -> Metric:
        """How long its rounds took, with the waiting for the others between them."""
        return number_of(self.seen.counts.get("wall_s"))

    @property
    def cpu_s(self) -> Metric:
        """How much CPU time it took meanwhile, in all of its threads."""
        return number_of(self.seen.counts.get("cpu_s"))

    def metrics(self, batch_size: int, new_tokens: int) -> dict[str, Metric]:
        """Return what is told of it beside the others."""
        round_s = median(each.round_s for each in self.rounds)
        several = new_tokens > 1
        return {
            "tokens_per_s": tokens_per_s(batch_size, new_tokens, round_s),
            "ttft_s": median(each.ttft_s for each in self.rounds),
            "tpot_s": median(tpot_s(each, new_tokens) for each in self.rounds)
            if several
            else ONE_TOKEN,
            "load_s": self.load_s,
            "weights_bytes": self.weights_bytes,
            "peak_allocated_bytes": self.peaks.peak_allocated_bytes,
            "peak_reserved_bytes": self.peaks.peak_reserved_bytes,
            "peak_resident_bytes": self.peaks.peak_resident_bytes,
            "host_cores": combine(lambda cpu, wall: cpu / wall, self.cpu_s, self.wall_s),  # type: ignore[dict-item]
        }


def record(
    accounts: Sequence[Account], workload: Mapping[str, Any], bounds: Bounds
) -> dict[str, Any]:
    """Return what is stored of a benchmark of replicas; `workload` is what each of them did.

    A round of all is over when the last of them is done, so that the slowest one decides.
    """
    count, rows, new = len(accounts), workload["batch_size"], workload["new_tokens"]
    each = [one.metrics(rows, new) for one in accounts]
    slowest = [
        max(together, key=lambda round_: round_.round_s)
        for together in zip(*(one.rounds for one in accounts), strict=True)
    ]
    rounds_s = [one.round_s for one in slowest]
    judged = _validity(accounts, rounds_s, bounds)
    values, reasons = as_stored(
        {
            "tokens_per_s": tokens_per_s(count * rows, new, median(rounds_s)),
            "ttft_s": _over(max, each, "ttft_s"),
            "tpot_s": _over(max, each, "tpot_s"),
            "joules_per_token": joules_per_token(_energy(accounts), rounds_s, count * rows * new),
            "host_cores": _cores(accounts),
            "load_s": _over(max, each, "load_s"),
            "weights_bytes": _over(_sum, each, "weights_bytes"),
            "peak_allocated_bytes": _over(_sum, each, "peak_allocated_bytes"),
            "peak_reserved_bytes": _over(_sum, each, "peak_reserved_bytes"),
            "peak_resident_bytes": _over(_sum, each, "peak_resident_bytes"),
        }
    )
    return {
        "schema": SCHEMA,
        "workload": {**workload, "replicas": count},
        "metrics": values,
        "unmeasured": reasons,
        "placement": _placement(accounts),
        "replicas": [_of_one(*pair) for pair in zip(accounts, each, strict=True)],
        "warmup_rounds": min(one.warmup_rounds for one in accounts),
        "rounds": [
            {"start_s": start_s, **one.record()}
            for start_s, one in zip(accounts[0].starts_s, slowest, strict=True)
        ],
        "validity": {**judged.as_record(), "samples": accounts[0].samples},
        "refused": [],
        "attestation": None,  # counters and work are those of one alone: of test_throughput
        "counters": None,
        "device_time": None,
        "process": {"loaded": [workload["quantization"]], "profiled": False},  # of each of them
    }


def add_scaling(record: dict[str, Any], alone: float | None, *, asked: bool) -> None:
    """Add the tokens/s of all, as a share of those of as many that don't disturb each other.

    `alone` are the tokens/s of one replica alone in the same session; `asked`: whether one was
    asked for.
    """
    metrics, count = record["metrics"], record["workload"]["replicas"]
    metrics["scaling_efficiency"] = metrics["tokens_per_s"] / (count * alone) if alone else None
    if not alone:
        record["unmeasured"]["scaling_efficiency"] = (
            "one replica alone has no result in this session"
            if asked
            else "--replicas has no 1, so that there is no replica alone to compare with"
        )


def judge(seen: Observations, cpu_s: Sequence[Metric], bounds: Bounds) -> Validity:
    """Judge what one process saw of a host on which several worked, with their CPU times."""
    counts = {**seen.counts, **dict.fromkeys(SHARED, OWN)}
    counts["cpu_s"] = combine(lambda *each: sum(each), *cpu_s)
    return validity.judge(replace(seen, counts=counts), bounds)


def _of_one(account: Account, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    values, reasons = as_stored(metrics)
    return {
        "replica": account.replica,
        "host": account.host,
        "device": account.device,
        "metrics": values,
        "unmeasured": reasons,
        "rounds_s": [each.round_s for each in account.rounds],
        "tokens_sha256": account.tokens_sha256,
    }


def _validity(accounts: Sequence[Account], rounds_s: Sequence[float], bounds: Bounds) -> Validity:
    """Judge each host by what it saw of its GPUs, and by what others than the replicas did there.

    The readings are those of the first host; what was wrong on any of them is told.
    """
    found = []
    for watcher in (each for each in accounts if each.watches):
        there = [each for each in accounts if each.host == watcher.host]
        cpu_s = [each.cpu_s for each in there]
        found.append(judge(replace(watcher.seen, rounds_s=rounds_s), cpu_s, bounds))
    worst = {each.reading: each for judged in found for each in judged.findings}
    return replace(found[0], findings=tuple(worst.values()))


def _energy(accounts: Sequence[Account]) -> Metric:
    """Return the joules of all GPUs of all hosts, over the rounds and between them."""
    counts = [each.seen.counts for each in accounts if each.watches]
    energy = [each.get("total_energy_joules", accounts[0].seen.no_gpu) for each in counts]
    return number_of(combine(lambda *each: sum(each), *energy)) if energy else NO_GPU


def _cores(accounts: Sequence[Account]) -> Metric:
    """Return how many cores' worth of time all replicas took together."""
    cpu_s = combine(lambda *each: sum(each), *(each.cpu_s for each in accounts))
    wall_s = combine(lambda *each: max(each), *(each.wall_s for each in accounts))
    return number_of(combine(lambda cpu, wall: cpu / wall, cpu_s, wall_s))


def _placement(accounts: Sequence[Account]) -> dict[str, dict[str, Any]]:
    """Return, by device, how many replicas are there, and their weights and peaks in bytes."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(lambda: {"replicas": 0})
    several = len({each.host for each in accounts}) > 1
    on = Counter(_place(each, name, several) for each in accounts for name in each.placement)
    for account in accounts:
        for name, there in account.placement.items():
            entry = found[_place(account, name, several)]
            entry["replicas"] = on[_place(account, name, several)]
            for key, value in there.items():
                before = entry.get(key)
                counts = isinstance(value, int) and isinstance(before, int)
                entry[key] = before + value if counts else value
    return dict(found)


def _place(account: Account, device: str, several: bool) -> str:  # noqa: FBT001 (private)
    return f"host {account.host} {device}" if several else device


def _over(
    how: Callable[[Sequence[Any]], Any], each: Sequence[Mapping[str, Metric]], name: str
) -> Metric:
    return number_of(combine(lambda *values: how(values), *(one[name] for one in each)))


def _sum(values: Sequence[Any]) -> Any:
    return sum(values)


def number_of(value: Any) -> Metric:
    """Return a reading as a metric; one that isn't there was not read."""
    return Unmeasured("not read") if value is None else value
