"""Make docs/results out of a folder of `make gpu-check`: python -m tests.tools.gpu_page FOLDER.

A page of tables and two plots, named after the GPU, and the raw files beside it, compressed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from math import exp, expm1, log, sqrt
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from benchmarks.machine import nvml
from benchmarks.sessions import doubts
from benchmarks.sessions.outcome import Verdict
from benchmarks.sessions.session import read_session
from benchmarks.verdicts.judgement import judge
from tests.tools import gpu_plots
from tests.tools.gpu_check import SLOWDOWN, STEPS

RESULTS = Path(__file__).parents[2] / "docs" / "results"
# bitsandbytes 0.45.0.dev, torch 2.5.1, 64 tokens in and out, H100 SXM: its own published table.
PUBLISHED = {1: (12.2, 19.2), 8: (93.8, 155.4), 32: (371.0, 586.0)}
PRIVATE = {"node", "release", "place", "said"}
DUETS = ("duet", "slowed", "prefill")  # steps
SLOWER = f"{100 * SLOWDOWN:g} %"


@dataclass(frozen=True)
class Results:
    """A folder of results; what wasn't run is None."""

    folder: Path

    def step(self, name: str) -> dict[str, Any] | None:
        """Return what a step wrote."""
        file = self.folder / f"{name}.json"
        return stored(file) if file.exists() else None

    def benchmarks(self, name: str) -> list[dict[str, Any]]:
        """Return the benchmarks of a session."""
        found = self.step(f"{name}-session")
        return found["benchmarks"] if found else []

    def restarts(self, name: str) -> list[Path]:
        """Return the base files of a duet's complete restarts: of the longest one, if several."""
        found = [sorted(each.glob("restart-*-base.json")) for each in self.folder.glob(f"{name}-*")]
        return max(found, key=len, default=[])


@cache
def stored(file: Path) -> Any:
    """Return the content of a file: a session is asked for by every part of the page."""
    return json.loads(file.read_text())


def beside(base: Path, suffix: str) -> Path:
    """Return the file of another take of the restart whose base file this is."""
    return base.with_name(base.name.replace("-base", suffix))


def main(folder: Path, where: Path = RESULTS) -> None:
    """Write the page, its plots and the raw files; a NOTES.md beside the plots is put into it.

    The folder is one of `make gpu-check`, or the raw files of a page, which are compressed.
    """
    if (folder / "main-session.json.gz").exists():
        with tempfile.TemporaryDirectory() as unpacked:
            _unpack(folder, Path(unpacked))
            main(Path(unpacked), where)
        return
    results = Results(folder)
    session = results.step("main-session")
    if session is None:
        sys.exit(f"expected the results of make gpu-check, with its main job; got {folder}")
    hardware = session["machine_info"]["hardware"]
    name = str(hardware.get("gpu") or hardware["cpu_model"])
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    place = where / slug
    parts = [
        heading(name, session),
        notes(place / "NOTES.md", session["datetime"][:16]),
        quantizations(results, slug),
        published(results),
        main_job(results, slug),
        loading(results),
        counters(results),
        parity(results),
        validity(results),
        noise(results),
        reproduce(results, slug),
    ]
    shutil.rmtree(place / "raw", ignore_errors=True)
    _pack(folder, place / "raw")
    for figure, step in ((gpu_plots.tokens, "table"), (gpu_plots.steps, "main")):
        (place / f"{figure.__name__}.svg").write_text(
            gpu_plots.svg(figure(results.benchmarks(step)))
        )
    page = where / f"{slug}.md"
    page.write_text("\n\n".join("\n".join(lines) for lines in parts if lines) + "\n")
    print(page)


def _pack(folder: Path, raw: Path) -> None:
    for file in sorted(folder.rglob("*.json")):
        if "artifacts" not in file.parts:
            target = raw / file.relative_to(folder).with_suffix(".json.gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps(public(stored(file)), indent=1)
            target.write_bytes(gzip.compress(content.encode(), mtime=0))


def _unpack(raw: Path, folder: Path) -> None:
    for file in raw.rglob("*.json.gz"):
        target = folder / file.relative_to(raw).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.decompress(file.read_bytes()))


