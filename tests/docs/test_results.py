"""The pages of results say what their raw files say."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations, permutations
from math import sqrt
from pathlib import Path
from statistics import fmean, mean, median

import pytest
from scipy.special import stdtrit

from benchmarks.report import columns, half_lines
from benchmarks.sessions import baseline, measures, outcome
from benchmarks.sessions.session import parse_session, read_session
from benchmarks.verdicts import device_times
from benchmarks.verdicts.judgement import judge
from tests.tools import cards, gpu_check, gpu_gate, modes, splits, stored, trials
from tests.tools.gpu_pull_requests import PULL_REQUESTS

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PARTS = ("step_s", "collectives_s")  # of what a rank stores of its device time
SPIN = re.compile(r"spin_kernel.*: ([\d.]+) µs -> ([\d.]+) µs")
H100, H200, JUDGING, SEVERAL = (
    RESULTS / f"{name}.md"
    for name in (
        "nvidia-h100-80gb-hbm3",
        "nvidia-h200",
        "nvidia-h200-judging",
        "nvidia-h200-several",
    )
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Return the raw files of an H200, unpacked."""
    folder = tmp_path_factory.mktemp("raw")
    stored.unpack(H200.with_suffix("") / "raw", folder)
    return folder


def missing(lines, page):
    """Return those of the lines that a page lacks."""
    said = page.read_text().splitlines()
    return [line for line in lines if line not in said]


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
    ((_, main),) = (
        each for each in modes.benchmarks([raw / "main.json"]) if "throughput" in each[0]
    )
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


def test_pull_requests_were_judged_as_the_page_says(raw):
    """Whatever is known of a status before holds in both of the gate's trials."""
    said, held = JUDGING.read_text(), []
    for name in ("gate", "gate-earlier"):
        found = stored.read(raw / f"{name}.json")
        assert {*found["pull_requests"]} == {*PULL_REQUESTS}
        assert gpu_gate.wrong(found["pull_requests"]) == {}
        sessions = baseline.stored(raw / f"{name}-baselines").sessions
        (base,) = zip(*(step_times(each) for each in sessions), strict=True)
        decode, injected_s = zip(
            *(injected(raw, *each) for each in found["pull_requests"].items()), strict=True
        )
        others = [one["head"] - longer for one, longer in zip(decode, injected_s, strict=True)]
        low, high = (f"{100 * (end(others) / mean(base) - 1):.2f}" for end in (min, max))
        if name == "gate":
            assert missing(trials.table(found), JUDGING) == []
            assert f"{low[1:]} % below to {high} % above the mean" in said
        else:
            assert min(others) > max(base)
            assert f"by {low} to {high} % without what was injected, and above each" in said
        held += [
            one["low"] <= longer / one["base"] <= one["high"]
            for one, longer in zip(decode, injected_s, strict=True)
        ]
    assert f"So of {len(held)} intervals of a decode step" in said
    assert f"an earlier one, {sum(held)} hold what was injected" in said


STEPS = {  # that measured the same work on one card
    "e2b7": ("identical/*", "all-modes"),
    "d1cb": ("energy", "main", "all-modes-of-one"),
    "03a7": ("table-03a7", "energy-03a7", "turns/*"),
}


def test_intervals_know_how_far_sessions_minutes_apart_differ(raw):
    """Two groups of sessions on one card, and pull requests beside their baselines."""
    said = JUDGING.read_text()
    for phase, metric in measures.DEVICE_TIMES.items():
        apart = [each for card in STEPS for each in changes(raw, card, phase)]
        off = []
        for name in ("gate", "gate-earlier"):
            for each in stored.read(raw / f"{name}.json")["pull_requests"].items():
                (verdict,) = (one for one in each[1]["verdicts"] if one["metric"] == metric)
                off.append(verdict["change"] - injected(raw, *each)[1] / verdict["base"])
        assert (len(apart), len(off)) == (23, 18)
        row = [f"{100 * sqrt(fmean(x * x for x in each)):.2f} %" for each in (apart, off)]
        row.append(f"{100 * sqrt(fmean(x * x for x in [*apart, *off])):.2f} %")
        assert f"| {phase} | {' | '.join(row)} |" in said
        deviation, freedom = device_times.LEAST[phase]
        assert row[-1] == f"{100 * deviation:.2f} %"
        reach = deviation * stdtrit(freedom, 0.975)
        assert f" {100 * reach:.2f} %" in said
        assert max(map(abs, off)) < reach


