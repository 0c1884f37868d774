"""The pages of results say what their raw files say: of quantizations, releases, several GPUs."""

from __future__ import annotations

from datetime import datetime

from benchmarks.report import columns, half_lines
from benchmarks.sessions import measures
from tests.docs.results import H200, SEVERAL, missing, moved
from tests.tools import gpu_check, modes, stored

PARTS = ("step_s", "collectives_s")  # of what a rank stores of its device time


def test_tables_of_quantizations_are_those_of_their_files(raw):
    """Batch sizes, modes, and each quantization against fp16."""
    files = {"table": 12, "all-modes": 16, "all-modes-of-one": 15}
    for name, rows in files.items():
        table = modes.table([info for _, info in modes.benchmarks([raw / f"{name}.json"])])
        assert len(table) == rows + 2
        assert missing(table, H200) == []
    sizes = modes.benchmarks([raw / "table.json"])
    assert missing([f"- {line}" for line in half_lines.lines(sizes)], H200) == []
    again = [f"- {line}" for line in half_lines.lines(modes.benchmarks([raw / "table-03a7.json"]))]
    shown = [line for line in again if "int8" in line and "batch 8" in line]
    assert len(shown) == 2
    assert missing(shown, H200) == []
    for name in ("energy", "energy-03a7"):
        longer = modes.energy([info for _, info in modes.benchmarks([raw / f"{name}.json"])])
        assert len(longer) == 4 + 2
        assert missing(longer, H200) == []
    ((_, main),) = modes.benchmarks([raw / "main.json"])
    rate, step = (columns.cell(name, main["metrics"][name]) for name in ("tokens_per_s", "tpot_s"))
    assert not main["validity"]["valid"]
    assert f": {rate} tokens/s !, TPOT {step} !, a peak of" in H200.read_text()


def test_the_first_table_is_made_of_the_others(raw):
    """Weights, agreement, and the GPU's part of a step at batch 1 and 8."""
    rows = {}
    for _, info in modes.benchmarks([raw / "table.json"]):
        metrics, work = info["metrics"], info["workload"]
        shown = ["decode_device_s"]
        if work["batch_size"] == 1:
            shown = ["weights_bytes", "top1_agreement", *shown]
        cells = rows.setdefault(work["quantization"], [])
        if work["batch_size"] < 32:
            cells += [columns.cell(name, metrics[name]) for name in shown]
    said = H200.read_text()
    assert len(rows) == 4
    for name, cells in rows.items():
        assert f"| {name} | {' | '.join(cells)} | " in said


def test_layers_that_are_split_are_as_their_page_says(raw):
    """Of both sessions; at batch 8 the second rank's device time, since the first one waited."""
    rows = []
    for name, gpus in (("one-gpu", 1), ("two-gpus", 2)):
        for _, info in modes.benchmarks([raw / f"tensor-{name}.json"]):
            metrics, size = info["metrics"], info["workload"]["batch_size"]
            mark = "" if info["validity"]["valid"] else " !"
            rate, wall, joules, agreed = (
                columns.cell(metric, metrics[metric])
                for metric in ("tokens_per_s", "tpot_s", "joules_per_token", "top1_agreement")
            )
            spent = {"step_s": metrics["decode_device_s"]}
            if gpus == 2:
                spent = info["ranks"][1 if columns.doubts(info) else 0]["device_time"]["decode"]
            step, exchange = (f"{1e3 * spent.get(part, 0):.2f} ms" for part in PARTS)
            calls = f"{columns.figure(info, 'decode.python_calls'):,.0f}"
            launches = f"{columns.figure(info, 'decode.kernel_launches'):,.0f}"
            row = [str(size), str(gpus), rate + mark, wall + mark, step]
            row += [exchange if gpus == 2 else "-", calls, launches, joules + mark]
            weights = info["placement"]["cuda:0"]["weights_bytes"]
            row += [f"{weights / 1e9:.2f} GB", agreed]
            rows.append(f"| {' | '.join(row)} |")
    assert len(rows) == 4
    assert missing(rows, SEVERAL) == []


def test_duets_of_releases_are_judged_as_their_page_says(raw):
    """Calls fell from 0.49 to 0.50, and device time is the same in all three."""
    shown = ("decode.python_calls", "decode.c_calls", *measures.DEVICE_TIMES.values())
    rows = dict.fromkeys(shown, "")
    pairs = list(gpu_check.judged(raw / "duets"))
    assert len(pairs) == 2
    for _, verdicts in pairs:
        for each in verdicts:
            if each.metric in rows:
                rows[each.metric] += cells(each)
            elif each.kind != "counter":
                assert each.outcome.value == "NO CHANGE"
    said = H200.read_text()
    assert [name for name, row in rows.items() if f" {row}|\n" not in said] == []


def cells(verdict):
    """Return a verdict as a table of releases has it: both sides, the change, the verdict."""
    if verdict.kind == "device":
        base, head = (f"{1e3 * side:.3f} ms" for side in (verdict.base, verdict.head))
        change = f"{moved(verdict, 2)}, "
    else:
        base, head = (f"{side / verdict.steps:,g}" for side in (verdict.base, verdict.head))
        change = f"{100 * verdict.change:+.1f} %, " if verdict.change else ""
    return f"| {base} | {head} | {change}{verdict.outcome.value} "


def test_the_default_steps_took_what_the_page_says(raw):
    """In one go, on one card, of one commit."""
    steps = stored.read(raw / "default-steps.json")
    assert [*steps] == [*gpu_check.STEPS]
    assert len({(each["commit"], each["hardware"]["card"]) for each in steps.values()}) == 1
    assert not any(each["dirty"] for each in steps.values())
    first, *_, last = (datetime.fromisoformat(each["ended"]) for each in steps.values())
    took = steps["checkpoint"]["seconds"] + (last - first).total_seconds()
    assert f"in one go: {took:.0f} s to the end of the last one" in H200.read_text()


def test_loads_took_what_the_page_says(raw):
    """Of fp16, and how much longer the others took in the same session."""
    names = ("table*", "main-85b4", "energy*", "identical/*")
    files = [file for name in names for file in sorted(raw.glob(f"{name}.json"))]
    loads, longer = [], {}
    for file in files:
        found = {
            info["workload"]["quantization"]: info["metrics"]["load_s"]
            for _, info in modes.benchmarks([file])
        }
        loads.append(found.pop("fp16"))
        for name, seconds in found.items():
            longer.setdefault(name, []).append(seconds - loads[-1])
    most = [end(end(each) for each in longer.values()) for end in (min, max)]
    said = H200.read_text()
    assert f"in {min(loads):.1f} to {max(loads):.1f} s, in {len(files)} sessions" in said
    assert f"took {most[0]:.1f} to {most[1]:.1f} s longer" in said
    assert f"int8-decomp {min(longer['int8-decomp']):.1f} s at least" in said