def public(content: Any) -> Any:
    """Return what was stored without what names a machine or its folders."""
    if isinstance(content, dict):
        return {k: None if k in PRIVATE else public(v) for k, v in content.items()}
    return [public(each) for each in content] if isinstance(content, list) else content


def heading(name: str, session: dict[str, Any]) -> list[str]:
    """Return what this is: machine, versions, weights."""
    info = session["machine_info"]
    software, hardware = info["software"], info["hardware"]
    workload = session["benchmarks"][0]["extra_info"]["workload"]
    day = session["datetime"][:10]
    versions = ", ".join(
        f"{each} {software[each]}"
        for each in ("torch", "transformers", "bitsandbytes", "accelerate", "cuda", "driver")
        if software.get(each)
    )
    return [
        f"# LLM.int8() on {name}",
        "",
        f"Weights: `{workload['model']}`, which are {workload['weights']}: the real architecture, "
        f"random weights, {workload['outlier_channels']} planted outlier channels. Times stand for "
        "those of a real checkpoint as far as its outliers are alike; the text is nonsense.",
        "",
        f"{day}; {versions}; Python {info['python_version']}; "
        f"{hardware['available_cores']} cores ({hardware['cpu_model']}).",
    ]


def quantizations(results: Results, slug: str) -> list[str]:
    """Return the table of quantizations by batch size."""
    rows = [
        "| quantization | batch | tokens/s | TTFT | TPOT | peak memory | J/token | light | MBU |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    causes = []
    for each in results.benchmarks("table"):
        info = each["extra_info"]
        found, work, validity = info["metrics"], info["workload"], info["validity"]
        mark = "" if validity["valid"] else " !"
        name = f"{work['quantization']}, {work['batch_size']}"
        if mark:
            causes += [f"{name}: {cause}" for cause in doubts.in_short(validity)]
        rows.append(
            f"| {work['quantization']} | {work['batch_size']} | {found['tokens_per_s']:,.1f}{mark} "
            f"| {1e3 * found['ttft_s']:.0f} ms | {1e3 * found['tpot_s']:.1f} ms "
            f"| {shown(found['peak_allocated_bytes'], 1e-9, 'GB')} "
            f"| {shown(found['joules_per_token'])} "
            f"| {shown(found['speed_of_light_tpot_s'], 1e3, 'ms')} "
            f"| {shown(found['mbu'], 100, '%')} |"
        )
    if len(rows) == 2:
        return []
    work = results.benchmarks("table")[0]["extra_info"]["workload"]
    rounds = len(results.benchmarks("table")[0]["extra_info"]["rounds"])
    return [
        "## Quantizations",
        "",
        f"Prompts of {work['prompt_tokens']} tokens, {work['new_tokens']} new ones, median of "
        f"{rounds} rounds, one process. `light` is the TPOT that memory bandwidth alone would "
        "allow. `-`: the rounds were too short for the energy counter.",
        "",
        *rows,
        "",
        f"![Tokens per second by batch size and quantization]({slug}/tokens.svg)",
        "",
        "MBU is light ÷ TPOT.",
        *(["", f"`!`: INVALID, by the suite's own rules. {'; '.join(causes)}."] if causes else []),
    ]


def published(results: Results) -> list[str]:
    """Return the ratio of int8 to int8-decomp beside what bitsandbytes publishes."""
    found = {
        (work["quantization"], work["batch_size"]): each
        for each in results.benchmarks("table")
        if (work := each["extra_info"]["workload"])
    }
    rows = []
    for batch, (decomp, plain) in PUBLISHED.items():
        pair = found.get(("int8-decomp", batch)), found.get(("int8", batch))
        if not pair[0] or not pair[1]:
            continue
        infos = [each["extra_info"] for each in pair]
        steps = [each["metrics"]["tpot_s"] for each in infos]
        calls = [each["counters"]["decode"]["operators_total"] for each in infos]
        mark = "" if all(each["validity"]["valid"] for each in infos) else " !"
        rows.append(
            f"| {batch} | {steps[0] / steps[1]:.2f}{mark} | {calls[0] / calls[1]:.2f} "
            f"| {plain / decomp:.2f} |"
        )
    if not rows:
        return []
    return [
        "## What the outliers cost",
        "",
        "| batch | TPOT, int8-decomp ÷ int8 | operator calls likewise | published, by tokens/s |",
        "|--:|--:|--:|--:|",
        *rows,
        "",
        *(["`!`: of a row that is INVALID.", ""] if any(" ! " in row for row in rows) else []),
        "Published: in bitsandbytes' own table of its 0.45.0.dev, torch 2.5.1, real weights, 64 "
        "tokens in and out; out of its tokens/s.",
    ]


def main_job(results: Results, slug: str) -> list[str]:
    """Return the main job at its defaults."""
    found = next((e for e in results.benchmarks("main") if "throughput" in e["name"]), None)
    if found is None:
        return []
    metrics, rounds = found["extra_info"]["metrics"], found["extra_info"]["rounds"]
    work = found["extra_info"]["workload"]
    listed = ", ".join(f"{each['round_s']:.1f}" for each in rounds)
    validity = found["extra_info"]["validity"]
    doubt = " Judged valid." if validity["valid"] else f" INVALID: {doubts.in_short(validity)[0]}."
    others = {
        each["name"].partition("[")[0].removeprefix("test_"): each["extra_info"]["validity"]
        for each in results.benchmarks("main")
    }
    refused = [name for name, each in others.items() if each and not each["valid"]]
    if refused and validity["valid"]:
        doubt += f" Of the same session INVALID: {', '.join(refused)}."
    return [
        "## The main job",
        "",
        f"`pytest benchmarks --again-within=0`: {work['quantization']}, {work['batch_size']} rows, "
        f"{work['new_tokens']} new tokens, {len(rounds)} rounds.",
        "",
        "| tokens/s | TTFT | TPOT | ITL p50, p95, p99 | J/token | peak memory |",
        "|--:|--:|--:|--:|--:|--:|",
        f"| {metrics['tokens_per_s']:.1f} | {1e3 * metrics['ttft_s']:.0f} ms "
        f"| {1e3 * metrics['tpot_s']:.0f} ms "
        f"| {1e3 * metrics['itl_p50_s']:.0f}, {1e3 * metrics['itl_p95_s']:.0f}, "
        f"{1e3 * metrics['itl_p99_s']:.0f} ms | {shown(metrics['joules_per_token'])} "
        f"| {shown(metrics['peak_allocated_bytes'], 1e-9, 'GB')} |",
        "",
        f"Rounds: {listed} s.{doubt} Each gap between two tokens, in order:",
        "",
        f"![Each gap between two tokens, over the seconds of the main job]({slug}/steps.svg)",
        "",
        "Output against fp16 on the same checkpoint: top-1 agreement "
        f"{metrics['top1_agreement']:.1%}, logits off by {metrics['logits_relative_error']:.2%}, "
        f"KL divergence {metrics['logits_kl_nats']:.1e} nats.",
    ]


def loading(results: Results) -> list[str]:
    """Return how long writing and loading took, beside the limits."""
    written, limits = results.step("checkpoint"), results.step("limits")
    if not written or not limits:
        return []
    size = written["bytes"]
    read, copied = limits["read_bytes_per_s"], limits.get("pageable_copy_bytes_per_s")
    copy = (
        f", copying it to the device {size / copied:.1f} s ({copied / 1e9:.1f} GB/s from pageable "
        "memory)"
        if copied
        else ""
    )
    info = results.benchmarks("main")[0]["extra_info"]
    model, weights = info["attestation"], info["metrics"]["weights_bytes"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in model["linears"].items())
    agree = limits.get("quantized_on_device")
    return [
        "## Loading",
        "",
        f"The checkpoint, {size / 1e9:.1f} GB, was written in {written['written_or_found_s']:.0f} "
        f"s. Reading it from the file cache takes {size / read:.1f} s ({read / 1e9:.1f} GB/s, one "
        f"thread){copy}.",
        "",
        f"Loads: {_loads(results)}.",
        "",
        f"Attested: {kinds}, {model['linears_expected']} linears expected, weights on "
        f"{model['devices']}, {shown(weights, 1e-9, 'GB')}.",
        "",
        "transformers sends each INT8 weight from the device back to the host, and to the device "
        "again, to be quantized. The suite quantizes where the weight is. "
        + (
            f"Codes and scales of `{agree['model']}` are equal, bit by bit: {agree['equal']}."
            if agree
            else "Here no weight was on another device than the host."
        ),
    ]


def _loads(results: Results) -> str:
    """Return how long each quantization took to load, each time that it was loaded."""
    loads: dict[str, dict[str, None]] = {}
    for each in (*results.benchmarks("main"), *results.benchmarks("table")):
        info = each["extra_info"]
        seconds = f"{info['metrics']['load_s']:.1f} s"
        loads.setdefault(info["workload"]["quantization"], {})[seconds] = None
    return ", ".join(f"{name} {' and '.join(seconds)}" for name, seconds in loads.items())


def counters(results: Results) -> list[str]:
    """Return the counters of one decode step, and whether processes agree."""
    size, found = _all_counters(results)
    if not found:
        return []
    first, last = found[0]["decode_steps"]
    decode, steps = found[0]["decode"], last - first
    rows = {
        "kernel launches": decode.get("kernel_launches"),
        "stream synchronizations": decode.get("synchronizations", {}).get("stream"),
        "copies device to host": decode.get("copies_device_to_host"),
        "copies host to device": decode.get("copies_host_to_device"),
        "operator calls": decode["operators_total"],
        "allocations": decode["allocations"],
    }
    plain = [each["decode"] | {"peak_allocated_bytes": None} for each in found]
    same = "identical" if all(each == plain[0] for each in plain) else "NOT identical"
    return [
        "## Counters",
        "",
        f"int8-decomp, batch {size}, per decode step, over steps {first} to {last - 1}; {same} in "
        f"{len(found)} fresh processes:",
        "",
        "| counter | per step |",
        "|---|--:|",
        *(
            f"| {name} | {value / steps:,.1f} |"
            for name, value in rows.items()
            if value is not None
        ),
        "",
        *_counted(results),
    ]


def _all_counters(results: Results) -> tuple[int, list[dict[str, Any]]]:
    """Return the main job's batch size, and the counters of every process that had its work."""
    measured = [each for name in ("main", "table") for each in results.benchmarks(name)]
    size = measured[0]["extra_info"]["workload"]["batch_size"] if measured else 0
    found = [each for each in measured if f"throughput[int8-decomp-b{size}-" in each["name"]]
    for file in results.restarts("duet")[:1]:
        found += [stored(part)["benchmarks"][0] for part in (file, beside(file, "-head"))]
    counted = (each["extra_info"]["counters"] for each in found)
    return size, [each for each in counted if each]


def _counted(results: Results) -> list[str]:
    """Return what a decode step of each quantization asks of the host."""
    rows = []
    for each in results.benchmarks("table"):
        work, counted = each["extra_info"]["workload"], each["extra_info"]["counters"]
        if not counted:
            continue
        first, last = counted["decode_steps"]
        decode = counted["decode"]
        kinds = ("kernel_launches", "synchronizations", "operators_total")
        values = [
            value.get("stream") if isinstance(value, dict) else value
            for value in map(decode.get, kinds)
        ]
        shares = ["-" if value is None else f"{value / (last - first):,.0f}" for value in values]
        rows.append(f"| {work['quantization']} | {work['batch_size']} | {' | '.join(shares)} |")
    if not rows:
        return []
    return [
        "The table's rows, all of one process, per decode step:",
        "",
        "| quantization | batch | kernel launches | stream synchronizations | operator calls |",
        "|---|--:|--:|--:|--:|",
        *rows,
    ]


def parity(results: Results) -> list[str]:
    """Return how rounds of the suite compare with the mended loop of the old script."""
    found = results.step("parity")
    if found is None:
        return []
    rows = [
        f"| {each['quantization']} | {each['batch_size']} | {each['prompt_tokens']:,} "
        f"| {each['new_tokens']} | {each['pairs']} "
        f"| {exp(each['median']):.4f} ± {each['standard_error']:.4f} |"
        for each in found["workloads"]
    ]
    return [
        "## Parity with the old script",
        "",
        "Its timed loop, with the counting mended and the lengths fixed, and rounds of the suite "
        "take turns on the same loaded model. Tokens/s, suite ÷ loop: the median of the pairs, "
        "and its standard error by their ranks.",
        "",
        "| quantization | batch | prompt tokens | new tokens | pairs | suite ÷ loop |",
        "|---|--:|--:|--:|--:|--:|",
        *rows,
    ]


def validity(results: Results) -> list[str]:
    """Return what watching the GPU costs, and what it sees."""
    limits, other = results.step("limits"), results.step("stranger")
    lines = []
    if limits and "nvml_share" in limits:
        medians = [f"{1e6 * each:.0f} µs" for each in limits.get("nvml_sample_medians_s", [])]
        lines.append(
            f"- A sample of NVML takes {1e6 * limits['nvml_sample_s']:.0f} µs in the mean, one "
            f"that lists processes {1e6 * limits['nvml_sample_with_processes_s']:.0f} µs"
            f"{' (medians: ' + ', '.join(medians) + ')' if medians else ''}: at one sample each "
            f"{nvml.INTERVAL_S:g} s that is {100 * limits['nvml_share']:.3f} % of the time."
        )
    if other and "status" in other:
        reason = results.benchmarks("stranger")[0]["extra_info"]["validity"]["reasons"]
        named = next((each for each in reason if str(other["pid"]) in each), None)
        if named:
            lines.append(
                f"- Beside a second process on the GPU, {other['pid']}, the times of a session "
                f"were INVALID: “{named}”."
            )
    for each in results.benchmarks("main"):
        readings = each["extra_info"]["validity"]["readings"]
        if "throughput" in each["name"] and readings["sm_clock_hz"]:
            lines.append(
                f"- In the main job: SM clock {readings['sm_clock_hz'] / 1e6:.0f} MHz, "
                f"{readings['power_watts']:.0f} W, {readings['temperature_celsius']:.0f} °C, GPU "
                f"utilization {readings['utilization']:.0%}, reasons for lower clocks: "
                f"{readings['clock_reasons'] or 'none'}."
            )
    return ["## Validity", "", *lines] if lines else []


def noise(results: Results) -> list[str]:
    """Return how rounds and processes vary, and what duets said."""
    lines = []
    gaps = [
        log(gap)
        for each in results.benchmarks("main")
        if "throughput" in each["name"]
        for one in each["extra_info"]["rounds"]
        for gap in one["step_s"]
    ]
    if gaps:
        lines.append(
            f"- One process, the main job: gaps between tokens spread by {expm1(stdev(gaps)):.0%} "
            "(standard deviation of their logarithms)."
        )
    rows, spreads = [], []
    for name in DUETS:
        if files := results.restarts(name):
            title = _title(files[0])
            rows += _verdicts(results, name, title, files)
            spreads.append(_spread(title, files))
    if rows:
        rows = [
            "",
            f"Duets of the same code on both sides, and of a head that works {SLOWER} longer in "
            "each step; each restart is two fresh processes, both models resident:",
            "",
            "| duet | head | restarts | minutes | round | TTFT | TPOT |",
            "|---|---|--:|--:|---|---|---|",
            *rows,
            "",
        ]
    return ["## Noise", "", *lines, *rows, *spreads] if lines or rows else []


def _title(file: Path) -> str:
    """Return what a duet measures, out of one of its files."""
    work = stored(file)["benchmarks"][0]["extra_info"]["workload"]
    return (
        f"`{work['model']}`, {work['quantization']}, {work['batch_size']} rows of "
        f"{work['prompt_tokens']:,} + {work['new_tokens']} tokens"
    )


def _verdicts(results: Results, name: str, title: str, files: list[Path]) -> list[str]:
    """Return a row of the table for each head of a duet: change, 95 % interval, verdict."""
    rows = []
    base = [read_session(file) for file in files]
    step = results.step(name)
    took = f"{step['minutes'][-1]:.1f}" if step else "cut short"
    heads = {"the same": "-head", f"{SLOWER} slower": f"-head-slowed-{SLOWDOWN:g}"}
    for head, suffix in heads.items():
        others = [beside(file, suffix) for file in files]
        if not all(each.exists() for each in others):
            continue
        found = judge(base, [read_session(other) for other in others], paired=True)
        said = {each.metric: each for each in found if each.kind == "time"}
        cells = (_verdict(said.get(metric)) for metric in ("round_s", "ttft_s", "tpot_s"))
        rows.append(f"| {title} | {head} | {len(files)} | {took} | {' | '.join(cells)} |")
    return rows


def _verdict(found: Verdict | None) -> str:
    if found is None:
        return "-"
    change = "" if found.change is None else f"{found.change:+.1%}"
    interval = "" if found.low is None else f"[{found.low:+.1%}, {found.high:+.1%}]"
    return " ".join(filter(None, (change, interval, found.outcome.value)))


def _spread(title: str, files: list[Path]) -> str:
    """Return how the rounds of identical code vary: over restarts, in one, and in a process."""
    pairs = [
        [
            one.rounds_s
            for part in (file, beside(file, "-head"))
            for one in read_session(part).measured.values()
        ]
        for file in files
    ]
    logs = [[log(median(rounds)) for rounds in pair] for pair in pairs]
    middles = [each for pair in logs for each in pair]
    over = f"{expm1(stdev(map(fmean, logs))):.1%} over restarts, " if len(logs) > 1 else ""
    inside = expm1(sqrt(fmean((base - head) ** 2 / 2 for base, head in logs)))
    rounds = expm1(median(stdev(map(log, each)) for pair in pairs for each in pair))
    return (
        f"- {title}: medians of {len(middles)} fresh processes of the same code, "
        f"{1e3 * exp(min(middles)):.1f} to {1e3 * exp(max(middles)):.1f} ms; they spread by "
        f"{over}{inside:.1%} between the two of a restart, and rounds by {rounds:.1%} within a "
        "process."
    )


def reproduce(results: Results, slug: str) -> list[str]:
    """Return how to have it again, what it took, and what is missing."""
    steps = {name: found for name in STEPS if (found := results.step(name))}
    took = {name: found["seconds"] for name, found in steps.items()}
    listed = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    session = results.step("main-session") or {}
    known = [(found["commit"], found["dirty"]) for found in steps.values() if found.get("commit")]
    if not known and (info := session.get("commit_info")):
        known = [(info["id"], info["dirty"])]
    commits = {
        f"{commit[:10]}{' with uncommitted changes' if dirty else ''}" for commit, dirty in known
    }
    missing = [name for name in STEPS if name not in took]
    lines = [
        "## Again",
        "",
        "`make gpu-check` on a machine with CUDA; no network is needed once the packages are "
        f"there. It took here: {listed}. Commit: {', '.join(sorted(commits))}.",
    ]
    if missing:
        lines += ["", f"Not run, or cut short: {', '.join(missing)}."]
    said = "Everything measured, as it was stored, but for names of the machine"
    return [*lines, "", f"{said}: [{slug}/raw]({slug}/raw)."]


def notes(file: Path, minute: str) -> list[str]:
    """Return what a person wrote about these results: notes that name the main job's minute."""
    if not file.exists():
        return []
    text = file.read_text().strip()
    if minute not in text:
        print(f"{file} is left out: it doesn't name {minute}; read it again, and name the minute")
        return []
    return ["## Reading them", "", text]


def shown(value: float | None, scale: float = 1, unit: str = "") -> str:
    """Return a value in its unit, `-` if it wasn't measured."""
    return "-" if value is None else f"{scale * value:.2f} {unit}".strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of make gpu-check, or the raw/ of a page")
    main(parser.parse_args().folder)