def changes(raw, card, phase):
    """Return by how much the means of each two steps of a card differ, of the same work."""
    groups = {}
    for name in STEPS[card]:
        for file in sorted(raw.glob(f"{name}.json")):
            spent = {}  # several benchmarks of a session share their work
            for _, info in modes.benchmarks([file]):
                work = info["workload"]
                if work.get("generation", "dynamic") == "dynamic":
                    spent[work["quantization"], work["batch_size"]] = info["device_time"][phase]
            for key, each in spent.items():
                groups.setdefault(key, {}).setdefault(name, []).append(median(each["repeats_s"]))
    for found in groups.values():
        for before, after in combinations(map(mean, found.values()), 2):
            yield after / before - 1


def step_times(session):
    """Return the device time of a decode step in each benchmark of a session."""
    return [each.metrics["decode_device_s"] for each in session.measured.values()]


def injected(raw, name, pull_request):
    """Return the verdict on a decode step, and by how many seconds its kernel spins longer.

    A verdict that is NO CHANGE doesn't say so: then the session does, beside a baseline.
    """
    (decode,) = (one for one in pull_request["verdicts"] if one["metric"] == "decode_device_s")
    spins = [re.search(SPIN, reason) for reason in decode["reasons"]]
    longer_s = 1e-6 * sum(float(spin[2]) - float(spin[1]) for spin in spins if spin)
    if PULL_REQUESTS[name].kernel and not longer_s:
        head, base = (
            read_session(raw / file) for file in (f"gate-{name}.json", "gate-baselines/0003.json")
        )
        longer_s = spun_s(head) - spun_s(base)
    return decode, longer_s


def spun_s(session):
    """Return how long the spinning kernel takes of a decode step."""
    (one,) = session.measured.values()
    decode = one.device_time["decode"]
    found = (each for each in decode["kernels"]["top"] if "spin_kernel" in each["name"])
    return sum(each["device_s"] for each in found) / decode["steps"]


def test_cards_are_told_from_code(raw):
    """int8-decomp's copies began later on one; without latency no pair is off by the limit."""
    names = ("table", "energy", "main", "table-03a7", "energy-03a7")
    names += ("sharded-one-gpu", "table-75a2", "main-8f8a")
    files = [*(raw / f"{name}.json" for name in names), *sorted((raw / "identical").iterdir())]
    files += sorted((raw / "turns").iterdir())
    sessions = [read_session(each) for each in files]
    rows = cards.table(sessions, "decode")
    assert len(rows) == 7 + 2
    assert missing(rows, JUDGING) == []
    same = {"n32]": "n16]", '"new_tokens": 32': '"new_tokens": 16'}  # which isn't what is compared
    sides = [baseline.stored(raw / "identical").sessions[:5]]
    sides += [
        [read_session(raw / f"{name}.json")] for name in ("table", "table-03a7", "table-75a2")
    ]
    for name in ("energy", "energy-03a7"):
        text = (raw / f"{name}.json").read_text()
        for old, new in same.items():
            text = text.replace(old, new)
        sides.append([parse_session(json.loads(text), name)])
    for base, head in permutations(sides, 2):
        times = [each for each in judge(base, head[:1]) if each.kind == "device"]
        assert len(times) >= 2 * 4
        assert {each.outcome.value for each in times} == {"NO CHANGE"}


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


def test_identical_code_is_judged_as_its_page_says(raw):
    """Ten sessions; here six of them are judged in every split, which takes seconds."""
    sessions = baseline.stored(raw / "identical").sessions
    assert len(sessions) == 10
    assert missing(splits.spreads(sessions), JUDGING) == []
    ordered = judge(sessions[:5], sessions[5:], gate="work")
    in_time = [each for each in ordered if each.kind == "device"]
    assert [each.low <= 0 <= each.high for each in in_time] == [True] * 8
    verdicts = list(splits.split_verdicts(sessions[:6], 3))
    judged = 20 * (3 + 1)  # splits, and what is judged in each
    quantizations, phases = 4, 2
    assert len([each for each in verdicts if each.kind == "device"]) == (
        judged * quantizations * phases
    )
    assert {each.kind for each in verdicts} == {"agreement", "counter", "device", "memory"}
    assert {each.outcome.value for each in verdicts} == {"NO CHANGE"}


