"""A benchmark in one line: its figures, and its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.text import duration, number, percent, rate, size
from benchmarks.config.generation import DEFAULT
from benchmarks.config.workload import TOPICS
from benchmarks.report import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def evidence_line(info: Mapping[str, Any]) -> str:
    """Return a benchmark's evidence in a few words, for the terminal."""
    found, metrics = info["attestation"], info["metrics"]
    kinds = ", ".join(f"{count} {name}" for name, count in found["linears"].items())
    parts = [f"{kinds} of {found['linears_expected']}" if kinds else "no linears"]
    if mode := found.get("generation"):
        parts.append(_mode_line(mode))
    work = info["workload"]
    rows, different = work["batch_size"], work["distinct_prompts"]
    if work.get("threshold") and different < min(rows, len(TOPICS)):
        parts.append(f"only {different} of {rows} prompts differ, so fewer outliers than usual")
    if outliers := (found["path"] or {}).get("outliers"):
        decode = outliers["decode"]
        parts.append(
            f"outliers in {percent(decode['share_of_linears'])} of decode calls "
            f"({decode['columns_min']} to {decode['columns_max']} columns)"
        )
    if note := (found["path"] or {}).get("note"):
        parts.append(note)
    if info["counters"]:
        parts.append(_work_line(info["counters"]))
    if info.get("device_time"):
        parts.append(_device_line(info))
    if metrics.get("top1_agreement") is not None:
        reference = (found.get("agreement") or {}).get("with", "fp16")
        parts.append(
            f"top-1 agreement with {reference} {percent(metrics['top1_agreement'])}, "
            f"logits off by {percent(metrics['logits_relative_error'])}"
        )
    return "; ".join(parts)


def mode_of(workload: Mapping[str, Any]) -> str:
    """Return the generation mode of a workload, which is stored only if it isn't the default."""
    return str(workload.get("generation", DEFAULT))


def _mode_line(mode: Mapping[str, Any]) -> str:
    """Return what really ran in a generation mode, and how far it is from the dynamic cache."""
    says = [f"{mode['cache']} of {size(mode['bytes_held'])}"]
    if "quantized_bytes" in mode:
        held, full = size(mode["quantized_bytes"]), size(mode["bytes_in_16_bits"])
        says.append(f"{held} quantized instead of {full}")
    if compiled := mode.get("compiled"):
        graphs, breaks = compiled["graphs"], compiled["graph_breaks"]
        says.append(f"compiled by {compiled['by']} in {duration(compiled['seconds'])}")
        says.append(f"{graphs} graph{'' if graphs == 1 else 's'}")
        says.append(
            f"{breaks} graph breaks, first: {compiled['reasons'][0]}"
            if breaks
            else "no graph break"
        )
        if compiled.get("cuda_graphs") is not None:
            says.append("CUDA graphs" if compiled["cuda_graphs"] else "no CUDA graphs")
    off = percent(mode["agreement"]["logits_relative_error"])
    return f"{', '.join(says)}; logits off by {off} from those of the dynamic cache"


def _work_line(counters: Mapping[str, Any]) -> str:
    """Return what a decode step asks for, on average over those that were counted."""
    first, stop = counters["decode_steps"]
    decode, steps = counters["decode"], stop - first
    says = [f"{number(decode['operators_total'] / steps)} operator calls"]
    if "kernel_launches" in decode:
        says.append(f"{number(decode['kernel_launches'] / steps)} launches")
        syncs = sum(decode["synchronizations"].values())
        says.append(f"{number(syncs / steps)} synchronizations")
    return f"a decode step: {', '.join(says)}"


def _device_line(info: Mapping[str, Any]) -> str:
    """Return the device time of a step in a few words: how far its repeats are apart."""
    repeats = info["device_time"]["decode"]["repeats_s"]
    low, high = (f"{each * 1e3:.4g}" for each in (min(repeats), max(repeats)))
    says = f"device time of {len(repeats)} repeats {low} to {high} ms a step"
    why = columns.doubts(info)
    return f"{says}, which can't be trusted: {why[0]}" if why else says


def placement_line(info: Mapping[str, Any]) -> str | None:
    """Return what each of several devices holds and does, in a few words; None if there is one."""
    placement = info.get("placement") or {}
    if len(placement) < 2:
        return None
    mark = columns.mark(info)
    if ranks := info.get("ranks"):
        here = zip(placement.items(), ranks, strict=False)
        return "; ".join(_rank(name, there, rank, mark) for (name, there), rank in here)
    decode = (info.get("device_time") or {}).get("decode") or {}
    shares = decode.get("share_by_gpu") or {}
    parts = []
    for name, there in placement.items():
        says = [f"{name}: weights {size(there['weights_bytes'])}"]
        if (peak := there.get("peak_allocated_bytes")) is not None:
            says.append(f"peak {size(peak)}")
        if share := shares.get(name.rpartition(":")[2]):
            says.append(f"{percent(share)}{mark} of the device time of a decode step")
        parts.append(", ".join(says))
    counters = info.get("counters") or {}
    copies = (counters.get("decode") or {}).get("copies_peer_to_peer")
    if copies is not None:
        first, stop = counters["decode_steps"]
        parts.append(f"{number(copies / (stop - first))} copies between them in a decode step")
    return "; ".join(parts)


def _rank(name: str, there: Mapping[str, Any], rank: Mapping[str, Any], mark: str) -> str:
    """Return what one of several ranks holds of a model, and what it does in a decode step.

    `mark` stands beside its times.
    """
    weights = rank["weights"]
    count = sum(each["tensors"] for each in weights.values())
    says = [
        f"weights {size(there['weights_bytes'])}, {weights['split']['tensors']} of {count} split"
    ]
    if (peak := there.get("peak_allocated_bytes")) is not None:
        says.append(f"peak {size(peak)}")
    if spent := (rank["device_time"] or {}).get("decode"):
        step, collectives = duration(spent["step_s"]), duration(spent["collectives_s"])
        says.append(
            f"a decode step {step}{mark} of device time, {collectives}{mark} of it collectives"
        )
    return f"{name}: {', '.join(says)}"


def replicas_line(replicas: Sequence[Mapping[str, Any]]) -> str:
    """Return what each of several replicas did, by its device."""
    devices: dict[str, list[str]] = {}
    several = len({each["host"] for each in replicas}) > 1
    for each in replicas:
        where = f"host {each['host']} {each['device']}" if several else each["device"]
        devices.setdefault(where, []).append(rate(each["metrics"]["tokens_per_s"]))
    says = "; ".join(f"{', '.join(rates)} on {where}" for where, rates in devices.items())
    return f"tokens/s of each: {says}"


def headline(extra_info: Mapping[str, Any]) -> str:
    """Return a finished benchmark in a few words."""
    if extra_info.get("work_only"):
        return "measured for its work only"
    metrics = extra_info["metrics"]
    parts = [f"{rate(metrics['tokens_per_s'])} tokens/s", f"TTFT {duration(metrics['ttft_s'])}"]
    if metrics["tpot_s"] is not None:
        parts.append(f"TPOT {duration(metrics['tpot_s'])}")
    if (extra_info.get("validity") or {}).get("reasons"):
        return f"{', '.join(parts)} !"  # as the table marks it; the end of the session says why
    return ", ".join(parts)


def timed_after_profiler(extra_info: Mapping[str, Any]) -> bool:
    """Whether a profiler had run in its process before it was timed; work alone isn't timed."""
    profiled = (extra_info.get("process") or {}).get("profiled")
    return bool(profiled) and not extra_info.get("work_only")