def test_sessions_with_rounds_and_of_work_alone_are_judged_as_their_page_says(raw):
    """They took turns; each of work alone is judged by those with rounds, and all together."""
    whole, work = (
        [read_session(each) for each in sorted((raw / "turns").glob(f"*-{kind}.json"))]
        for kind in ("whole", "work")
    )
    assert len(whole) == len(work) == 5
    for head in (work, *([each] for each in work)):
        verdicts = judge(whole, head, gate="work")
        assert [each.outcome.value for each in verdicts] == ["NO CHANGE"] * 30
    said = JUDGING.read_text()
    for each in judge(whole, work, gate="work"):
        if each.kind == "device":
            base, head = (f"{1e3 * side:.3f} ms" for side in (each.base, each.head))
            assert f" | {base} | {head} | {outcome.moved(*interval(each), digits=2)} |" in said


def interval(verdict):
    """Return a change and where it begins and ends."""
    return verdict.change, verdict.low, verdict.high


def test_a_slowed_wall_is_found_as_its_page_says(raw):
    """By duets in which the GPU decides, and the host: neither, 2 % and 5 %."""
    said = JUDGING.read_text().splitlines()
    slowed = {"the same": 0, "2 % slower": 0.02, "5 % slower": 0.05}
    for folder, waits_for in (("prefill", "the GPU"), ("slowed", "the host")):
        found = {duet.slowdown: verdicts for duet, verdicts in gpu_check.judged(raw / folder)}
        assert sorted(found) == sorted(slowed.values())
        for name, share in slowed.items():
            (each,) = (one for one in found[share] if one.metric == "round_s")
            row = f"| {name} | {outcome.moved(*interval(each))} | {each.outcome.value} |"
            rows = [line for line in said if line.startswith(f"| {waits_for}: ")]
            assert sum(line.endswith(row) for line in rows) == 1


def test_only_sessions_of_the_same_code_are_split(raw, tmp_path, capsys):
    """Of another commit, a damaged one, too few, and numbers that can't be: one line each."""
    folder = tmp_path / "identical"
    shutil.copytree(raw / "identical", folder)
    other = json.loads((folder / "02.json").read_text())
    other["commit_info"]["id"] = "0" * 40
    for changed, arguments, says in (
        (None, ["--repeats=0"], "--repeats: expected a whole number of at least 1"),
        (None, ["--baselines=10"], "--baselines: expected less than 10 sessions; got 10"),
        (json.dumps(other), [], ": expected the commit of "),
        ("{", [], "02.json"),
    ):
        if changed:
            (folder / "02.json").write_text(changed)
        with pytest.raises(SystemExit):
            splits.main([str(folder), *arguments])
        assert says in capsys.readouterr().err


def test_a_longer_decode_step_is_found_by_its_size(raw):
    """Against three baselines a session that is 1 % slower is, and at the floor hardly any."""
    two = [splits.with_repeats(each, 2) for each in baseline.stored(raw / "identical").sessions]
    _, _, *rows = splits.detection_table(two[:6], 3)
    assert len(rows) == 4
    for row in rows:
        _, at_floor, _, *others = row.strip(" |").split(" | ")
        assert others == ["100 %", "100 %"]
        assert float(at_floor.removesuffix(" %")) < 60


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
        change = f"{100 * verdict.change:+.2f} % "
        change += f"[{100 * verdict.low:+.2f}, {100 * verdict.high:+.2f}], "
    else:
        base, head = (f"{side / verdict.steps:,g}" for side in (verdict.base, verdict.head))
        change = f"{100 * verdict.change:+.1f} %, " if verdict.change else ""
    return f"| {base} | {head} | {change}{verdict.outcome.value} "


def test_duets_of_an_h100_are_judged_as_their_page_says(tmp_path):
    """A rule of the verdicts that changes what they say is noticed."""
    stored.unpack(H100.with_suffix("") / "raw", tmp_path)
    said = [
        f"{each.change:+.1%} [{each.low:+.1%}, {each.high:+.1%}] {each.outcome.value} |"
        for _, verdicts in gpu_check.judged(tmp_path)
        for each in verdicts
        if each.kind == "time"
    ]
    assert len(said) == 11
    assert [each for each in said if each not in H100.read_text()] == []
